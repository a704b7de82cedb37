/** Says which connections an engine may work on, if the work is split into shards. */
export interface Placement {
  /**
   * Takes where a resolved connection leads.
   *
   * @param to.account undefined if each namespace's ServiceAccount has its own
   * @returns whether it may be worked on here; if not, it is reconciled again when that may have changed
   */
  settle(connectionKey: string, to: { account: string | undefined; region: string }): boolean;
  /** Whether an event queue keeps the connection on one shard with connections of other accounts. */
  isTied(connectionKey: string): boolean;
}
