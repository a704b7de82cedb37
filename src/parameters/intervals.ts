import type { Entry } from "./entry.ts";
import { pollShare } from "./quota.ts";
import type { Place, Quotas } from "./quotas.ts";
import type { Reference } from "./reference.ts";

/** How much rarer polls are of what AWS announces, by a queue that has proved itself. */
export const announcedFactor = 10;
/** Parameters in one call. */
const namesInACall = 10;
/** The steps by which polls are stretched: finer, and a status would change with every resource. */
const step = 1.1;

export interface IntervalsOptions {
  quotas: Quotas;
  /** Whether a queue that has proved itself announces what becomes of a reference. */
  isAnnounced: (reference: Reference) => boolean;
  /** Called when the intervals of a quota are stretched otherwise than before. */
  stretched: (place: Place) => void;
}

interface Demand {
  place: Place;
  /** Calls a second that polls at the asked intervals would take. */
  perSecond: number;
}

/**
 * How long it is from one poll of an entry to the next: what its dependants ask for, longer where AWS announces
 * changes, and stretched for all of a quota alike where polls would take more than their share of it.
 */
export class Intervals {
  readonly #options: IntervalsOptions;
  readonly #demands = new Map<Entry, Demand>();
  readonly #sums = new WeakMap<Place, number>();
  readonly #stretches = new WeakMap<Place, number>();

  constructor(options: IntervalsOptions) {
    this.#options = options;
  }

  /** Milliseconds until an entry's next poll; Infinity for what is never polled. */
  of(entry: Entry): number {
    const { quotas, isAnnounced } = this.#options;
    const place = quotas.place(entry.reference.identity.key, "ssm");
    const isSilent = entry.failure?.next === "retry";
    const asked = entry.intervalMs * (!isSilent && isAnnounced(entry.reference) ? announcedFactor : 1);
    const calls = entry.reference.kind === "path" ? Math.max(Math.ceil(entry.members.size / namesInACall), 1) : 0.1;
    this.#note(entry, { place, perSecond: (1_000 * calls) / asked });
    return asked * this.#stretchOf(place);
  }

  /** Takes an entry that nobody depends on out of the account. */
  drop(entry: Entry): void {
    const demand = this.#demands.get(entry);
    if (!demand) return;
    this.#demands.delete(entry);
    this.#add(demand.place, -demand.perSecond);
  }

  /** By how much the polls of an identity are stretched; 1 where they are not. */
  stretch(identityKey: string): number {
    return this.#stretchOf(this.#options.quotas.place(identityKey, "ssm"));
  }

  #note(entry: Entry, after: Demand): void {
    const before = this.#demands.get(entry);
    if (before?.place === after.place && before.perSecond === after.perSecond) return;
    if (before) this.#add(before.place, -before.perSecond);
    this.#demands.set(entry, after);
    this.#add(after.place, after.perSecond);
  }

  #add(place: Place, perSecond: number): void {
    this.#sums.set(place, Math.max((this.#sums.get(place) ?? 0) + perSecond, 0));
    const before = this.#stretches.get(place) ?? 1;
    const after = this.#stretchOf(place);
    if (before === after) return;
    this.#stretches.set(place, after);
    this.#options.stretched(place);
  }

  #stretchOf(place: Place): number {
    const share = (this.#sums.get(place) ?? 0) / (place.quota.limit * pollShare);
    // A tenth of a per cent is the error of adding and subtracting, and no demand.
    return share <= 1.001 ? 1 : step ** Math.ceil(Math.log(share) / Math.log(step));
  }
}
