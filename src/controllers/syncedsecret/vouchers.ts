/**
 * The revisions that this process has itself made or found to be current, and for which account and region: what they
 * were made from is known, whatever a status says.
 */
export class Vouchers {
  readonly #found = new Map<string, string>();

  /**
   * Notes that a Secret was found, or made, current.
   *
   * @param uid of the SyncedSecret
   * @param asWhom the identity's account and region
   */
  found(uid: string, revision: string, asWhom: string): void {
    this.#found.set(uid, `${asWhom} ${revision}`);
  }

  /** Whether this process, as the same account in the same region, has found this revision to be current. */
  vouchFor(uid: string, revision: string | undefined, asWhom: string): boolean {
    return revision !== undefined && this.#found.get(uid) === `${asWhom} ${revision}`;
  }

  forget(uid: string): void {
    this.#found.delete(uid);
  }
}
