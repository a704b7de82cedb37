import { backoff, type Clock, type Random } from "../runtime/clock.ts";

/** Outside worlds of a valve. */
export interface CircuitBreakerOptions {
  clock: Clock;
  random: Random;
  /** Called when writes may begin again. */
  opened: () => void;
}

/** Milliseconds for which a 429 closes at most, whatever it asks for. */
const longestMs = 10_000;
/** Milliseconds without a write after a 429 that does not say how long: doubled each time, and stretched by up to half. */
const pause = { baseMs: 500, capMs: 8_000, jitter: 0.5 };

/**
 * Closes after a 429 for as long as the server asks, and then lets one urgent write and one of the mass through, until
 * an answer says that the server takes more.
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  #state: "open" | "closed" | "probing" = "open";
  /** Whether an urgent probe, and one of the mass, is under way. */
  #probes = { urgent: false, bulk: false };
  /** Monotonic milliseconds of the last closing. */
  #closedAt = Number.NEGATIVE_INFINITY;
  /** Closings in a row. */
  #times = 0;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Whether a write may begin. */
  lets(isBulk: boolean): boolean {
    return this.#state === "open" || (this.#state === "probing" && !this.#probes[isBulk ? "bulk" : "urgent"]);
  }

  /** Notes that a write begins. */
  began(isBulk: boolean): void {
    this.#probes[isBulk ? "bulk" : "urgent"] = true;
  }

  /**
   * Notes any end of a write but a 429, or that it lasts: a probe that hangs must not keep all others waiting.
   *
   * @param beganAt monotonic milliseconds
   */
  passed(beganAt: number, isWritten: boolean): void {
    // What was under way at the closing says nothing of what the server takes since.
    if (beganAt <= this.#closedAt || this.#state === "closed") return;
    this.#state = "open";
    if (isWritten) this.#times = 0;
  }

  /** Notes a 429 that may not be meant for all: if it was a probe, another is made. */
  undecided(beganAt: number, isBulk: boolean): void {
    if (beganAt > this.#closedAt) this.#probes[isBulk ? "bulk" : "urgent"] = false;
  }

  /** Notes a 429, which closes, unless it was under way when another did. */
  refused(beganAt: number, retryAfterMs = 0): void {
    if (this.#state === "closed" || beganAt <= this.#closedAt) return;
    const { clock, random, opened } = this.#options;
    const own = backoff(this.#times++, pause.baseMs, pause.capMs, pause.jitter, random);
    this.#state = "closed";
    this.#closedAt = clock.monotonic();
    clock.setTimer(
      () => {
        this.#state = "probing";
        this.#probes = { urgent: false, bulk: false };
        opened();
      },
      Math.max(own, Math.min(retryAfterMs, longestMs)),
    );
  }
}
