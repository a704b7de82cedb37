import { uptime } from "node:os";

/** A timer that has been set. Cancelling it twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * The source of time. Everything that reads the time or waits gets a clock through its constructor, so that tests can
 * step it.
 */
export interface Clock {
  /** Milliseconds since the epoch. May jump; measure durations with `monotonic`. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back, and stands still while the machine is suspended. */
  monotonic(): number;
  /** As `monotonic`, but continues while the machine is suspended. Undefined if not supported. */
  boottime?(): number;
  /** Calls `fire` once after `ms` milliseconds (at least 0). */
  setTimer(fire: () => void, ms: number): Timer;
}

/** Returns a number in [0, 1) for jitter. Not cryptographically secure. */
export type Random = () => number;

/** The longest delay of setTimeout in milliseconds: a longer delay fires at once. */
const maxDelayMs = 2 ** 31 - 1;

/** The system clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  // On Linux uptime() reads the file /proc/uptime, which includes suspensions.
  boottime: () => uptime() * 1_000,
  setTimer(fire, ms) {
    const timer = setTimeout(fire, Math.min(Math.max(ms, 0), maxDelayMs));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/**
 * Waits `ms` milliseconds of `clock`, or until `signal` aborts, whichever is first. Never rejects: the caller checks
 * the signal.
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
 * Waits until `work` settles, for at most `ms` milliseconds of `clock`.
 *
 * @returns whether `work` has settled; never rejects
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
export function backoff(
  attempt: number,
  { baseMs, capMs, jitter = 0 }: { baseMs: number; capMs: number; jitter?: number },
  random: Random,
): number {
  const plain = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return plain * (1 + jitter * random());
}
