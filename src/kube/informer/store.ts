import type { KubeObject } from "../resource.ts";
import { Budget, type CacheBound } from "./cache-bound.ts";

/** A change of one object: added (no `before`), deleted (no `after`), or modified. */
export interface Change<T> {
  /** `namespace/name`, or `name` for a cluster-scoped resource. */
  key: string;
  before: T | undefined;
  after: T | undefined;
}

/** Read access to a store, or to several stores as one. Objects are shared: do not modify them. */
export interface View<T> {
  /** The object with the key `namespace/name`, or `name` for a cluster-scoped resource. */
  get(key: string): T | undefined;
  has(key: string): boolean;
  keys(): Iterable<string>;
  values(): Iterable<T>;
  readonly size: number;
}

/** The key of an object: `namespace/name`, or `name` without a namespace. */
export function keyOf(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return namespace ? `${namespace}/${name}` : `${name}`;
}

/**
 * The last known objects of one resource. Only its reflector writes to it. Each write returns its changes: an object of
 * the same name with another uid is a deletion and an addition; the same uid and resourceVersion is no change.
 */
export class Store<T extends KubeObject> implements View<T> {
  #objects = new Map<string, T>();
  readonly #bound: CacheBound<T> | undefined;
  #budget: Budget<T> | undefined;

  /** @param bound the memory limit for a namespace's objects. Default: no limit. */
  constructor(bound?: CacheBound<T>) {
    this.#bound = bound;
    this.#budget = bound && new Budget(bound);
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  has(key: string): boolean {
    return this.#objects.has(key);
  }

  keys(): Iterable<string> {
    return this.#objects.keys();
  }

  values(): Iterable<T> {
    return this.#objects.values();
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Adds an object, or replaces the object of the same name. */
  put(object: T): Change<T>[] {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (before) this.#budget?.release(before);
    const kept = this.#budget?.admit(object) ?? object;
    this.#objects.set(key, kept);
    return difference(key, before, kept);
  }

  /** Removes the object, unless an object of the same name with another uid has replaced it. */
  remove(object: T): Change<T>[] {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (!before || !sameUid(before, object)) return [];
    this.#objects.delete(key);
    this.#budget?.release(before);
    return [{ key, before, after: undefined }];
  }

  /** Replaces the whole content atomically. Deletions come first in the result. */
  replace(objects: Iterable<T>): Change<T>[] {
    const old = this.#objects;
    const fresh = new Map<string, T>();
    const budget = this.#bound && new Budget(this.#bound);
    for (const object of objects) {
      const key = keyOf(object);
      const twice = budget && fresh.get(key);
      if (twice) budget.release(twice);
      fresh.set(key, budget?.admit(object) ?? object);
    }
    this.#budget = budget;
    this.#objects = fresh;
    const changes: Change<T>[] = [];
    for (const [key, before] of old) if (!fresh.has(key)) changes.push({ key, before, after: undefined });
    for (const [key, after] of fresh) changes.push(...difference(key, old.get(key), after));
    return changes;
  }
}

function difference<T extends KubeObject>(key: string, before: T | undefined, after: T): Change<T>[] {
  if (!before) return [{ key, before, after }];
  if (!sameUid(before, after)) {
    return [
      { key, before, after: undefined },
      { key, before: undefined, after },
    ];
  }
  const version = after.metadata.resourceVersion;
  return version && version === before.metadata.resourceVersion ? [] : [{ key, before, after }];
}

function sameUid(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.uid === b.metadata.uid;
}
