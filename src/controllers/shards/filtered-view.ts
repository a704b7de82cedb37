import type { View } from "../../kube/informer/store.ts";

/** The objects of another view that pass a filter, which may change. The size is counted at each call. */
export class FilteredView<T> implements View<T> {
  readonly #all: View<T>;
  readonly #passes: (object: T) => boolean;

  constructor(all: View<T>, passes: (object: T) => boolean) {
    this.#all = all;
    this.#passes = passes;
  }

  get(key: string): T | undefined {
    const object = this.#all.get(key);
    return object !== undefined && this.#passes(object) ? object : undefined;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  *keys(): Generator<string> {
    for (const key of this.#all.keys()) if (this.has(key)) yield key;
  }

  *values(): Generator<T> {
    for (const object of this.#all.values()) if (this.#passes(object)) yield object;
  }

  get size(): number {
    return [...this.keys()].length;
  }
}
