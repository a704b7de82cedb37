import type { Clock } from "../runtime/clock.ts";

/**
 * The share of a second's worth that may go at once after a pause. AWS lets a whole second's worth through; what is
 * left out is for calls that were long on their way when later ones are not.
 */
const burst = 0.9;

/** A token bucket whose rate may change at any time. It begins full, and holds 0.9 seconds' worth, one token at least. */
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

  /** Milliseconds until a token is there; 0 where one is. */
  get waitMs(): number {
    this.#fill();
    return this.#tokens >= 1 ? 0 : ((1 - this.#tokens) / this.#rate()) * 1_000;
  }

  /** Takes a token; the bucket may owe one afterwards. */
  spend(): void {
    this.#fill();
    this.#tokens -= 1;
  }

  /** Takes out what is saved. */
  empty(): void {
    this.#fill();
    this.#tokens = Math.min(this.#tokens, 0);
  }

  #size(): number {
    return Math.max(burst * this.#rate(), 1);
  }

  #fill(): void {
    const now = this.#clock.monotonic();
    const won = ((now - this.#at) / 1_000) * this.#rate();
    this.#tokens = Math.min(this.#tokens + won, this.#size());
    this.#at = now;
  }
}
