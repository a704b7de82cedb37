/** What is left of the rate at a cut. */
const half = 0.5;
/**
 * What of the rate is come back to. Less than all of it: a throttle comes only when what AWS had saved is spent, at a
 * rate that is already too high.
 */
const plateau = 0.85;
/** Seconds in which the rate comes back to there. */
const returnSeconds = 10;
/** Seconds in which, from there, a whole limit is won back; the first of them hardly move. */
const probeSeconds = 16;
/** Requests a second that are tried however often AWS throttles. */
const least = 1;

/** Where a rate was cut: `rate`, in requests a second, is what it was cut from. */
export interface Cut {
  rate: number;
  /** Monotonic milliseconds. */
  at: number;
}

/**
 * The rate at an instant after a cut, in requests a second, by the shape of CUBIC (RFC 9438, section 4.1): half at
 * once, quickly back to a bit below what AWS throttled at, a plateau there, since others may live on the rest, and then
 * ever faster up to the limit, since it may be free again. From any quota the limit is reached in `returnSeconds` and
 * `probeSeconds`.
 */
export function rateAfter(cut: Cut | undefined, limit: number, now: number): number {
  if (!cut) return limit;
  const seconds = (now - cut.at) / 1_000;
  const away = Math.max(1 - seconds / returnSeconds, 0);
  const beyond = Math.max(seconds - returnSeconds, 0) / probeSeconds;
  const rate = cut.rate * (plateau - (plateau - half) * away ** 3) + limit * beyond ** 3;
  return Math.min(Math.max(rate, Math.min(least, limit)), limit);
}

/** How a throttle changes a cut; one of a call that was sent before the last cut says nothing new. */
export function cutBy(before: Cut | undefined, limit: number, sentAt: number, now: number): Cut {
  if (before && sentAt <= before.at) return before;
  return { rate: Math.max(rateAfter(before, limit, now), Math.min(least, limit)), at: now };
}
