import type { Clock } from "../runtime/clock.ts";

/**
 * A token bucket for each key: `burst` at once, then one per interval. Keeps the `mostKeys` most recently used buckets;
 * an evicted key starts with a full bucket.
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

  /** Takes a token. Returns whether there was one. */
  take(key: string): boolean {
    const now = this.#clock.monotonic();
    const { tokens, at } = this.#buckets.get(key) ?? { tokens: this.#burst, at: now };
    const filled = Math.min(this.#burst, tokens + (now - at) / this.#intervalMs);
    const passes = filled >= 1;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: passes ? filled - 1 : filled, at: now });
    // Drop full buckets: a new one would be equal. The map is ordered by last use.
    for (const [old, bucket] of this.#buckets) {
      if (now - bucket.at < this.#burst * this.#intervalMs) break;
      this.#buckets.delete(old);
    }
    if (this.#buckets.size > this.#mostKeys) this.#buckets.delete(this.#buckets.keys().next().value!);
    return passes;
  }
}
