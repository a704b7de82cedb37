import type { Clock } from "../runtime/clock.ts";

/** Milliseconds that a key stays stale: longer than the longest retry delay. */
const countsMs = 3_600_000;

/**
 * Keys whose cached state must not be used until they have been read live. Entries expire, because nobody asks again
 * for the Secrets of a deleted SyncedSecret.
 */
export class StaleKeys {
  readonly #clock: Clock;
  /** Monotonic milliseconds until which each key is stale; insertion order is expiry order. */
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

  /** Clears a stale key. @returns whether the key was stale */
  take(key: string): boolean {
    const until = this.#until.get(key);
    this.#until.delete(key);
    return until !== undefined && until > this.#clock.monotonic();
  }
}
