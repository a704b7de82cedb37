import { uptime } from "node:os";

/** A timer that has been set; cancelling it twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as the operator sees it. Everything that reads the time or waits gets one through its constructor,
 * so that tests step it by hand.
 */
export interface Clock {
  /** Milliseconds since the epoch. May jump; compare durations with `monotonic`. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back, and stands still while the machine is suspended. */
  monotonic(): number;
  /** As `monotonic`, and goes on while the machine is suspended. Left out where that cannot be told. */
  boottime?(): number;
  /** Calls `fire` once after `ms` milliseconds (at least 0). */
  setTimer(fire: () => void, ms: number): Timer;
}

/** A number in [0, 1), for jitter and spreading; never for anything that has to be hard to guess. */
export type Random = () => number;

/** The longest delay that setTimeout takes, in milliseconds; a longer one fires at once. */
const longestDelayMs = 2 ** 31 - 1;

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  // On Linux it is /proc/uptime, which counts suspensions; it costs a read of a file.
  boottime: () => uptime() * 1_000,
  setTimer(fire, ms) {
    const timer = setTimeout(fire, Math.min(Math.max(ms, 0), longestDelayMs));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/**
 * Waits `ms` milliseconds of `clock`, or until `signal` aborts, whichever is first. Never rejects: the caller looks
 * at the signal.
 */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = () => {
      timer.cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const timer = clock.setTimer(finish, ms);
    signal?.addEventListener("abort", finish, { once: true });
  });
}

/**
 * Waits for `work`, however it ends, for `ms` milliseconds of `clock` at most.
 *
 * @returns whether it has ended; never rejects
 */
export function endsWithin(clock: Clock, work: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(() => resolve(false), ms);
    const end = () => {
      timer.cancel();
      resolve(true);
    };
    work.then(end, end);
  });
}

/**
 * Exponential backoff with jitter.
 *
 * @param attempt 0 for the first retry
 * @returns milliseconds: base × 2^attempt, at most cap, times 1 to 1 + jitter
 */
export function backoff(attempt: number, baseMs: number, capMs: number, jitter: number, random: Random): number {
  const plain = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return plain * (1 + jitter * random());
}
