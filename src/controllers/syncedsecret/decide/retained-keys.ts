import { madeElsewhere } from "./failover.ts";
import { asWhom, type Facts, mayBeOfSpec, retainedKeysOf } from "./snapshot.ts";

/**
 * Whether keys without a source may have to be retained: neither the status nor this process proves what the Secret was
 * made from, or the Secret has retained keys already.
 */
export function mayHaveToRetain(facts: Facts): boolean {
  if (facts.refresh !== undefined || !mayBeOfSpec(facts) || facts.damage?.data) return false;
  return retainedKeysOf(facts).size > 0 || !areSourcesKnown(facts);
}

/**
 * Whether the sources of the Secret are known: from a status that reproduces its revision, or from this process. True
 * also for a Secret from a failover region, whose keys need not be retained.
 */
function areSourcesKnown(facts: Facts): boolean {
  const { warmStart, verifiedAs, revision } = facts;
  // After the clock was set back, versions in the status may be in the future, and do not count.
  if (warmStart.isPartial) return false;
  if (warmStart.stamps !== undefined || (revision !== undefined && verifiedAs === asWhom(facts))) return true;
  return madeElsewhere(facts) !== undefined;
}

/** The data with the bytes of retained keys, and the retained keys. */
export function retain(
  facts: Facts,
  made: ReadonlyMap<string, Uint8Array>,
  live: ReadonlyMap<string, Uint8Array> | undefined,
): { data: ReadonlyMap<string, Uint8Array>; retained: ReadonlySet<string> } {
  const retained = new Set<string>();
  if (!live || !mayHaveToRetain(facts)) return { data: made, retained };
  const data = new Map(made);
  const already = retainedKeysOf(facts);
  const isKnown = areSourcesKnown(facts);
  for (const [key, bytes] of live) {
    if (data.has(key) || (isKnown && !already.has(key))) continue;
    data.set(key, bytes);
    retained.add(key);
  }
  return { data, retained };
}
