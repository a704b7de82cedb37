import type { Clock } from "../../runtime/clock.ts";
import { TtlMap } from "../../runtime/ttl-map.ts";

/** Repairs in a row without a delay. */
const atOnce = 3;
/** Milliseconds before the next repair; doubles with each further repair. */
const firstDelayMs = 1_000;
const longestDelayMs = 300_000;
/** Minimum milliseconds without a repair until the backoff resets; twice the delay if that is longer. */
const quietMs = 60_000;

interface Repairs {
  count: number;
  /** Monotonic milliseconds of the last repair. */
  at: number;
}

/**
 * Backoff for repairs of a Secret that others keep changing. Each repair costs a decryption and a write, so the first
 * repairs are immediate, and the delay of the following ones doubles each time.
 */
export class RepairBackoff {
  readonly #clock: Clock;
  readonly #repairs: TtlMap<string, Repairs>;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#repairs = new TtlMap({ clock, ttlMs: quietMs });
  }

  /** Records a repair, or an attempt of one, after a change of the Secret by others. */
  note(key: string): void {
    const count = (this.#repairs.get(key)?.count ?? 0) + 1;
    this.#repairs.set(key, { count, at: this.#clock.monotonic() }, quietAfter(count));
  }

  /** Milliseconds until a change by others may be repaired; 0 for at once. */
  waitMs(key: string): number {
    const repairs = this.#repairs.get(key);
    return repairs ? Math.max(repairs.at + delayAfter(repairs.count) - this.#clock.monotonic(), 0) : 0;
  }

  /** Milliseconds between two repairs; undefined if repairs are not delayed. */
  spacingMs(key: string): number | undefined {
    const repairs = this.#repairs.get(key);
    return repairs && repairs.count >= atOnce ? delayAfter(repairs.count) : undefined;
  }

  /** Milliseconds until the backoff resets without further repairs; undefined if there were none. */
  quietInMs(key: string): number | undefined {
    const repairs = this.#repairs.get(key);
    return repairs && repairs.at + quietAfter(repairs.count) - this.#clock.monotonic();
  }

  forget(key: string): void {
    this.#repairs.delete(key);
  }
}

function delayAfter(count: number): number {
  return count < atOnce ? 0 : Math.min(firstDelayMs * 2 ** (count - atOnce), longestDelayMs);
}

function quietAfter(count: number): number {
  return Math.max(quietMs, 2 * delayAfter(count));
}
