import type { Clock, Random, Timer } from "../../runtime/clock.ts";
import { backoff } from "../../runtime/clock.ts";
import { Heap } from "../../runtime/heap.ts";
import type { Entry } from "../cache/cache-entry.ts";
import { changeEntry } from "../cache/reducer.ts";
import { namesInACall } from "../read/reference.ts";

/** Looks at some entries of one identity; `unheard` if AWS throttled, failed or was not reached. */
export type Look = (entries: Entry[]) => Promise<"heard" | "unheard">;

/** Concurrent looks of one identity. */
const looksAtOnce = 4;
/** First and longest pause, in milliseconds, after an `unheard` look. */
const pauses = { baseMs: 2_000, capMs: 300_000, jitter: 0.5 };

interface Round {
  due: DueQueue;
  timer?: Timer;
  underWay: number;
  pausedUntil: number;
  failures: number;
}

/**
 * Looks at each entry at its `dueAt`, in that order, separately for each identity. A look that is due includes entries
 * that fall due soon after, so that calls are full and a poll of P parameters costs P/10 calls.
 */
export class Poller {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #look: Look;
  readonly #rounds = new Map<string, Round>();
  #stopped = false;

  constructor(clock: Clock, random: Random, look: Look) {
    this.#clock = clock;
    this.#random = random;
    this.#look = look;
  }

  /** Schedules an entry at its `dueAt`, which the caller has set. */
  plan(entry: Entry): void {
    if (!Number.isFinite(entry.dueAt) || this.#stopped) return;
    const { key } = entry.reference.identity;
    let round = this.#rounds.get(key);
    if (!round) {
      round = { due: new DueQueue(), underWay: 0, pausedUntil: 0, failures: 0 };
      this.#rounds.set(key, round);
    }
    round.due.add(entry);
    this.#arm(key, round);
  }

  /** Ends every pause after a failure at an instant at the latest, in monotonic milliseconds. */
  hasten(until: number): void {
    for (const [key, round] of this.#rounds) {
      if (round.pausedUntil <= until) continue;
      round.pausedUntil = until;
      this.#arm(key, round);
    }
  }

  /** Cancels all timers. */
  stop(): void {
    this.#stopped = true;
    for (const round of this.#rounds.values()) round.timer?.cancel();
    this.#rounds.clear();
  }

  #arm(key: string, round: Round): void {
    round.timer?.cancel();
    if (this.#stopped || round.underWay >= looksAtOnce) return;
    const next = round.due.first();
    if (next) {
      const at = Math.max(next.dueAt, round.pausedUntil);
      round.timer = this.#clock.setTimer(() => this.#run(key, round), at - this.#clock.monotonic());
    } else if (round.underWay === 0) {
      this.#rounds.delete(key);
    }
  }

  #run(key: string, round: Round): void {
    const now = this.#clock.monotonic();
    while (round.underWay < looksAtOnce && now >= round.pausedUntil) {
      const batch = takeDue(round.due, now);
      if (batch.length === 0) break;
      round.underWay += 1;
      const unheard = () => "unheard" as const;
      void this.#look(batch)
        .catch(unheard)
        .then((outcome) => {
          round.underWay -= 1;
          if (outcome === "heard") round.failures = 0;
          else if (round.pausedUntil <= this.#clock.monotonic()) {
            const pause = backoff(round.failures, pauses, this.#random);
            round.failures += 1;
            round.pausedUntil = this.#clock.monotonic() + pause;
          }
          this.#arm(key, round);
        });
    }
    this.#arm(key, round);
  }
}

/**
 * The entries of an identity by `dueAt`. Lazy deletion: a postponed entry stays where it is in the heap, and is queued
 * again when its old instant comes.
 */
class DueQueue {
  readonly #heap = new Heap<{ at: number; entry: Entry }>((a, b) => a.at < b.at);
  /** The instant at which each entry is queued. */
  readonly #at = new Map<Entry, number>();

  /** Queues an entry at its `dueAt`, unless it is queued at an earlier instant. */
  add(entry: Entry): void {
    if ((this.#at.get(entry) ?? Infinity) <= entry.dueAt) return;
    this.#at.set(entry, entry.dueAt);
    this.#heap.push({ at: entry.dueAt, entry });
  }

  /** The entry with the earliest `dueAt`; drops obsolete heap items. */
  first(): Entry | undefined {
    for (let item = this.#heap.peek(); item; item = this.#heap.peek()) {
      const { at, entry } = item;
      const isQueued = this.#at.get(entry) === at;
      if (isQueued && entry.dueAt === at && entry.dependents.size > 0) return entry;
      this.#heap.pop();
      if (!isQueued) continue;
      this.#at.delete(entry);
      if (Number.isFinite(entry.dueAt) && entry.dependents.size > 0) this.add(entry);
    }
    return undefined;
  }

  /** Removes the entry that `first` returned. */
  shift(): void {
    const item = this.#heap.pop();
    if (item) this.#at.delete(item.entry);
  }
}

/** Takes up to ten due parameters, or one due path. A batch of parameters is filled up with those due soon. */
function takeDue(due: DueQueue, now: number): Entry[] {
  const first = due.first();
  if (!first || first.dueAt > now) return [];
  const batch: Entry[] = [];
  for (let entry = due.first(); entry && batch.length < namesInACall; entry = due.first()) {
    const isPath = entry.reference.kind === "path";
    if (entry.dueAt > now + lookAheadMs(entry) || (isPath && batch.length > 0)) break;
    due.shift();
    changeEntry(entry, { type: "planned", at: Infinity });
    batch.push(entry);
    if (isPath) break;
  }
  return batch;
}

/** Milliseconds before its `dueAt` at which an entry may join a batch: a tenth of its interval. */
function lookAheadMs(entry: Entry): number {
  if (entry.state.missing || entry.state.staleAnswer) return 0;
  return entry.intervalMs / 10;
}
