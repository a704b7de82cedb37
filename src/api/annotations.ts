const prefix = "keyferry.io/";

/** The group and version of our kinds, as an object and an owner reference carry it. */
export const apiVersion = "keyferry.io/v1alpha1";

/** Annotations that are read or written. Part of the API. */
export const annotations = {
  /** What all names of ours begin with. */
  prefix,
  /** On a Secret: what it was made from, never a digest of a value. */
  revision: `${prefix}revision`,
  /** On a Secret: a digest of the sorted names of the keys that were written. */
  keyDigest: `${prefix}key-digest`,
  /** On a Secret: names of keys that nothing makes any more, though it is not known that they were deleted; JSON. */
  retainedKeys: `${prefix}retained-keys`,
  /** On a Secret with spec.rollout: the revision whose bytes differed last. Absent until they differ for the first time. */
  restartRevision: `${prefix}restart-revision`,
  /**
   * On a Secret with rollout.onFailure Revert: the last revision whose rollout succeeded, its restart revision, and when the
   * Secret lost it, with spaces between.
   */
  lastGoodRevision: `${prefix}last-good-revision`,
  /**
   * On a Secret whose sources are held back: what an approval names to apply them all the same, their restart revision,
   * and when the Secret got them and lost them, with spaces between.
   */
  heldBackRevision: `${prefix}held-back-revision`,
  /** On a SyncedSecret, by a person: another text means to look at AWS at once and to apply again. */
  refresh: `${prefix}refresh`,
  /** On a SyncedSecret, by a person: the pending revision that may be applied, with refresh.approval: Manual. */
  approve: `${prefix}approve`,
  /** On a Secret, by a person: the name of the SyncedSecret that may write into it with creationPolicy Merge. */
  allowMerge: `${prefix}allow-merge`,
  /** On a Secret, by a person: the name of the SyncedSecret that may take it over. */
  adopt: `${prefix}adopt`,
  /** On a Secret with creationPolicy Orphan, which has no owner reference: the uid of its SyncedSecret. */
  orphanOf: `${prefix}orphan-of`,
  /** On a Secret with creationPolicy Owner: the uid of its SyncedSecret, by which it is given its owner back. */
  ownerUid: `${prefix}owner-uid`,
} as const;

/** An annotation's text; undefined without it. Own keys only: names such as `constructor` are no annotations. */
export function annotationOf(all: Readonly<Record<string, string>> | undefined, key: string): string | undefined {
  return all && Object.hasOwn(all, key) ? all[key] : undefined;
}

/** Labels that are written. */
export const labels = {
  /** On every Secret that is written, so that a watch need not see the others. Says nothing about whose it is. */
  managed: `${prefix}synced-secret`,
  managedValue: "true",
} as const;

/** Field manager of server-side apply; part of what makes a Secret ours, so it never changes. */
export const fieldManager = "keyferry";
