import type { Reference } from "../../parameters/reference.ts";
import { isBelow } from "../../parameters/reference.ts";
import type { Clock } from "../../runtime/clock.ts";
import { nameOf } from "./announced.ts";

/** Maximum number of names; the oldest are dropped first. */
const namesAtMost = 10_000;

/** The parameters of a queue's recent events: a change that a look finds soon after is attributed to the event. */
export class RecentNotices {
  readonly #clock: Clock;
  readonly #keptMs: number;
  /** By place and name, oldest first; `at` is monotonic. */
  readonly #seen = new Map<string, { place: string; name: string; at: number }>();

  /** @param keptMs milliseconds that a notice is kept */
  constructor(clock: Clock, keptMs: number) {
    this.#clock = clock;
    this.#keptMs = keptMs;
  }

  /** @param place a result of `placeOf` */
  add(place: string, name: string): void {
    const key = keyOf(place, name);
    this.#seen.delete(key);
    this.#seen.set(key, { place, name, at: this.#clock.monotonic() });
    this.#prune();
  }

  /** Whether a recent notice concerns a reference at `place`. */
  has(place: string, reference: Reference): boolean {
    this.#prune();
    if (reference.kind === "parameter") {
      const name = nameOf(reference);
      return name !== undefined && this.#seen.has(keyOf(place, name));
    }
    for (const seen of this.#seen.values()) if (seen.place === place && isBelow(seen.name, reference)) return true;
    return false;
  }

  #prune(): void {
    const oldest = this.#clock.monotonic() - this.#keptMs;
    for (const [key, { at }] of this.#seen) {
      if (at >= oldest && this.#seen.size <= namesAtMost) return;
      this.#seen.delete(key);
    }
  }
}

function keyOf(place: string, name: string): string {
  return `${place}\n${name}`;
}
