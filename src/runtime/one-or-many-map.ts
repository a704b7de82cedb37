/** A map that usually has one entry. One entry takes about 60 bytes, in a Map 230. */
export class OneOrManyMap<V> {
  /** The only key, while `#all` is undefined. */
  #key: string | undefined;
  #value: V | undefined;
  #all: Map<string, V> | undefined;

  get size(): number {
    return this.#all?.size ?? (this.#key === undefined ? 0 : 1);
  }

  get(key: string): V | undefined {
    if (this.#all) return this.#all.get(key);
    return this.#key === key ? this.#value : undefined;
  }

  set(key: string, value: V): void {
    if (!this.#all && (this.#key === undefined || this.#key === key)) {
      this.#key = key;
      this.#value = value;
      return;
    }
    this.#all ??= new Map([[this.#key!, this.#value!]]);
    this.#all.set(key, value);
  }

  delete(key: string): void {
    if (!this.#all) {
      if (this.#key === key) this.#key = this.#value = undefined;
      return;
    }
    this.#all.delete(key);
    if (this.#all.size > 1) return;
    [[this.#key, this.#value] = [undefined, undefined]] = [...this.#all];
    this.#all = undefined;
  }

  keys(): Iterable<string> {
    if (this.#all) return this.#all.keys();
    return this.#key === undefined ? [] : [this.#key];
  }

  values(): Iterable<V> {
    if (this.#all) return this.#all.values();
    return this.#key === undefined ? [] : [this.#value!];
  }
}
