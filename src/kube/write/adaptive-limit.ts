/** Latencies are compared only within one kind: a status write takes less time than a Secret write. */
export type WriteKind = "secret" | "status";

/** The outcome of one write to the API server. */
export interface WriteSample {
  kind: WriteKind;
  /** Milliseconds of a monotonic clock. */
  beganAt: number;
  endedAt: number;
  /**
   * - `done`: the server wrote it. A refused write is no sample: it may be refused before any work is done;
   * - `overloaded`: the server could not write it, or not in time, because the whole server is overloaded.
   */
  outcome: "done" | "overloaded";
  /** Whether the limit was fully used. Below it, success proves nothing about a higher limit. */
  wasFull: boolean;
}

/** The limit of concurrent writes, and the measurements behind it. */
export interface AdaptiveLimit {
  /** An integer. */
  limit: number;
  /** Latency in milliseconds of a write that does not queue in the server, by kind; unset before the first write. */
  best: Readonly<Partial<Record<WriteKind, number>>>;
  /** Monotonic milliseconds of the last cut. An overload of a write that began earlier does not cut again. */
  cutAt: number;
  /** Writes since the limit was last evaluated, and whether one of them ran at the full limit. */
  window: Readonly<Partial<Record<WriteKind, Times>>>;
  sawFull: boolean;
}

/** Number of writes, and the sum and minimum of their latencies in milliseconds. */
interface Times {
  count: number;
  sumMs: number;
  leastMs: number;
}

/** The minimum. Fewer would leave a healthy API server idle between two answers. */
export const leastWrites = 4;
/** The maximum. More would only queue in the API server, ahead of other clients' requests. */
export const mostWrites = 64;
/**
 * The limit at start. A first sync of hundreds of Secrets reaches the maximum within a second if the server has room.
 */
const firstWrites = 8;
/** Minimum number of writes in a window. */
const windowWrites = 8;
/**
 * TCP Vegas' thresholds for the writes that queue in the server. Below alpha the server may be idle between two writes;
 * above beta every client waits longer.
 */
const alpha = 4;
const beta = 8;
/**
 * Mean latency in milliseconds below which queueing is ignored. More concurrent writes are then better, because the API
 * server and etcd batch writes. Measured on two cores, until the last Secret of a first sync: 32 instead of the limit
 * without queueing take 15% less time, 64 another 15%, with a third less CPU time of the API server; 96 gain nothing.
 */
const quickMs = 100;
/** Mean latency as a multiple of the best: below the first it is noise, above the second it is a queue. */
const noiseFactor = 2;
const queueFactor = 2.5;
/**
 * Weights, in each window, by which the best latency follows a faster minimum, so that no single answer decides, and a
 * slower minimum, if the server has become slower for good.
 */
const fasterWeight = 0.5;
const slowerWeight = 0.02;

/** The state of a new process. */
export const firstLimit: AdaptiveLimit = {
  limit: firstWrites,
  best: {},
  cutAt: Number.NEGATIVE_INFINITY,
  window: {},
  sawFull: false,
};

/**
 * Returns the state after one write. An overload halves the limit, once for all writes that were under way. A mean
 * latency far above the best of its kind, and above `quickMs`, lowers it by an eighth. Success at the full limit raises
 * it by one, or by a quarter if writes are quick.
 */
export function afterWrite(state: AdaptiveLimit, sample: WriteSample): AdaptiveLimit {
  const { kind, beganAt, endedAt, outcome, wasFull } = sample;
  if (outcome === "overloaded") {
    if (beganAt < state.cutAt) return state;
    const limit = Math.max(Math.floor(state.limit / 2), leastWrites);
    return { ...state, limit, cutAt: endedAt, window: {}, sawFull: false };
  }
  const ms = Math.max(endedAt - beganAt, 0);
  const { count, sumMs, leastMs } = state.window[kind] ?? { count: 0, sumMs: 0, leastMs: ms };
  const times = { count: count + 1, sumMs: sumMs + ms, leastMs: Math.min(leastMs, ms) };
  const window = { ...state.window, [kind]: times };
  const next = { ...state, window, sawFull: state.sawFull || wasFull };
  const counted = (window.secret?.count ?? 0) + (window.status?.count ?? 0);
  return counted < Math.max(windowWrites, state.limit) ? next : judged(next);
}

function judged({ limit, best: before, cutAt, window, sawFull }: AdaptiveLimit): AdaptiveLimit {
  const best = { ...before };
  let [count, sumMs] = [0, 0];
  /** The time that these writes would have taken without queueing. */
  let leastMs = 0;
  for (const kind of ["secret", "status"] as const) {
    const times = window[kind];
    if (!times) continue;
    const was = best[kind] ?? times.leastMs;
    const now = was + (times.leastMs < was ? fasterWeight : slowerWeight) * (times.leastMs - was);
    best[kind] = now;
    count += times.count;
    sumMs += times.sumMs;
    leastMs += times.count * now;
  }
  const waiting = sumMs > 0 ? limit * (1 - leastMs / sumMs) : 0;
  const isQuick = sumMs < quickMs * count;
  const isCrowded = !isQuick && waiting > beta && sumMs > queueFactor * leastMs;
  const hasRoom = isQuick || waiting < alpha || sumMs < noiseFactor * leastMs;
  const eighth = Math.ceil(limit / 8);
  const quarter = Math.ceil(limit / 4);
  const now = hasRoom && sawFull ? limit + (isQuick ? quarter : 1) : isCrowded ? limit - eighth : limit;
  return { limit: Math.min(Math.max(now, leastWrites), mostWrites), best, cutAt, window: {}, sawFull: false };
}
