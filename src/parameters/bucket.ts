import type { Clock } from "../runtime/clock.ts";

/**
 * The burst after a pause, in seconds of the rate. AWS allows one second. The rest is a margin for varying latency:
 * calls may reach AWS closer together than they were sent.
 */
const burst = 0.9;

/** A token bucket whose rate may change at any time. It starts full and holds 0.9 seconds of the rate, at least 1. */
export class Bucket {
  readonly #clock: Clock;
  readonly #rate: () => number;
  #tokens: number;
  #at: number;

  /** @param rate tokens a second at this moment */
  constructor(clock: Clock, rate: () => number) {
    this.#clock = clock;
    this.#rate = rate;
    this.#at = clock.monotonic();
    this.#tokens = this.#size();
  }

  /** Milliseconds until a token is available; 0 if one is. */
  get waitMs(): number {
    this.#fill();
    return this.#tokens >= 1 ? 0 : ((1 - this.#tokens) / this.#rate()) * 1_000;
  }

  /** Takes a token; the count may become negative. */
  spend(): void {
    this.#fill();
    this.#tokens -= 1;
  }

  /** Drops the saved tokens. */
  empty(): void {
    this.#fill();
    this.#tokens = Math.min(this.#tokens, 0);
  }

  #size(): number {
    return Math.max(burst * this.#rate(), 1);
  }

  #fill(): void {
    const now = this.#clock.monotonic();
    const added = ((now - this.#at) / 1_000) * this.#rate();
    this.#tokens = Math.min(this.#tokens + added, this.#size());
    this.#at = now;
  }
}
