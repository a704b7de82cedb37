import type { Reference } from "../../parameters/reference.ts";
import { isBelow } from "../../parameters/reference.ts";
import type { Clock } from "../../runtime/clock.ts";
import { nameOf } from "./announced.ts";

/** Names that are remembered, at most; the oldest give way. */
const namesAtMost = 10_000;

/** Which parameters a queue's events have lately been about: a look that finds a change then owes it to the event. */
export class RecentNotices {
  readonly #clock: Clock;
  readonly #keptMs: number;
  /** By place and name, the oldest first; `at` by the monotonic clock. */
  readonly #seen = new Map<string, { place: string; name: string; at: number }>();

  /** @param keptMs milliseconds that a notice is remembered */
  constructor(clock: Clock, keptMs: number) {
    this.#clock = clock;
    this.#keptMs = keptMs;
  }

  /** @param place as `placeOf` makes them */
  add(place: string, name: string): void {
    const key = keyOf(place, name);
    this.#seen.delete(key);
    this.#seen.set(key, { place, name, at: this.#clock.monotonic() });
    this.#prune();
  }

  /** Whether one of those that are remembered was about a reference, which lies in `place`. */
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
