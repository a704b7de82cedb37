import type { VerifiedRevisions } from "../trust/verified-revisions.ts";
import { madeElsewhere } from "./failover.ts";
import { asWhom, damageOf, mayBeOfSpec, retainedKeysOf, revisionOf, type Snapshot } from "./snapshot.ts";

/**
 * Whether keys without a source may have to be retained: neither the status nor this process proves what the Secret was
 * made from, or the Secret has retained keys already.
 */
export function mayHaveToRetain(snapshot: Snapshot, verifiedRevisions: VerifiedRevisions): boolean {
  const { refresh } = snapshot;
  if (refresh !== undefined || !mayBeOfSpec(snapshot) || damageOf(snapshot)?.data) return false;
  return retainedKeysOf(snapshot).size > 0 || !reproducesRevision(snapshot, verifiedRevisions);
}

/**
 * Whether the sources of the Secret are known: from a status that reproduces its revision, or from this process. True
 * also for a Secret from a failover region, whose keys need not be retained.
 */
function reproducesRevision(snapshot: Snapshot, verifiedRevisions: VerifiedRevisions): boolean {
  const { resource, warmStart } = snapshot;
  const inSecret = revisionOf(snapshot);
  // After the clock was set back, versions in the status may be in the future, and do not count.
  if (warmStart.isPartial) return false;
  if (warmStart.stamps !== undefined || verifiedRevisions.isVerified(resource, inSecret, asWhom(snapshot))) return true;
  return madeElsewhere(snapshot) !== undefined;
}

/** Copies the bytes of retained keys into `data`. @returns the retained keys */
export function retain(
  snapshot: Snapshot,
  verifiedRevisions: VerifiedRevisions,
  data: Map<string, Uint8Array>,
  live: ReadonlyMap<string, Uint8Array> | undefined,
): ReadonlySet<string> {
  const retained = new Set<string>();
  if (!live || !mayHaveToRetain(snapshot, verifiedRevisions)) return retained;
  const already = retainedKeysOf(snapshot);
  const areSourcesKnown = reproducesRevision(snapshot, verifiedRevisions);
  for (const [key, bytes] of live) {
    if (data.has(key) || (areSourcesKnown && !already.has(key))) continue;
    data.set(key, bytes);
    retained.add(key);
  }
  return retained;
}
