import type { Clock, Timer } from "../runtime/clock.ts";
import { type Entry, fingerprint, type Sighted } from "./entry.ts";

/** The longest that a value is held, in milliseconds, however long its wave takes. */
const heldAtMostMs = 60_000;

interface Held {
  values: ReadonlyMap<string, Sighted>;
  /** What was known of the entry when the values were read: another version means other values. */
  seen: string;
  until: number;
}

/** The values of the wave of reconciles that is under way, so that a thousand dependants cost one read. */
export class Wave {
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#held.size;
  }

  get(entry: Entry): ReadonlyMap<string, Sighted> | undefined {
    const held = this.#held.get(entry.key);
    if (!held) return undefined;
    if (held.until > this.#clock.monotonic() && held.seen === fingerprint(entry)) return held.values;
    this.#held.delete(entry.key);
    return undefined;
  }

  hold(entry: Entry, values: ReadonlyMap<string, Sighted>): void {
    const until = this.#clock.monotonic() + heldAtMostMs;
    this.#held.delete(entry.key);
    this.#held.set(entry.key, { values, seen: fingerprint(entry), until });
    this.#timer ??= this.#clock.setTimer(() => this.#sweep(), heldAtMostMs);
  }

  drop(entry: Entry): void {
    this.#held.delete(entry.key);
  }

  end(): void {
    this.#held.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Lets go of what has been held for too long. Insertion order is the order of `until`. */
  #sweep(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (const [key, { until }] of this.#held) {
      if (until > now) {
        this.#timer = this.#clock.setTimer(() => this.#sweep(), until - now);
        return;
      }
      this.#held.delete(key);
    }
  }
}
