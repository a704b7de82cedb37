import type { Clock, Random, Timer } from "../runtime/clock.ts";
import { backoff } from "../runtime/clock.ts";
import { Heap } from "../runtime/heap.ts";
import type { Entry } from "./cache-entry.ts";
import { namesInACall } from "./reference.ts";

/** One look at some entries of one identity; tells whether AWS could be heard at all. */
export type Look = (entries: Entry[]) => Promise<"heard" | "unheard">;

/** Looks of one identity that are under way at once. */
const looksAtOnce = 4;
/** First and longest pause, in milliseconds, after a look at which AWS throttled, failed or was not reached. */
const pauseBaseMs = 2_000;
const pauseCapMs = 300_000;

interface Round {
  notes: Notes;
  timer?: Timer;
  underWay: number;
  pausedUntil: number;
  failures: number;
}

/**
 * Decides when entries are looked at again: each at its `dueAt`, in the order of these instants, an identity apart
 * from all others. A look that is due takes along what falls due soon after, so that entries come to travel in full
 * calls and a poll of P parameters costs P/10 of them.
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

  /** Takes note of an entry's `dueAt`, which the caller has set. */
  plan(entry: Entry): void {
    if (!Number.isFinite(entry.dueAt) || this.#stopped) return;
    const { key } = entry.reference.identity;
    let round = this.#rounds.get(key);
    if (!round) {
      round = { notes: new Notes(), underWay: 0, pausedUntil: 0, failures: 0 };
      this.#rounds.set(key, round);
    }
    round.notes.add(entry);
    this.#arm(key, round);
  }

  /** Has no pause after a failure last beyond an instant, in monotonic milliseconds. */
  hasten(until: number): void {
    for (const [key, round] of this.#rounds) {
      if (round.pausedUntil <= until) continue;
      round.pausedUntil = until;
      this.#arm(key, round);
    }
  }

  /** Sets no timer any more. */
  stop(): void {
    this.#stopped = true;
    for (const round of this.#rounds.values()) round.timer?.cancel();
    this.#rounds.clear();
  }

  #arm(key: string, round: Round): void {
    round.timer?.cancel();
    if (this.#stopped || round.underWay >= looksAtOnce) return;
    const next = round.notes.first();
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
      const batch = takeDue(round.notes, now);
      if (batch.length === 0) break;
      round.underWay += 1;
      const unheard = () => "unheard" as const;
      void this.#look(batch)
        .catch(unheard)
        .then((outcome) => {
          round.underWay -= 1;
          if (outcome === "heard") round.failures = 0;
          else if (round.pausedUntil <= this.#clock.monotonic()) {
            const pause = backoff(round.failures, pauseBaseMs, pauseCapMs, 0.5, this.#random);
            round.failures += 1;
            round.pausedUntil = this.#clock.monotonic() + pause;
          }
          this.#arm(key, round);
        });
    }
    this.#arm(key, round);
  }
}

/** The entries of an identity by their instants, one note each: one that was put off is moved when its note is due. */
class Notes {
  readonly #heap = new Heap<{ at: number; entry: Entry }>((a, b) => a.at < b.at);
  /** Where the note of each entry stands. */
  readonly #at = new Map<Entry, number>();

  /** Notes an entry at its `dueAt`. */
  add(entry: Entry): void {
    if ((this.#at.get(entry) ?? Infinity) <= entry.dueAt) return;
    this.#at.set(entry, entry.dueAt);
    this.#heap.push({ at: entry.dueAt, entry });
  }

  /** The earliest that still holds. */
  first(): Entry | undefined {
    for (let note = this.#heap.peek(); note; note = this.#heap.peek()) {
      const { at, entry } = note;
      const holds = this.#at.get(entry) === at;
      if (holds && entry.dueAt === at && entry.dependents.size > 0) return entry;
      this.#heap.pop();
      if (!holds) continue;
      this.#at.delete(entry);
      if (Number.isFinite(entry.dueAt) && entry.dependents.size > 0) this.add(entry);
    }
    return undefined;
  }

  /** Takes out what `first` gave. */
  shift(): void {
    const note = this.#heap.pop();
    if (note) this.#at.delete(note.entry);
  }
}

/** Takes what is due, ten parameters or one path, and fills the ten with parameters that are due soon. */
function takeDue(notes: Notes, now: number): Entry[] {
  const first = notes.first();
  if (!first || first.dueAt > now) return [];
  const batch: Entry[] = [];
  for (let entry = notes.first(); entry && batch.length < namesInACall; entry = notes.first()) {
    const isPath = entry.reference.kind === "path";
    if (entry.dueAt > now + lookAheadMs(entry) || (isPath && batch.length > 0)) break;
    notes.shift();
    entry.dueAt = Infinity;
    batch.push(entry);
    if (isPath) break;
  }
  return batch;
}

/** How long before its instant an entry may be taken along, in milliseconds: a tenth of its interval. */
function lookAheadMs(entry: Entry): number {
  if (entry.state.missing || entry.state.staleAnswer) return 0;
  return entry.intervalMs / 10;
}
