import { madeElsewhere } from "./failover.ts";
import { asWhom, damageOf, mayBeOfSpec, retainedKeysOf, revisionOf, type Snapshot } from "./snapshot.ts";
import type { VerifiedRevisions } from "./verified-revisions.ts";

/**
 * Whether keys that nothing makes any more would have to be kept: nothing vouches for what was there before, neither
 * the status nor this process, or keys are kept already.
 */
export function mayHaveToRetain(snapshot: Snapshot, verifiedRevisions: VerifiedRevisions): boolean {
  const { refresh } = snapshot;
  if (refresh !== undefined || !mayBeOfSpec(snapshot) || damageOf(snapshot)?.data) return false;
  return retainedKeysOf(snapshot).size > 0 || !reproducesRevision(snapshot, verifiedRevisions);
}

/**
 * Whether it is known what the Secret was made from: by a status that it vouches for, or by this process. What was read
 * in a region that stood in is known to be no more than that.
 */
function reproducesRevision(snapshot: Snapshot, verifiedRevisions: VerifiedRevisions): boolean {
  const { resource, warmStart } = snapshot;
  const inSecret = revisionOf(snapshot);
  // By a clock that was set back a version that this process has not seen itself is of the future.
  if (warmStart.isPartial) return false;
  if (warmStart.stamps !== undefined || verifiedRevisions.isVerified(resource, inSecret, asWhom(snapshot))) return true;
  return madeElsewhere(snapshot) !== undefined;
}

/** Puts the bytes that are kept into `data`. @returns their keys */
export function retain(
  snapshot: Snapshot,
  verifiedRevisions: VerifiedRevisions,
  data: Map<string, Uint8Array>,
  live: ReadonlyMap<string, Uint8Array> | undefined,
): ReadonlySet<string> {
  const retained = new Set<string>();
  if (!live || !mayHaveToRetain(snapshot, verifiedRevisions)) return retained;
  const already = retainedKeysOf(snapshot);
  const vouched = reproducesRevision(snapshot, verifiedRevisions);
  for (const [key, bytes] of live) {
    if (data.has(key) || (vouched && !already.has(key))) continue;
    data.set(key, bytes);
    retained.add(key);
  }
  return retained;
}
