import type { ClockWatch } from "../runtime/clock-watch.ts";
import type { Lane } from "../runtime/lane.ts";
import { type At, type Entry, isKnown, type Parameter } from "./cache/cache-entry.ts";
import { ChangeTracker } from "./cache/change-tracker.ts";
import type { DeletionConfirmer } from "./cache/deletion-confirmer.ts";
import type { Entries } from "./cache/entries.ts";
import type { Members } from "./cache/members.ts";
import { changeEntry, changeParameter } from "./cache/reducer.ts";
import { differing, forgetAnswered, isStoredByAll } from "./cache/stored.ts";
import type { Expiries } from "./expiries.ts";
import type { ObserverOptions } from "./observer-options.ts";
import type { Listing } from "./read/path-reader.ts";
import type { Read } from "./read/pending-reads.ts";
import { isPassedThrough, type ParameterReference, type PathReference, requestName } from "./read/reference.ts";
import type { Schedule } from "./schedule/schedule.ts";

/** A change that concerns at least this many dependents is bulk work, so that it does not delay interactive work. */
const bulkFrom = 20;
/** Milliseconds after a hint in which a change counts as announced. */
const hintCountsMs = 60_000;

export interface AnswersOptions
  extends Pick<ObserverOptions, "clock" | "reader" | "notify" | "isAnnounced" | "missed"> {
  entries: Entries;
  members: Members;
  confirmer: DeletionConfirmer;
  expiries: Expiries;
  schedule: Schedule;
  clockWatch: ClockWatch;
}

/** How an answer is applied. */
export interface Taking {
  lane: Lane;
  /** Whether a person requested a refresh: an older version is then accepted at once. */
  mayGoBack?: boolean;
  /** Whether a GetParameter of its own confirmed a parameter that is missing. */
  isConfirmed?: boolean;
}

/** Applies AWS's answers to cache entries, and notifies their dependents of changes. */
export class Answers {
  readonly #options: AnswersOptions;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** Applies the answer to a look at a parameter, or to a read of it. */
  take(entry: Entry, reference: ParameterReference, read: Read, taking: Taking): Promise<void> {
    return this.#heard(entry, taking.lane, async () => {
      const parameter: Parameter = { entry, name: reference.name, state: entry.state };
      await this.#take(parameter, reference, read, taking);
      if (taking.isConfirmed && read.state === "missing") await this.#options.confirmer.settle(parameter);
    });
  }

  /** Applies a listing of a path. */
  list(entry: Entry, reference: PathReference, listing: Listing, taking: Taking): Promise<void> {
    const { members, clockWatch } = this.#options;
    return this.#heard(entry, taking.lane, async () => {
      const elapsed = clockWatch.elapsed();
      if (listing.state === "failed") {
        changeEntry(entry, { type: "failed", failure: listing.failure, elapsed });
        return;
      }
      changeEntry(entry, { type: "answered", elapsed });
      await members.take(entry, reference, listing, taking);
    });
  }

  /** Notifies dependents of an entry, all by default. */
  notify(entry: Entry, lane: Lane, whom: readonly string[] = [...entry.dependents.keys()]): void {
    const isBulk = lane !== "event" || whom.length >= bulkFrom;
    for (const dependent of whom) this.#options.notify(dependent, isBulk ? "bulk" : "event");
  }

  /** Drops what the reader remembers of an entry without dependents. */
  forget({ reference }: Entry): void {
    if (reference.kind === "parameter") this.#options.reader.forget(reference.identity, requestName(reference));
  }

  /** Applies an answer, plans the next look, and notifies the dependents if the entry has changed. */
  async #heard(entry: Entry, lane: Lane, apply: () => Promise<void>): Promise<void> {
    const before = { wasKnown: isKnown(entry), wasUnheard: entry.failure?.next === "retry" };
    const tracker = new ChangeTracker(entry);
    try {
      await apply();
      // The last dependent may have left while the answer was applied.
      if (this.#options.entries.has(entry)) this.#concluded(entry, lane, { ...before, tracker });
      else this.forget(entry);
    } finally {
      tracker.end();
    }
  }

  #concluded(
    entry: Entry,
    lane: Lane,
    { wasKnown, wasUnheard, tracker }: { wasKnown: boolean; wasUnheard: boolean; tracker: ChangeTracker },
  ): void {
    const { clock, schedule, expiries } = this.#options;
    changeEntry(entry, { type: "asked", now: clock.monotonic() });
    // With two looks in flight, the second may be answered first.
    const isFirst = entry.looked && !entry.isCompared;
    if (entry.looked) changeEntry(entry, { type: "compared" });
    const others = isFirst ? differing(entry) : [];
    if (entry.looked) forgetAnswered(entry);
    schedule.after(entry);
    expiries.heard(entry);
    if (wasKnown && lane === "poll" && tracker.hasServedChanged) this.#reportIfMissed(entry);
    const recovered = wasUnheard && entry.failure === undefined;
    if ((wasKnown && tracker.hasChanged) || recovered) this.notify(entry, lane);
    // Until this first answer, these dependents acted on their previous status.
    else if (isFirst) this.notify(entry, lane, others);
    else if (!entry.looked && !wasKnown && entry.failure?.next !== "retry") {
      this.notify(entry, lane, [...(entry.stored?.keys() ?? [])]);
    }
  }

  #reportIfMissed(entry: Entry): void {
    const { isAnnounced, missed, clock } = this.#options;
    const isHinted = entry.hintedAt !== undefined && clock.monotonic() - entry.hintedAt <= hintCountsMs;
    if (!isHinted && isAnnounced?.(entry.reference)) missed?.(entry.reference);
  }

  async #take(
    parameter: Parameter,
    reference: ParameterReference,
    read: Read,
    { lane, mayGoBack = false }: Taking,
  ): Promise<void> {
    const { clock, clockWatch, expiries } = this.#options;
    const { entry, state, name } = parameter;
    const elapsed = clockWatch.elapsed();
    if (read.state === "failed") {
      changeEntry(entry, { type: "failed", failure: read.failure, elapsed });
      return;
    }
    const wasLooked = entry.looked;
    changeEntry(entry, { type: "answered", elapsed });
    const at: At = { now: clock.monotonic(), wall: clock.now() };
    if (read.state === "missing") {
      changeParameter(parameter, { type: "missing", reason: read.reason, at });
      return;
    }
    const wasGone = state.missing?.stage === "gone";
    const isBack = !wasLooked && entry.stored !== undefined && !isStoredByAll(entry, name, entry.acting ?? []);
    if (!wasLooked && isStoredByAll(entry, name, entry.dependents.keys())) {
      changeParameter(parameter, { type: "describedBefore" });
    }
    const isFree = mayGoBack || reference.selector !== "" || isPassedThrough(name);
    changeParameter(parameter, { type: "served", stamp: read.record, mayGoBack: isFree, at });
    if (wasGone || isBack) await expiries.before(entry, () => true, lane);
  }
}
