import type { KubeObject } from "./resource.ts";

/** What a cache keeps of the objects of one namespace, at most: one tenant's must not take the memory of all. */
export interface CacheBound<T> {
  /** Bytes that a namespace's objects may take, about. */
  bytesPerNamespace: number;
  /** What is kept of an object for which there is no room: enough to find it, and to ask the API server for it. */
  cut: (object: T) => T;
}

const cutMark = "isCut";

/** Whether an object in a cache is only what there was room for. */
export function isCut(object: KubeObject | undefined): boolean {
  return object !== undefined && Object.hasOwn(object, cutMark);
}

/** Counts what a cache holds, by namespace, and cuts what is beyond the bound. */
export class Budget<T extends KubeObject> {
  readonly #bound: CacheBound<T>;
  readonly #used = new Map<string, number>();

  constructor(bound: CacheBound<T>) {
    this.#bound = bound;
  }

  /** Gives back what an object took. */
  release(object: T): void {
    const { namespace = "" } = object.metadata;
    const left = (this.#used.get(namespace) ?? 0) - sizeOf(object);
    if (left > 0) this.#used.set(namespace, left);
    else this.#used.delete(namespace);
  }

  /** Makes room for an object. @returns the object, or what there is room for */
  admit(object: T): T {
    const { namespace = "" } = object.metadata;
    const used = this.#used.get(namespace) ?? 0;
    const isTooMuch = used + sizeOf(object) > this.#bound.bytesPerNamespace;
    const kept = isTooMuch ? Object.assign(this.#bound.cut(object), { [cutMark]: true }) : object;
    this.#used.set(namespace, used + sizeOf(kept));
    return kept;
  }
}

/** Bytes that a piece of plain data takes in the heap, about: its texts, and a little for each value. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return 16 + value.length;
  if (typeof value !== "object" || value === null) return 8;
  let size = 32;
  for (const [key, inner] of Object.entries(value)) size += key.length + sizeOf(inner);
  return size;
}
