import type { Clock } from "../../runtime/clock.ts";
import type { ParameterState } from "../cache/cache-entry.ts";

/**
 * If the local clock is behind AWS's by at most `atMostMs`, two answers of AWS, `apartMs` apart, prove an expiry. Both
 * in milliseconds.
 */
export const skew = { atMostMs: 300_000, apartMs: 60_000 };

/** Decides by AWS's clock and by the local one whether an Expiration has passed. */
export class ExpiryClock {
  readonly #clock: Clock;
  /** Milliseconds that AWS's clock was ahead of the local clock in the last answer, by identity. */
  readonly #aheadMs = new Map<string, number>();
  /** Parameters that have expired by AWS's clock only; `since` in monotonic milliseconds. */
  readonly #early = new WeakMap<ParameterState, { expiresAt: number; since: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Records how many milliseconds AWS's clock is ahead of the local one. */
  heard(identityKey: string, aheadMs: number): void {
    this.#aheadMs.set(identityKey, aheadMs);
  }

  /** Forgets an identity without entries. */
  forget(identityKey: string): void {
    this.#aheadMs.delete(identityKey);
  }

  /** Milliseconds until an instant, by AWS's clock as the identity last heard it. */
  restMs(identityKey: string, at: number): number {
    return at - this.#clock.now() - (this.#aheadMs.get(identityKey) ?? 0);
  }

  /** Whether an Expiration has passed by AWS's clock only, and waits for a second answer. */
  isEarly(state: ParameterState, expiresAt: number): boolean {
    return this.#early.get(state)?.expiresAt === expiresAt;
  }

  /**
   * Whether an Expiration has passed by AWS's clock and by the local one. If the local clock is up to five minutes
   * behind, a second answer of AWS a minute later suffices. If it is further behind, nothing expires until both clocks
   * agree.
   *
   * @param answer when AWS answered: milliseconds since the epoch by our clock, and how far AWS's clock is ahead
   * @returns `early` if a second answer is needed, at least `skew.apartMs` after the first
   */
  hasPassed(state: ParameterState, expiresAt: number, { now, aheadMs }: { now: number; aheadMs: number }) {
    if (expiresAt > now + aheadMs) return false;
    if (expiresAt <= now) return true;
    if (aheadMs > skew.atMostMs) return false;
    const early = this.#early.get(state);
    if (early?.expiresAt !== expiresAt) this.#early.set(state, { expiresAt, since: this.#clock.monotonic() });
    else if (this.#clock.monotonic() - early.since >= skew.apartMs) return true;
    return "early" as const;
  }
}
