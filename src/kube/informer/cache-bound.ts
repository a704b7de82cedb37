import type { KubeObject } from "../resource.ts";

/** The memory limit for a namespace's objects in a cache, so that no tenant uses up the memory of the others. */
export interface CacheBound<T> {
  /** Approximate maximum bytes of a namespace's objects. */
  bytesPerNamespace: number;
  /** Reduces an object above the limit to what identifies it, so that it can be fetched from the API server. */
  cut: (object: T) => T;
}

const cutMark = "isCut";

/** Whether a cached object has been reduced by `cut`. */
export function isCut(object: KubeObject | undefined): boolean {
  return object !== undefined && Object.hasOwn(object, cutMark);
}

/** Counts the bytes of cached objects by namespace, and cuts objects above the limit. */
export class Budget<T extends KubeObject> {
  readonly #bound: CacheBound<T>;
  readonly #used = new Map<string, number>();

  constructor(bound: CacheBound<T>) {
    this.#bound = bound;
  }

  /** Releases an object's bytes. */
  release(object: T): void {
    const { namespace = "" } = object.metadata;
    const left = (this.#used.get(namespace) ?? 0) - sizeOf(object);
    if (left > 0) this.#used.set(namespace, left);
    else this.#used.delete(namespace);
  }

  /** Reserves an object's bytes. @returns the object, cut if it exceeds the limit */
  admit(object: T): T {
    const { namespace = "" } = object.metadata;
    const used = this.#used.get(namespace) ?? 0;
    const size = sizeOf(object);
    if (used + size <= this.#bound.bytesPerNamespace) {
      this.#used.set(namespace, used + size);
      return object;
    }
    const kept = Object.assign(this.#bound.cut(object), { [cutMark]: true });
    this.#used.set(namespace, used + sizeOf(kept));
    return kept;
  }
}

/** The approximate heap size of plain data in bytes. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return 16 + value.length;
  if (typeof value !== "object" || value === null) return 8;
  let size = 32;
  for (const key of Object.keys(value)) size += key.length + sizeOf((value as Record<string, unknown>)[key]);
  return size;
}
