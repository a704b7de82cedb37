import type { SyncedSecret } from "../../api/types.ts";
import type { Failure } from "../../runtime/failure.ts";

/** What was too large, and made from what. */
interface TooLarge {
  uid: string | undefined;
  revision: string;
  /** Of the Secret that the write was made upon; undefined for a creation. */
  resourceVersion: string | undefined;
  failure: Failure;
}

/** SyncedSecrets that are remembered, at most: one that is forgotten costs one more decryption. */
const mostRemembered = 10_000;

/**
 * Secrets that the API server has refused as too large, in this process: the same bytes upon the same Secret would be
 * refused again, so that nothing is decrypted until either changes.
 */
export class TooLargeSecrets {
  readonly #refused = new Map<string, TooLarge>();

  note({ metadata }: SyncedSecret, refused: Omit<TooLarge, "uid">): void {
    const key = `${metadata.namespace}/${metadata.name}`;
    this.#refused.delete(key);
    this.#refused.set(key, { uid: metadata.uid, ...refused });
    if (this.#refused.size > mostRemembered) this.#refused.delete(this.#refused.keys().next().value!);
  }

  /** What was refused last, upon this version of the Secret. */
  of(
    { metadata }: SyncedSecret,
    resourceVersion: string | undefined,
  ): { revision: string; failure: Failure } | undefined {
    const refused = this.#refused.get(`${metadata.namespace}/${metadata.name}`);
    return refused?.uid === metadata.uid && refused?.resourceVersion === resourceVersion ? refused : undefined;
  }

  forget({ metadata }: SyncedSecret): void {
    this.#refused.delete(`${metadata.namespace}/${metadata.name}`);
  }
}
