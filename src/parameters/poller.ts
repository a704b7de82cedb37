import type { Clock, Random, Timer } from "../runtime/clock.ts";
import { backoff } from "../runtime/clock.ts";
import { Heap } from "../runtime/heap.ts";
import type { Entry } from "./entry.ts";

/** One look at some entries of one identity; tells whether AWS could be heard at all. */
export type Look = (entries: Entry[]) => Promise<"heard" | "unheard">;

/** Parameters in one look: as many as one GetParameters call takes. */
const parametersInALook = 10;
/** Looks of one identity that are under way at once. */
const looksAtOnce = 4;
/** First and longest pause, in milliseconds, after a look at which AWS throttled, failed or was not reached. */
const pauseBaseMs = 2_000;
const pauseCapMs = 300_000;

interface Due {
  at: number;
  entry: Entry;
}

interface Round {
  heap: Heap<Due>;
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
      round = { heap: new Heap<Due>((a, b) => a.at < b.at), underWay: 0, pausedUntil: 0, failures: 0 };
      this.#rounds.set(key, round);
    }
    round.heap.push({ at: entry.dueAt, entry });
    this.#arm(key, round);
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
    const next = firstLive(round.heap);
    if (next) {
      const at = Math.max(next.at, round.pausedUntil);
      round.timer = this.#clock.setTimer(() => this.#run(key, round), at - this.#clock.now());
    } else if (round.underWay === 0) {
      this.#rounds.delete(key);
    }
  }

  #run(key: string, round: Round): void {
    const now = this.#clock.now();
    while (round.underWay < looksAtOnce && now >= round.pausedUntil) {
      const batch = takeDue(round.heap, now);
      if (batch.length === 0) break;
      round.underWay += 1;
      const unheard = () => "unheard" as const;
      void this.#look(batch)
        .catch(unheard)
        .then((outcome) => {
          round.underWay -= 1;
          if (outcome === "heard") round.failures = 0;
          else if (round.pausedUntil <= this.#clock.now()) {
            const pause = backoff(round.failures, pauseBaseMs, pauseCapMs, 0.5, this.#random);
            round.failures += 1;
            round.pausedUntil = this.#clock.now() + pause;
          }
          this.#arm(key, round);
        });
    }
    this.#arm(key, round);
  }
}

/** The earliest that still holds: an entry that was planned anew, or that nobody depends on, leaves its old note behind. */
function firstLive(heap: Heap<Due>): Due | undefined {
  for (let due = heap.peek(); due; due = heap.peek()) {
    if (due.entry.dueAt === due.at && due.entry.dependents.size > 0) return due;
    heap.pop();
  }
  return undefined;
}

/** Takes what is due, ten parameters or one path, and fills the ten with parameters that are due soon. */
function takeDue(heap: Heap<Due>, now: number): Entry[] {
  const first = firstLive(heap);
  if (!first || first.at > now) return [];
  const batch: Entry[] = [];
  for (let due = firstLive(heap); due && batch.length < parametersInALook; due = firstLive(heap)) {
    const isPath = due.entry.reference.kind === "path";
    if (due.at > now + lookAheadMs(due.entry) || (isPath && batch.length > 0)) break;
    heap.pop();
    due.entry.dueAt = Infinity;
    batch.push(due.entry);
    if (isPath) break;
  }
  return batch;
}

/** How long before its instant an entry may be taken along, in milliseconds: a tenth of its interval. */
function lookAheadMs(entry: Entry): number {
  if (entry.spot.missing) return 0;
  return entry.intervalMs / 10;
}
