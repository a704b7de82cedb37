import type { Clock } from "../../runtime/clock.ts";
import { TokenBucket } from "../../runtime/token-bucket.ts";
import { type Cut, cutBy, rateAfter } from "./congestion-control.ts";

/** The share of the quota that polls may take, at most. */
export const pollShare = 0.25;
/**
 * The burst after a pause, in seconds of the rate. AWS allows one second. The rest is a margin for varying latency:
 * calls may reach AWS closer together than they were sent.
 */
const burstSeconds = 0.9;
/** Seconds over which use is averaged. */
const averageSeconds = 30;

/**
 * The request quota of one service in one account and region: an adaptive token bucket, and a smaller one for polls.
 * AWS counts the calls of all principals of the account: a throttle means that together they exceed the quota.
 */
export class Quota {
  readonly #clock: Clock;
  readonly #all: TokenBucket;
  readonly #polls: TokenBucket;
  #limit: number;
  #cut: Cut | undefined;
  /** Average requests a second at the instant `#usedAt`. */
  #used = 0;
  #usedAt: number;
  #spentAt: number;

  /** @param limit requests a second, at most */
  constructor(clock: Clock, limit: number) {
    this.#clock = clock;
    this.#limit = limit;
    this.#usedAt = clock.monotonic();
    this.#spentAt = this.#usedAt;
    this.#all = bucketOf(clock, () => this.rate);
    this.#polls = bucketOf(clock, () => pollShare * this.rate);
  }

  /** Milliseconds since the last call, or since the start. */
  get idleMs(): number {
    return this.#clock.monotonic() - this.#spentAt;
  }

  get limit(): number {
    return this.#limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
  }

  /** Requests a second that may be sent now. */
  get rate(): number {
    return rateAfter(this.#cut, this.#limit, this.#clock.monotonic());
  }

  /** The share of the limit that was used in about the last half minute. */
  get usedRatio(): number {
    return this.#average() / this.#limit;
  }

  /** Milliseconds until a call may be sent. */
  waitMs(isPoll: boolean): number {
    return isPoll ? Math.max(this.#all.waitMs, this.#polls.waitMs) : this.#all.waitMs;
  }

  spend(isPoll: boolean): void {
    this.#all.spend();
    if (isPoll) this.#polls.spend();
    this.#used = this.#average() + 1 / averageSeconds;
    this.#spentAt = this.#usedAt;
  }

  /** Undoes a `spend` whose call was not made. */
  refund(isPoll: boolean): void {
    this.#all.spend(-1);
    if (isPoll) this.#polls.spend(-1);
    this.#used = Math.max(this.#average() - 1 / averageSeconds, 0);
  }

  /** Lowers the rate after a throttle. @param sentAt when the throttled call was sent, in monotonic milliseconds */
  throttled(sentAt: number): void {
    const before = this.#cut;
    this.#cut = cutBy(before, this.#limit, sentAt, this.#clock.monotonic());
    if (this.#cut !== before) this.#all.empty();
  }

  #average(): number {
    const now = this.#clock.monotonic();
    this.#used *= Math.exp(-(now - this.#usedAt) / 1_000 / averageSeconds);
    this.#usedAt = now;
    return this.#used;
  }
}

/** The token bucket of a rate that may change at any time. */
export function bucketOf(clock: Clock, rate: () => number): TokenBucket {
  return new TokenBucket(clock, { perSecond: rate, size: () => Math.max(burstSeconds * rate(), 1) });
}
