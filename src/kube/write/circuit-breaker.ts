import { backoff, type Clock, type Random } from "../../runtime/clock.ts";

/** What a circuit breaker works with. */
export interface CircuitBreakerOptions {
  clock: Clock;
  random: Random;
  /** Called when probes may begin. */
  halfOpened: () => void;
}

/** Milliseconds for which a 429 opens the breaker at most, whatever Retry-After says. */
const longestMs = 10_000;
/** Milliseconds without a write after a 429 without Retry-After: doubled each time, with up to half of jitter. */
const pause = { baseMs: 500, capMs: 8_000, jitter: 0.5 };

/**
 * Opens after a 429 for as long as the server asks. Then it is half-open: one urgent write and one bulk write may
 * probe, until an answer shows that the server accepts writes again.
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  #state: "closed" | "open" | "half-open" = "closed";
  /** Whether an urgent probe, and a bulk probe, is under way. */
  #probes = { urgent: false, bulk: false };
  /** Monotonic milliseconds when the breaker last opened. */
  #openedAt = Number.NEGATIVE_INFINITY;
  /** How often it has opened in a row. */
  #times = 0;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Whether a write may begin. */
  lets(isBulk: boolean): boolean {
    return this.#state === "closed" || (this.#state === "half-open" && !this.#probes[isBulk ? "bulk" : "urgent"]);
  }

  /** Notes that a write begins. */
  began(isBulk: boolean): void {
    this.#probes[isBulk ? "bulk" : "urgent"] = true;
  }

  /**
   * Notes a write that ended without a 429, or that takes long: a probe that hangs must not hold up all others.
   *
   * @param beganAt monotonic milliseconds
   */
  passed(beganAt: number, isWritten: boolean): void {
    // A write that began before the breaker opened proves nothing about the server since then.
    if (beganAt <= this.#openedAt || this.#state === "open") return;
    this.#state = "closed";
    if (isWritten) this.#times = 0;
  }

  /** Notes a 429 that may concern one namespace only: if the write was a probe, another probe may begin. */
  undecided(beganAt: number, isBulk: boolean): void {
    if (beganAt > this.#openedAt) this.#probes[isBulk ? "bulk" : "urgent"] = false;
  }

  /** Notes a 429. Opens the breaker, unless the write began before the breaker last opened. */
  refused(beganAt: number, retryAfterMs = 0): void {
    if (this.#state === "open" || beganAt <= this.#openedAt) return;
    const { clock, random, halfOpened } = this.#options;
    const own = backoff(this.#times++, pause, random);
    this.#state = "open";
    this.#openedAt = clock.monotonic();
    clock.setTimer(
      () => {
        this.#state = "half-open";
        this.#probes = { urgent: false, bulk: false };
        halfOpened();
      },
      Math.max(own, Math.min(retryAfterMs, longestMs)),
    );
  }
}
