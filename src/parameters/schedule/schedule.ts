import type { Clock, Random } from "../../runtime/clock.ts";
import { type Entry, staleAnswerMs } from "../cache/cache-entry.ts";
import { changeEntry } from "../cache/reducer.ts";
import { atStake } from "../cache/stored.ts";
import { Intervals, type IntervalsOptions } from "./intervals.ts";
import { type Look, Poller } from "./poller.ts";

/** Milliseconds until the next look after a stale answer: after the first one, and after later ones. */
const askAgainMs = { first: 5_000, later: 15_000 };

/** Milliseconds within which entries are looked at that a clock jump has made due. */
const hastenedMs = 60_000;

export interface ScheduleOptions extends IntervalsOptions {
  clock: Clock;
  random: Random;
  /** Milliseconds between the two looks that confirm a deletion. */
  missingGraceMs: number;
  /** Looks at entries that are due. */
  look: Look;
}

/** Sets the time of each entry's next poll. */
export class Schedule {
  readonly #options: ScheduleOptions;
  readonly #intervals: Intervals;
  readonly #poller: Poller;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    this.#intervals = new Intervals(options);
    this.#poller = new Poller(options.clock, options.random, options.look);
  }

  /**
   * Plans a poll at a random time within the next interval, unless one is planned earlier. Entries that were read
   * together are then not polled together.
   */
  within(entry: Entry): void {
    const { clock, random } = this.#options;
    this.by(entry, clock.monotonic() + this.#intervals.of(entry) * (1 - random()));
  }

  /** Plans a poll at an instant, in monotonic milliseconds, unless one is planned earlier. */
  by(entry: Entry, at: number): void {
    if (!Number.isFinite(at) || at >= entry.dueAt) return;
    changeEntry(entry, { type: "planned", at });
    this.#poller.plan(entry);
  }

  /** Plans the poll after a look: an interval away, or as already planned if the look came between two polls. */
  after(entry: Entry): void {
    const { clock, missingGraceMs } = this.#options;
    const now = clock.monotonic();
    const isPlanned = Number.isFinite(entry.dueAt) && entry.dueAt > now;
    const interval = this.#intervals.of(entry);
    let at = isPlanned ? entry.dueAt : now + interval;
    // After a denial, an earlier look would only be denied again.
    const isRefused = entry.failure !== undefined && entry.failure.next !== "retry";
    for (const { state, isClaimed } of isRefused ? [] : atStake(entry)) {
      const { missing, staleAnswer } = state;
      const isSuspect = missing?.stage === "suspect" || (isClaimed && missing?.stage === "absent");
      if (isSuspect) at = Math.min(at, next(now, missing.since + missingGraceMs));
      if (!staleAnswer) continue;
      const again = staleAnswer.times > 1 ? askAgainMs.later : askAgainMs.first;
      at = Math.min(at, now + again, next(now, staleAnswer.since + staleAnswerMs));
    }
    if (at === entry.dueAt) return;
    changeEntry(entry, { type: "planned", at });
    this.#poller.plan(entry);
  }

  /**
   * Brings forward the polls that would be due after `ms` more, for example because the machine was suspended, and
   * spreads them over a minute. The rate limiter still keeps polls within their share of the quota.
   */
  hasten(entries: Iterable<Entry>, ms: number): void {
    const { clock, random } = this.#options;
    const now = clock.monotonic();
    this.#poller.hasten(now + hastenedMs);
    for (const entry of entries) {
      const left = entry.dueAt - now;
      if (left <= ms) this.by(entry, now + Math.min(left, hastenedMs) * random());
    }
  }

  /** Removes an entry without dependents. */
  drop(entry: Entry): void {
    this.#intervals.drop(entry);
  }

  /** The factor by which an entry's poll interval exceeds the requested one. */
  factor(entry: Entry): number {
    return this.#intervals.factor(entry);
  }

  /** The factor by which the quota stretches the poll intervals of an identity; 1 if it does not. */
  stretch(identityKey: string): number {
    return this.#intervals.stretch(identityKey);
  }

  /** Cancels all timers. */
  stop(): void {
    this.#poller.stop();
  }
}

/** An instant in the future; if it has passed without a decision, the time of the next retry. */
function next(now: number, at: number): number {
  return at > now ? at : now + askAgainMs.later;
}
