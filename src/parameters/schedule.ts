import type { Clock, Random } from "../runtime/clock.ts";
import { type Entry, staleAnswerMs } from "./cache-entry.ts";
import { Intervals, type IntervalsOptions } from "./intervals.ts";
import { type Look, Poller } from "./poller.ts";
import { atStake } from "./stored.ts";

/** Milliseconds after which an answer that is older than the one before it is asked for again, at first and later on. */
const askAgainMs = { first: 5_000, later: 15_000 };

/** Milliseconds within which what a jump of the clocks has made due is looked at. */
const hastenedMs = 60_000;

export interface ScheduleOptions extends IntervalsOptions {
  clock: Clock;
  random: Random;
  /** Milliseconds between the two looks that make a parameter gone. */
  missingGraceMs: number;
  /** Looks at entries that are due. */
  look: Look;
}

/** Sets the instant at which each entry is polled next. */
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
   * Has an entry polled somewhere within an interval from now, if not before: spread over all of it, so that what was
   * read at once is not polled at once.
   */
  within(entry: Entry): void {
    const { clock, random } = this.#options;
    this.by(entry, clock.monotonic() + this.#intervals.of(entry) * (1 - random()));
  }

  /** Has an entry polled at an instant, in monotonic milliseconds, if not before. */
  by(entry: Entry, at: number): void {
    if (!Number.isFinite(at) || at >= entry.dueAt) return;
    entry.dueAt = at;
    this.#poller.plan(entry);
  }

  /** After a poll the next is an interval away; what is read between two polls, as at a first sync, moves neither. */
  after(entry: Entry): void {
    const { clock, missingGraceMs } = this.#options;
    const now = clock.monotonic();
    const isPlanned = Number.isFinite(entry.dueAt) && entry.dueAt > now;
    const interval = this.#intervals.of(entry);
    let at = isPlanned ? entry.dueAt : now + interval;
    // What AWS refuses to tell is no sooner told for being asked again.
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
    entry.dueAt = at;
    this.#poller.plan(entry);
  }

  /**
   * Brings forward what would be due had so much more time gone by, as while the machine was suspended: within a minute,
   * spread. The gate holds polls to their share of the quota all the same.
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

  /** Takes out an entry that nobody depends on any more. */
  drop(entry: Entry): void {
    this.#intervals.drop(entry);
  }

  /** How many times as long as asked it is between two polls of an entry. */
  factor(entry: Entry): number {
    return this.#intervals.factor(entry);
  }

  /** By how much the polls of an identity are stretched, for want of quota; 1 where they are not. */
  stretch(identityKey: string): number {
    return this.#intervals.stretch(identityKey);
  }

  /** Sets no timer any more. */
  stop(): void {
    this.#poller.stop();
  }
}

/** An instant that is to come; where a look has not settled what was due then, it is soon made again. */
function next(now: number, at: number): number {
  return at > now ? at : now + askAgainMs.later;
}
