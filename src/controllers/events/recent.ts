import type { Reference } from "../../parameters/read/reference.ts";
import { isBelow } from "../../parameters/read/reference.ts";
import type { Clock } from "../../runtime/clock.ts";
import { TtlMap } from "../../runtime/ttl-map.ts";
import { nameOf } from "./announced.ts";

/** Maximum number of names; the oldest are dropped first. */
const namesAtMost = 10_000;

/** The parameters of a queue's recent events: a change that a look finds soon after is attributed to the event. */
export class RecentNotices {
  /** By place and name. */
  readonly #seen: TtlMap<string, { place: string; name: string }>;

  /** @param keptMs milliseconds that a notice is kept */
  constructor(clock: Clock, keptMs: number) {
    this.#seen = new TtlMap({ clock, ttlMs: keptMs, maxSize: namesAtMost });
  }

  /** @param place a result of `placeOf` */
  add(place: string, name: string): void {
    this.#seen.set(keyOf(place, name), { place, name });
  }

  /** Whether a recent notice concerns a reference at `place`. */
  has(place: string, reference: Reference): boolean {
    if (reference.kind === "parameter") {
      const name = nameOf(reference);
      return name !== undefined && this.#seen.has(keyOf(place, name));
    }
    for (const seen of this.#seen.values()) if (seen.place === place && isBelow(seen.name, reference)) return true;
    return false;
  }
}

function keyOf(place: string, name: string): string {
  return `${place}\n${name}`;
}
