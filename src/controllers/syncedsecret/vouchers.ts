import type { SyncedSecret } from "../../api/types.ts";

/**
 * The revisions that this process has itself made or found to be current, and for which account and region: what they
 * were made from is known, whatever a status says.
 */
export class Vouchers {
  readonly #found = new Map<string, string>();

  /**
   * Notes that a Secret was found, or made, current.
   *
   * @param asWhom the identity's account and region
   */
  found({ metadata }: SyncedSecret, revision: string, asWhom: string): void {
    this.#found.set(`${metadata.namespace}/${metadata.name}`, `${metadata.uid} ${asWhom} ${revision}`);
  }

  /** Whether this process, as the same account in the same region, has found this revision to be current. */
  vouchFor({ metadata }: SyncedSecret, revision: string | undefined, asWhom: string): boolean {
    const found = this.#found.get(`${metadata.namespace}/${metadata.name}`);
    return revision !== undefined && found === `${metadata.uid} ${asWhom} ${revision}`;
  }

  /** @param key namespace/name of a SyncedSecret that is no more */
  forget(key: string): void {
    this.#found.delete(key);
  }
}
