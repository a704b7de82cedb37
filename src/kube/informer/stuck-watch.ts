import type { Resource } from "../resource.ts";

/** What tells whether a watch is stuck. */
export interface WatchProgress {
  resource: Resource;
  /** Undefined for all namespaces. */
  namespace?: string | undefined;
  /** Monotonic milliseconds of its last step; undefined while it does not run. */
  steppedAt: number | undefined;
}

/**
 * Milliseconds without a step after which a watch is stuck: twice the longest step, which is a watch without a byte up
 * to the silence limit. An API server that cannot be reached is no cause, because requests and delays are shorter.
 */
export const stuckAfterMs = 300_000;

/**
 * Why the process should be restarted: the watch that has made no step for the longest time, if that is too long. Pure.
 *
 * @param now monotonic milliseconds
 */
export function stuckWatch(watches: Iterable<WatchProgress>, now: number): string | undefined {
  let oldest: (WatchProgress & { steppedAt: number }) | undefined;
  for (const { resource, namespace, steppedAt } of watches) {
    if (steppedAt === undefined || (oldest && oldest.steppedAt <= steppedAt)) continue;
    oldest = { resource, namespace, steppedAt };
  }
  if (!oldest || now - oldest.steppedAt <= stuckAfterMs) return undefined;
  const where = oldest.namespace === undefined ? "" : ` in namespace ${oldest.namespace}`;
  const seconds = Math.floor((now - oldest.steppedAt) / 1_000);
  return `the watch of ${oldest.resource.plural}${where} is stuck: no step for ${seconds} s`;
}
