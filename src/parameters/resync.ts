import type { Clock, Random, Timer } from "../runtime/clock.ts";

export interface ResyncOptions<T> {
  clock: Clock;
  random: Random;
  /** What belongs to an identity at the moment. */
  all: (identityKey: string) => T[];
  /** How many names an item stands for. */
  weight: (item: T) => number;
  /** Looks at some of it. */
  look: (batch: T[]) => void;
}

/** Milliseconds of one round over everything. */
const roundMs = 3_600_000;
/** Milliseconds of a round that somebody waits for. */
const hurriedMs = 300_000;
/** Milliseconds before the first round, in which a start's entries come. */
const beginMs = 60_000;
/** Names in one batch, about. */
const batchWeight = 50;

/** A round that is under way. */
interface Round<T> {
  left: T[];
  /** Milliseconds between two batches. */
  stepMs: number;
  timer: Timer;
}

/** Goes over everything of an identity once an hour, a batch at a time, without a note for each item. */
export class Resync<T> {
  readonly #options: ResyncOptions<T>;
  readonly #resync = new Map<string, Round<T>>();
  #stopped = false;

  constructor(options: ResyncOptions<T>) {
    this.#options = options;
  }

  /** Has an identity gone over for as long as it has anything. */
  begin(identityKey: string): void {
    if (this.#stopped || this.#resync.has(identityKey)) return;
    const timer = this.#options.clock.setTimer(() => this.#round(identityKey, roundMs), beginMs);
    this.#resync.set(identityKey, { left: [], stepMs: roundMs, timer });
  }

  /** Goes over an identity no more. */
  end(identityKey: string): void {
    this.#resync.get(identityKey)?.timer.cancel();
    this.#resync.delete(identityKey);
  }

  stop(): void {
    this.#stopped = true;
    for (const { timer } of this.#resync.values()) timer.cancel();
    this.#resync.clear();
  }

  /** Goes over everything of an identity anew, within five minutes. */
  hurry(identityKey: string): void {
    if (this.#resync.has(identityKey)) this.#round(identityKey, hurriedMs);
  }

  /** Begins a round somewhere in its first step. */
  #round(identityKey: string, withinMs: number): void {
    const { clock, random } = this.#options;
    this.#resync.get(identityKey)?.timer.cancel();
    const left = this.#options.all(identityKey);
    if (left.length === 0) {
      this.#resync.delete(identityKey);
      return;
    }
    const stepMs = this.#stepMs(left, withinMs);
    const timer = clock.setTimer(() => this.#step(identityKey), stepMs * random());
    this.#resync.set(identityKey, { left, stepMs, timer });
  }

  #stepMs(left: readonly T[], withinMs: number): number {
    const names = left.reduce((sum, item) => sum + this.#options.weight(item), 0);
    return withinMs / Math.max(Math.ceil(names / batchWeight), 1);
  }

  #step(identityKey: string): void {
    const round = this.#resync.get(identityKey)!;
    const { clock, weight, look, all } = this.#options;
    if (round.left.length === 0) {
      round.left = all(identityKey);
      round.stepMs = this.#stepMs(round.left, roundMs);
      if (round.left.length === 0) {
        this.#resync.delete(identityKey);
        return;
      }
    }
    const batch: T[] = [];
    for (let names = 0; names < batchWeight && round.left.length > 0; ) {
      const item = round.left.pop()!;
      names += weight(item);
      batch.push(item);
    }
    look(batch);
    round.timer = clock.setTimer(() => this.#step(identityKey), round.stepMs);
  }
}
