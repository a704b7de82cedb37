import type { SyncedSecret } from "../../../api/types.ts";
import type { Failure } from "../../../runtime/failure.ts";

/** A Secret that was rejected as too large. */
interface TooLarge {
  uid: string | undefined;
  revision: string;
  /** Version of the existing Secret; undefined for a creation. */
  resourceVersion: string | undefined;
  failure: Failure;
}

/** Maximum number of SyncedSecrets that are remembered; forgetting one costs one more decryption. */
const mostRemembered = 10_000;

/**
 * Secrets that the API server has rejected as too large, in this process. The same write would be rejected again, so
 * nothing is decrypted until the revision or the existing Secret changes.
 */
export class TooLargeSecrets {
  readonly #refused = new Map<string, TooLarge>();

  note({ metadata }: SyncedSecret, refused: Omit<TooLarge, "uid">): void {
    const key = `${metadata.namespace}/${metadata.name}`;
    this.#refused.delete(key);
    this.#refused.set(key, { uid: metadata.uid, ...refused });
    if (this.#refused.size > mostRemembered) this.#refused.delete(this.#refused.keys().next().value!);
  }

  /** The last rejection for this version of the Secret. */
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
