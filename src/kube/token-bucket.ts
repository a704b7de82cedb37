import type { Clock } from "../runtime/clock.ts";

/**
 * Lets so many through at once, and then one an interval, for each key by itself. Remembers the keys that were asked
 * for last; one that is forgotten begins anew.
 */
export class TokenBuckets {
  #buckets = new Map<string, { tokens: number; at: number }>();
  #clock: Pick<Clock, "monotonic">;
  #burst: number;
  #intervalMs: number;
  #mostKeys: number;

  constructor(clock: Pick<Clock, "monotonic">, limits: { burst: number; intervalMs: number; mostKeys: number }) {
    this.#clock = clock;
    this.#burst = limits.burst;
    this.#intervalMs = limits.intervalMs;
    this.#mostKeys = limits.mostKeys;
  }

  /** Whether one more may pass; takes its token if so. */
  take(key: string): boolean {
    const now = this.#clock.monotonic();
    const { tokens, at } = this.#buckets.get(key) ?? { tokens: this.#burst, at: now };
    const filled = Math.min(this.#burst, tokens + (now - at) / this.#intervalMs);
    const passes = filled >= 1;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: passes ? filled - 1 : filled, at: now });
    // A bucket that is full again is as good as none. The oldest comes first.
    for (const [old, bucket] of this.#buckets) {
      if (now - bucket.at < this.#burst * this.#intervalMs) break;
      this.#buckets.delete(old);
    }
    if (this.#buckets.size > this.#mostKeys) this.#buckets.delete(this.#buckets.keys().next().value!);
    return passes;
  }
}
