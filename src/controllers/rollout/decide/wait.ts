import type { Pod } from "./pods.ts";
import type { IndexedSnapshot, Request } from "./snapshot.ts";
import { idOf, type Workload } from "./workload.ts";

/** Milliseconds for which changes are collected, from the last one and from the first one. */
const settleMs = { afterLast: 4_000, afterFirst: 30_000 };

/**
 * Milliseconds until a workload may be restarted; at most 0 if it may be now. Changes within a few seconds restart it once;
 * then the least interval between two restarts of any of its Secrets must have passed, and some time since a refused
 * restart.
 *
 * @param requests none for a restart that waits only after a refusal
 */
export function waitOf(snapshot: IndexedSnapshot, workload: Workload, requests: readonly Request[]): number {
  const { monotonic } = snapshot;
  const seen = requests.map(({ seenAt }) => seenAt);
  const settledAt = Math.min(Math.max(...seen) + settleMs.afterLast, Math.min(...seen) + settleMs.afterFirst);
  const last = lastRestartOf(snapshot, workload);
  const intervals = requests.map(({ minIntervalMs }) => minIntervalMs);
  const allowedAt = last === undefined || requests.length === 0 ? -Infinity : last + Math.min(...intervals);
  const refusedUntil = snapshot.refusals.get(idOf(workload))?.until ?? -Infinity;
  return Math.max(settledAt, allowedAt, refusedUntil) - monotonic;
}

/** Monotonic milliseconds of the last restart; after a hand-over that of the oldest pod with the template's annotations. */
function lastRestartOf({ restarts, podsOf, now, monotonic }: IndexedSnapshot, workload: Workload): number | undefined {
  const own = restarts.get(workload.uid);
  if (own) return own.at;
  if (workload.marks.size === 0) return undefined;
  const marks = [...workload.marks];
  const isRestarted = ({ annotations }: Pod) => marks.every(([mark, revision]) => annotations[mark] === revision);
  const restarted = (podsOf.get(idOf(workload)) ?? []).filter(isRestarted);
  if (restarted.length === 0) return undefined;
  const oldest = restarted.reduce((at, { createdAt }) => Math.min(at, createdAt), now);
  return monotonic - (now - oldest);
}
