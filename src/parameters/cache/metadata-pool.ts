import type { ParameterMetadata } from "./cache-entry.ts";

/** KMS keys in the pool, at most. After an eviction, the next parameter with that key gets a new object. */
const keptAtMost = 1_000;

/** Shares one metadata object between parameters with equal keys and no policies. Evicts the least recently used. */
export class MetadataPool {
  readonly #byKey = new Map<string, ParameterMetadata>();

  /** @param keyId as DescribeParameters names it; undefined for a parameter without one */
  of(keyId: string | undefined): ParameterMetadata {
    const key = keyId ?? "";
    const metadata = this.#byKey.get(key) ?? (keyId === undefined ? {} : { keyId });
    // Reinsert: insertion order is the order of use.
    this.#byKey.delete(key);
    this.#byKey.set(key, metadata);
    if (this.#byKey.size > keptAtMost) this.#byKey.delete(this.#byKey.keys().next().value!);
    return metadata;
  }
}
