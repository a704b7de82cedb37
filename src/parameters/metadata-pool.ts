import type { ParameterMetadata } from "./cache-entry.ts";

/** Keys that an object is kept for; what uses another one has an object of its own, until that key comes again. */
const keptAtMost = 1_000;

/** Gives all parameters that have nothing but an equal key one object. Keys come and go: those that came last are kept. */
export class MetadataPool {
  readonly #byKey = new Map<string, ParameterMetadata>();

  /** @param keyId as DescribeParameters names it; undefined for a parameter without one */
  of(keyId: string | undefined): ParameterMetadata {
    const key = keyId ?? "";
    const metadata = this.#byKey.get(key) ?? (keyId === undefined ? {} : { keyId });
    // The last that was asked for goes last.
    this.#byKey.delete(key);
    this.#byKey.set(key, metadata);
    if (this.#byKey.size > keptAtMost) this.#byKey.delete(this.#byKey.keys().next().value!);
    return metadata;
  }
}
