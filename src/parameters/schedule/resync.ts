import type { Clock, Random, Timer } from "../../runtime/clock.ts";

export interface ResyncOptions<T> {
  clock: Clock;
  random: Random;
  /** The current items of an identity. */
  all: (identityKey: string) => T[];
  /** The number of names of an item. */
  weight: (item: T) => number;
  /** Looks at a batch of items. */
  look: (batch: T[]) => void;
}

/** The length of a round, in milliseconds. */
const roundMs = 3_600_000;
/** The length of a round that `hurry` begins, in milliseconds. */
const hurriedMs = 300_000;
/** Milliseconds before the first round, so that it includes the entries of the initial list. */
const beginMs = 60_000;
/** Names in one batch, approximately. */
const batchWeight = 50;

/** A round in progress. */
interface Round<T> {
  left: T[];
  /** Milliseconds between two batches. */
  stepMs: number;
  timer: Timer;
}

/** Looks at all items of an identity once an hour, batch by batch, with one timer for each identity. */
export class Resync<T> {
  readonly #options: ResyncOptions<T>;
  readonly #resync = new Map<string, Round<T>>();
  #stopped = false;

  constructor(options: ResyncOptions<T>) {
    this.#options = options;
  }

  /** Begins the rounds of an identity; they end when it has no items. */
  begin(identityKey: string): void {
    if (this.#stopped || this.#resync.has(identityKey)) return;
    const timer = this.#options.clock.setTimer(() => this.#round(identityKey, roundMs), beginMs);
    this.#resync.set(identityKey, { left: [], stepMs: roundMs, timer });
  }

  /** Ends the rounds of an identity. */
  end(identityKey: string): void {
    this.#resync.get(identityKey)?.timer.cancel();
    this.#resync.delete(identityKey);
  }

  stop(): void {
    this.#stopped = true;
    for (const { timer } of this.#resync.values()) timer.cancel();
    this.#resync.clear();
  }

  /** Begins a new round that takes five minutes. */
  hurry(identityKey: string): void {
    if (this.#resync.has(identityKey)) this.#round(identityKey, hurriedMs);
  }

  /** Begins a round with a random delay of up to one step. */
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
