/** The share of the rate that remains after a cut. */
const half = 0.5;
/**
 * The share of the rate that the plateau returns to. Less than 1: AWS throttles only after its burst is used up, at a
 * rate that is already too high.
 */
const plateau = 0.85;
/** Seconds from a cut to the plateau. */
const returnSeconds = 10;
/** Seconds from the plateau to the limit; the rate hardly grows in the first of them. */
const probeSeconds = 16;
/** The lowest rate, in requests a second, however often AWS throttles. */
const least = 1;

/** A cut of the rate: `rate`, in requests a second, is the rate before the cut. */
export interface Cut {
  rate: number;
  /** Monotonic milliseconds. */
  at: number;
}

/**
 * The rate at an instant after a cut, in requests a second, with the shape of CUBIC (RFC 9438, section 4.1). The rate
 * halves at once. It returns quickly to a plateau below the throttled rate, since other clients may use the rest. Then
 * it grows ever faster, since the rest may be free again. Any limit is reached in `returnSeconds` plus `probeSeconds`.
 */
export function rateAfter(cut: Cut | undefined, limit: number, now: number): number {
  if (!cut) return limit;
  const seconds = (now - cut.at) / 1_000;
  const away = Math.max(1 - seconds / returnSeconds, 0);
  const beyond = Math.max(seconds - returnSeconds, 0) / probeSeconds;
  const rate = cut.rate * (plateau - (plateau - half) * away ** 3) + limit * beyond ** 3;
  return Math.min(Math.max(rate, Math.min(least, limit)), limit);
}

/** The cut after a throttle. A throttled call that was sent before the last cut does not cut again. */
export function cutBy(before: Cut | undefined, limit: number, sentAt: number, now: number): Cut {
  if (before && sentAt <= before.at) return before;
  return { rate: Math.max(rateAfter(before, limit, now), Math.min(least, limit)), at: now };
}
