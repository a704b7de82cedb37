/** How one write to the API server came out. */
export interface WriteSample {
  /** Milliseconds of a monotonic clock. */
  beganAt: number;
  endedAt: number;
  /**
   * - `done`: the server answered, also with a refusal;
   * - `overloaded`: it could not, or not in time: 429, 5xx, no whole answer.
   */
  outcome: "done" | "overloaded";
  /** Whether as many writes were under way as were let. With fewer, success says nothing of a larger number. */
  wasFull: boolean;
}

/** How many writes may be under way at once, and what it was learnt from. */
export interface WriteLimit {
  /** A whole number. */
  limit: number;
  /** Milliseconds of a write that waited for nothing in the server; undefined before the first. */
  bestMs: number | undefined;
  /** Milliseconds of a monotonic clock: what began before has been punished already. */
  cutAt: number;
  /** Writes since the limit was last looked at, the sum of their times, the shortest, and whether one met a full house. */
  count: number;
  sumMs: number;
  leastMs: number;
  sawFull: boolean;
}

/** Fewer would leave a healthy API server idle between two answers. */
export const leastWrites = 4;
/** More only queue in the API server, before everybody else's. */
export const mostWrites = 32;
/** Where a process begins: a first sync of hundreds comes to more within a second, where the server has room for it. */
const firstWrites = 8;
/** Writes by which a limit is judged, at least. */
const windowWrites = 8;
/**
 * Writes that wait in the server, as TCP Vegas reckons them. With fewer than the first the server may run dry between
 * two of ours; more than the second only make everybody wait.
 */
const keepsBusy = 4;
const crowds = 8;
/** How far the best time follows a server that has become slower for good, each window. */
const forgets = 0.02;

/** The limit that a process begins with. */
export const firstLimit: WriteLimit = {
  limit: firstWrites,
  bestMs: undefined,
  cutAt: Number.NEGATIVE_INFINITY,
  ...emptyWindow(),
};

/**
 * The limit that follows from a write. An overload halves it, once for all that were under way; a time that has grown
 * well past the best lowers it by an eighth; success in a full house raises it by one.
 */
export function afterWrite(state: WriteLimit, { beganAt, endedAt, outcome, wasFull }: WriteSample): WriteLimit {
  if (outcome === "overloaded") {
    if (beganAt < state.cutAt) return state;
    const limit = Math.max(Math.floor(state.limit / 2), leastWrites);
    return { ...state, limit, cutAt: endedAt, ...emptyWindow() };
  }
  const ms = Math.max(endedAt - beganAt, 0);
  const next = {
    ...state,
    count: state.count + 1,
    sumMs: state.sumMs + ms,
    leastMs: Math.min(state.leastMs, ms),
    sawFull: state.sawFull || wasFull,
  };
  return next.count < Math.max(windowWrites, state.limit) ? next : judged(next);
}

function judged({ limit, bestMs: before, cutAt, count, sumMs, leastMs, sawFull }: WriteLimit): WriteLimit {
  const bestMs = before === undefined || leastMs < before ? leastMs : before + forgets * (leastMs - before);
  const meanMs = sumMs / count;
  const waiting = meanMs > 0 ? limit * (1 - bestMs / meanMs) : 0;
  const fewer = waiting > crowds ? limit - Math.ceil(limit / 8) : limit;
  const now = waiting < keepsBusy && sawFull ? limit + 1 : fewer;
  return { limit: Math.min(Math.max(now, leastWrites), mostWrites), bestMs, cutAt, ...emptyWindow() };
}

function emptyWindow() {
  return { count: 0, sumMs: 0, leastMs: Number.POSITIVE_INFINITY, sawFull: false };
}
