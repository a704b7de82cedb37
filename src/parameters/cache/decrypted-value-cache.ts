import type { Clock, Timer } from "../../runtime/clock.ts";
import type { StampedValue } from "../read/version-stamp.ts";
import type { Entry } from "./cache-entry.ts";

/** Bytes of all cached values, at most. The oldest are evicted first, and read again when needed. */
const bytesAtMost = 16 * 1_048_576;
/** Milliseconds that a value is cached, at most, however long the reconciles take. */
const heldAtMostMs = 60_000;

interface Held {
  values: ReadonlyMap<string, StampedValue>;
  /** The entry's version at the read: another one means other values. */
  version: number;
  until: number;
  bytes: number;
}

/** The values of the reconciles in progress, so that a thousand dependents cost one read. */
export class DecryptedValueCache {
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();
  #timer: Timer | undefined;
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#held.size;
  }

  get(entry: Entry): ReadonlyMap<string, StampedValue> | undefined {
    const held = this.#held.get(entry.key);
    if (!held) return undefined;
    if (held.until > this.#clock.monotonic() && held.version === entry.version) return held.values;
    this.drop(entry);
    return undefined;
  }

  hold(entry: Entry, values: ReadonlyMap<string, StampedValue>): void {
    const until = this.#clock.monotonic() + heldAtMostMs;
    this.drop(entry);
    let bytes = 0;
    for (const { value } of values.values()) bytes += value.size;
    this.#held.set(entry.key, { values, version: entry.version, until, bytes });
    this.#bytes += bytes;
    for (const key of this.#held.keys()) {
      if (this.#bytes <= bytesAtMost || key === entry.key) break;
      this.#delete(key);
    }
    this.#timer ??= this.#clock.setTimer(() => this.#expire(), heldAtMostMs);
  }

  drop(entry: Entry): void {
    this.#delete(entry.key);
  }

  #delete(key: string): void {
    this.#bytes -= this.#held.get(key)?.bytes ?? 0;
    this.#held.delete(key);
  }

  end(): void {
    this.#held.clear();
    this.#bytes = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Evicts expired values. Insertion order is the order of `until`. */
  #expire(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (const [key, { until }] of this.#held) {
      if (until > now) {
        this.#timer = this.#clock.setTimer(() => this.#expire(), until - now);
        return;
      }
      this.#delete(key);
    }
  }
}
