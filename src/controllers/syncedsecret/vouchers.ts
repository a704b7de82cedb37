/** Keys of one Secret that are kept though nothing makes them any more. */
interface Kept {
  generation: number;
  keys: ReadonlySet<string>;
}

/**
 * What this process knows of each SyncedSecret beyond what can be looked up: the revision that it has made or found to
 * be current, and by whom. Keys that a Secret has, and that a look which nothing vouches for does not explain, are kept
 * until the spec changes or a person asks for a refresh: after a restart, or with another account, "it is not there"
 * is not "it was deleted".
 */
export class Vouchers {
  readonly #found = new Map<string, string>();
  readonly #kept = new Map<string, Kept>();

  /**
   * Notes that a Secret was found, or made, current.
   *
   * @param asWhom the identity's account and region
   */
  found(uid: string, revision: string, asWhom: string): void {
    this.#found.set(uid, `${asWhom} ${revision}`);
  }

  /** Whether this process itself, as the same account in the same region, has found this revision to be current. */
  vouchFor(uid: string, revision: string | undefined, asWhom: string): boolean {
    return revision !== undefined && this.#found.get(uid) === `${asWhom} ${revision}`;
  }

  keep(uid: string, generation: number, keys: Iterable<string>): void {
    this.#kept.set(uid, { generation, keys: new Set(keys) });
  }

  /** The keys that are kept for this generation of a spec. */
  kept(uid: string, generation: number): ReadonlySet<string> {
    const kept = this.#kept.get(uid);
    return kept?.generation === generation ? kept.keys : new Set();
  }

  release(uid: string): void {
    this.#kept.delete(uid);
  }

  forget(uid: string): void {
    this.#found.delete(uid);
    this.#kept.delete(uid);
  }
}
