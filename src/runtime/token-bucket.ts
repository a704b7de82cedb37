import type { Clock } from "./clock.ts";

/** What a bucket gains and holds. Both may change at any time. */
export interface TokenRate {
  /** Tokens gained each second. */
  perSecond: () => number;
  /** Tokens held at most: what may be spent at once after a pause. */
  size: () => number;
}

/** A token bucket. It starts full. */
export class TokenBucket {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #rate: TokenRate;
  #tokens: number;
  #at: number;

  constructor(clock: Pick<Clock, "monotonic">, rate: TokenRate) {
    this.#clock = clock;
    this.#rate = rate;
    this.#at = clock.monotonic();
    this.#tokens = rate.size();
  }

  /** Milliseconds until a token is available; 0 if one is. */
  get waitMs(): number {
    this.#fill();
    return this.#tokens >= 1 ? 0 : ((1 - this.#tokens) / this.#rate.perSecond()) * 1_000;
  }

  /** Whether a new bucket would be equal. */
  get isFull(): boolean {
    this.#fill();
    return this.#tokens >= this.#rate.size();
  }

  /** Takes tokens. The count may become negative: later callers wait longer. */
  spend(tokens = 1): void {
    this.#fill();
    this.#tokens -= tokens;
  }

  /** Drops the saved tokens. */
  empty(): void {
    this.#fill();
    this.#tokens = Math.min(this.#tokens, 0);
  }

  #fill(): void {
    const now = this.#clock.monotonic();
    const gained = ((now - this.#at) / 1_000) * this.#rate.perSecond();
    this.#tokens = Math.min(this.#tokens + gained, this.#rate.size());
    this.#at = now;
  }
}

/** A token bucket for each key. Keeps the most recently used ones; a key whose bucket is dropped starts with a full one. */
export class KeyedTokenBuckets {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #rate: TokenRate;
  readonly #maxKeys: number;
  /** In the order of their last use. */
  readonly #buckets = new Map<string, TokenBucket>();

  /** @param limits.size tokens that a key may spend at once */
  constructor(
    clock: Pick<Clock, "monotonic">,
    limits: { readonly size: number; readonly perSecond: number; readonly maxKeys: number },
  ) {
    this.#clock = clock;
    this.#rate = { perSecond: () => limits.perSecond, size: () => limits.size };
    this.#maxKeys = limits.maxKeys;
  }

  /** Milliseconds until a key has a token; 0 if it has one. */
  waitMs(key: string): number {
    return this.#buckets.get(key)?.waitMs ?? 0;
  }

  /** Takes tokens of a key. */
  spend(key: string, tokens = 1): void {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#clock, this.#rate);
    bucket.spend(tokens);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    for (const [old, { isFull }] of this.#buckets) {
      if (!isFull && this.#buckets.size <= this.#maxKeys) break;
      this.#buckets.delete(old);
    }
  }

  /** Takes a token of a key. Returns whether there was one. A refused key counts as used: it stays limited. */
  take(key: string): boolean {
    const isGranted = this.waitMs(key) === 0;
    this.spend(key, isGranted ? 1 : 0);
    return isGranted;
  }
}
