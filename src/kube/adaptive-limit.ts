/** What is written. Only like is compared with like: a status takes less time than a Secret. */
export type WriteKind = "secret" | "status";

/** How one write to the API server came out. */
export interface WriteSample {
  kind: WriteKind;
  /** Milliseconds of a monotonic clock. */
  beganAt: number;
  endedAt: number;
  /**
   * - `done`: the server wrote it. A refusal is no sample, since it may come before any of the work;
   * - `overloaded`: the server could not write it, or not in time, and would no other either.
   */
  outcome: "done" | "overloaded";
  /** Whether as many writes were under way as were let. With fewer, success says nothing of a larger number. */
  wasFull: boolean;
}

/** How many writes may be under way at once, and what it was learnt from. */
export interface AdaptiveLimit {
  /** A whole number. */
  limit: number;
  /** Milliseconds of a write that waited for nothing in the server, by kind; none before the first. */
  best: Readonly<Partial<Record<WriteKind, number>>>;
  /** Milliseconds of a monotonic clock: what began before has been punished already. */
  cutAt: number;
  /** Writes since the limit was last looked at, and whether one met a full house. */
  window: Readonly<Partial<Record<WriteKind, Times>>>;
  sawFull: boolean;
}

/** How many writes, the sum of their times and the shortest, in milliseconds. */
interface Times {
  count: number;
  sumMs: number;
  leastMs: number;
}

/** Fewer would leave a healthy API server idle between two answers. */
export const leastWrites = 4;
/** More only queue in the API server, before everybody else's. */
export const mostWrites = 32;
/** Where a process begins: a first sync of hundreds comes to the most within a second, where the server has room for it. */
const firstWrites = 8;
/** Writes by which a limit is judged, at least. */
const windowWrites = 8;
/**
 * Writes that wait in the server, as TCP Vegas reckons them. With fewer than the first the server may run dry between
 * two of ours; more than the second only make everybody wait.
 */
const keepsBusy = 4;
const crowds = 8;
/**
 * Milliseconds of a mean time that nobody minds. Below them more under way is better for everybody, since the server and
 * its etcd do several writes in one go: on two cores a first sync takes 15% less with 32 than with what waits for nothing,
 * and the API server a tenth less processor time.
 */
const quickMs = 100;
/** A mean time of so many times the best is what times scatter by on their own; from the second on it is a queue. */
const scatters = 2;
const queues = 2.5;
/** How far the best time follows a faster one, so that no single answer rules, and a server slower for good, each window. */
const follows = 0.5;
const forgets = 0.02;

/** The limit that a process begins with. */
export const firstLimit: AdaptiveLimit = {
  limit: firstWrites,
  best: {},
  cutAt: Number.NEGATIVE_INFINITY,
  window: {},
  sawFull: false,
};

/**
 * The limit that follows from a write. An overload halves it, once for all that were under way; a time that has grown
 * well past the best of its kind, and past what nobody minds, lowers it by an eighth; success in a full house raises it by
 * one, or by an eighth where it is quick.
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
  /** What the same writes would have taken in an empty server. */
  let leastMs = 0;
  for (const kind of ["secret", "status"] as const) {
    const times = window[kind];
    if (!times) continue;
    const was = best[kind] ?? times.leastMs;
    const now = was + (times.leastMs < was ? follows : forgets) * (times.leastMs - was);
    best[kind] = now;
    count += times.count;
    sumMs += times.sumMs;
    leastMs += times.count * now;
  }
  const waiting = sumMs > 0 ? limit * (1 - leastMs / sumMs) : 0;
  const isQuick = sumMs < quickMs * count;
  const isCrowded = !isQuick && waiting > crowds && sumMs > queues * leastMs;
  const hasRoom = isQuick || waiting < keepsBusy || sumMs < scatters * leastMs;
  const eighth = Math.ceil(limit / 8);
  const now = hasRoom && sawFull ? limit + (isQuick ? eighth : 1) : isCrowded ? limit - eighth : limit;
  return { limit: Math.min(Math.max(now, leastWrites), mostWrites), best, cutAt, window: {}, sawFull: false };
}
