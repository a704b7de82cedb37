import { madeElsewhere } from "./failover.ts";
import { asWhom, damageOf, type Gathered, keptOf, mayBeOfSpec, revisionOf } from "./gathered.ts";
import type { Vouchers } from "./vouchers.ts";

/**
 * Whether keys that nothing makes any more would have to be kept: nothing vouches for what was there before, neither
 * the status nor this process, or keys are kept already.
 */
export function mayHaveToKeep(gathered: Gathered, vouchers: Vouchers): boolean {
  const { refresh } = gathered;
  if (refresh !== undefined || !mayBeOfSpec(gathered) || damageOf(gathered)?.data) return false;
  return keptOf(gathered).size > 0 || !isVouchedFor(gathered, vouchers);
}

/**
 * Whether it is known what the Secret was made from: by a status that it vouches for, or by this process. What was read
 * in a region that stood in is known to be no more than that.
 */
function isVouchedFor(gathered: Gathered, vouchers: Vouchers): boolean {
  const { resource, warmStart } = gathered;
  const inSecret = revisionOf(gathered);
  // By a clock that was set back a version that this process has not seen itself is of the future.
  if (warmStart.isPartial) return false;
  if (warmStart.stamps !== undefined || vouchers.vouchFor(resource, inSecret, asWhom(gathered))) return true;
  return madeElsewhere(gathered) !== undefined;
}

/** Puts the bytes that are kept into `data`. @returns their keys */
export function keep(
  gathered: Gathered,
  vouchers: Vouchers,
  data: Map<string, Uint8Array>,
  live: ReadonlyMap<string, Uint8Array> | undefined,
): ReadonlySet<string> {
  const kept = new Set<string>();
  if (!live || !mayHaveToKeep(gathered, vouchers)) return kept;
  const already = keptOf(gathered);
  const vouched = isVouchedFor(gathered, vouchers);
  for (const [key, bytes] of live) {
    if (data.has(key) || (vouched && !already.has(key))) continue;
    data.set(key, bytes);
    kept.add(key);
  }
  return kept;
}
