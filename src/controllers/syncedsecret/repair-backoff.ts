import type { Clock } from "../../runtime/clock.ts";

/** Repairs in a row that are made at once. */
const atOnce = 3;
/** Milliseconds before the next one; it doubles from there. */
const firstDelayMs = 1_000;
const longestDelayMs = 300_000;
/** Milliseconds without a repair after which all is forgotten, at least; twice the delay where that is longer. */
const quietMs = 60_000;

interface Repairs {
  count: number;
  /** Monotonic milliseconds of the last one. */
  at: number;
}

/**
 * How long the next repair of a Secret waits that others change again and again. An edit war costs one decryption and one
 * write a repair, and nobody wins it: the first repairs are made at once, those that follow wait twice as long each time.
 */
export class RepairBackoff {
  readonly #clock: Clock;
  readonly #repairs = new Map<string, Repairs>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes that a change of the Secret by others had a SyncedSecret's Secret written, or tried to. */
  note(key: string): void {
    const count = (this.#current(key)?.count ?? 0) + 1;
    this.#repairs.set(key, { count, at: this.#clock.monotonic() });
  }

  /** Milliseconds that a change by others waits before it is looked at; 0 where it need not. */
  waitMs(key: string): number {
    const repairs = this.#current(key);
    return repairs ? Math.max(repairs.at + delayAfter(repairs.count) - this.#clock.monotonic(), 0) : 0;
  }

  /** Milliseconds between two repairs, where they are held back; undefined where there is peace. */
  spacingMs(key: string): number | undefined {
    const repairs = this.#current(key);
    return repairs && repairs.count >= atOnce ? delayAfter(repairs.count) : undefined;
  }

  /** Milliseconds until all is forgotten, if nothing happens; undefined where nothing is remembered. */
  quietInMs(key: string): number | undefined {
    const repairs = this.#current(key);
    return repairs && repairs.at + quietAfter(repairs.count) - this.#clock.monotonic();
  }

  forget(key: string): void {
    this.#repairs.delete(key);
  }

  #current(key: string): Repairs | undefined {
    const repairs = this.#repairs.get(key);
    if (repairs && this.#clock.monotonic() - repairs.at >= quietAfter(repairs.count)) {
      this.#repairs.delete(key);
      return undefined;
    }
    return repairs;
  }
}

function delayAfter(count: number): number {
  return count < atOnce ? 0 : Math.min(firstDelayMs * 2 ** (count - atOnce), longestDelayMs);
}

function quietAfter(count: number): number {
  return Math.max(quietMs, 2 * delayAfter(count));
}
