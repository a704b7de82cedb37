import { backoff, type Clock, type Random, sleep } from "../runtime/clock.ts";

const baseMs = 800;
const capMs = 30_000;
const jitter = 1;
/** So long without a delay, and the server counts as healthy again. */
const resetMs = 2 * 60_000;
/** What a server may make us wait at most, so that a wrong Retry-After does not stop the watch. */
const longestRetryAfterMs = 60_000;

/**
 * The delays of a reflector, as client-go's: 800 ms, doubled each time, 30 s at most, each stretched by up to as much
 * again; from the beginning after two minutes without one. Durations are measured by the monotonic clock.
 */
export class ReflectorBackoff {
  #clock: Clock;
  #random: Random;
  #attempt = 0;
  #lastEnd: number | undefined;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Waits the next delay, longer where the server asked for it, or until the signal aborts. */
  async delay(signal: AbortSignal, retryAfterMs = 0): Promise<void> {
    if (this.#lastEnd !== undefined && this.#clock.monotonic() - this.#lastEnd > resetMs) this.#attempt = 0;
    const ms = backoff(this.#attempt++, baseMs, capMs, jitter, this.#random);
    await sleep(this.#clock, Math.max(ms, Math.min(retryAfterMs, longestRetryAfterMs)), signal);
    this.#lastEnd = this.#clock.monotonic();
  }
}
