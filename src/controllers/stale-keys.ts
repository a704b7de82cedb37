import type { Clock } from "../runtime/clock.ts";

/** How long a doubt waits for whoever it concerns, in milliseconds: longer than the longest pause between two tries. */
const countsMs = 3_600_000;

/**
 * What is not to be believed until it has been looked at. Nobody asks any more for what a deleted SyncedSecret wrote
 * to, so that a doubt ends by itself too.
 */
export class StaleKeys {
  readonly #clock: Clock;
  /** Monotonic milliseconds until which each counts; insertion order is the order of these. */
  readonly #until = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(key: string): void {
    const now = this.#clock.monotonic();
    for (const [old, until] of this.#until) {
      if (until > now) break;
      this.#until.delete(old);
    }
    this.#until.delete(key);
    this.#until.set(key, now + countsMs);
  }

  /** Ends a doubt. @returns whether there was one */
  take(key: string): boolean {
    const until = this.#until.get(key);
    this.#until.delete(key);
    return until !== undefined && until > this.#clock.monotonic();
  }
}
