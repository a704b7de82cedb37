import { backoff, type Clock, type Random, sleep } from "../../runtime/clock.ts";

const baseMs = 800;
const capMs = 30_000;
const jitter = 1;
/** Milliseconds without a delay after which the backoff resets. */
const resetMs = 2 * 60_000;
/** Maximum Retry-After that is honored, so that a wrong one does not stop the watch. */
const maxRetryAfterMs = 60_000;

/**
 * The backoff of client-go's reflector: 800 ms, doubled each time up to 30 s, times 1 to 2 as jitter. It resets after
 * two minutes without a delay. Durations are measured by the monotonic clock.
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

  /** Waits for the next delay, or for Retry-After if longer, or until the signal aborts. */
  async delay(signal: AbortSignal, retryAfterMs = 0): Promise<void> {
    if (this.#lastEnd !== undefined && this.#clock.monotonic() - this.#lastEnd > resetMs) this.#attempt = 0;
    const ms = backoff(this.#attempt++, { baseMs, capMs, jitter }, this.#random);
    await sleep(this.#clock, Math.max(ms, Math.min(retryAfterMs, maxRetryAfterMs)), signal);
    this.#lastEnd = this.#clock.monotonic();
  }
}
