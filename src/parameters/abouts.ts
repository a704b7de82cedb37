import type { About } from "./entry.ts";

/** Keys that an object is kept for; what uses another one has an object of its own, until that key comes again. */
const keptAtMost = 1_000;

/** Gives all parameters that have nothing but an equal key one object. Keys come and go: those that came last are kept. */
export class Abouts {
  readonly #byKey = new Map<string, About>();

  /** @param keyId as DescribeParameters names it; undefined for a parameter without one */
  of(keyId: string | undefined): About {
    const key = keyId ?? "";
    const about = this.#byKey.get(key) ?? (keyId === undefined ? {} : { keyId });
    // The last that was asked for goes last.
    this.#byKey.delete(key);
    this.#byKey.set(key, about);
    if (this.#byKey.size > keptAtMost) this.#byKey.delete(this.#byKey.keys().next().value!);
    return about;
  }
}
