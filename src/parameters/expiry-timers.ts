import type { Clock, Timer } from "../runtime/clock.ts";
import { Heap } from "../runtime/heap.ts";
import type { Entry } from "./cache-entry.ts";
import type { Entries } from "./entries.ts";

/** An Expiration or a warning that is due at an instant. */
export interface Due {
  /** Milliseconds since the epoch. */
  at: number;
  entry: Entry;
  /** The parameter's name. */
  name: string;
  /** The instant of the Expiration; undefined for a warning. */
  expiresAt: number | undefined;
}

export interface ExpiryTimersOptions {
  entries: Entries;
  clock: Clock;
  /** Called with everything that is due, except of entries that no longer exist. */
  reached: (due: Due[]) => void;
}

/** The longest timer, in milliseconds: a timer does not notice that the machine slept or that its clock was set. */
const longestMs = 60_000;

/** Timers for the instants that policies name. */
export class ExpiryTimers {
  readonly #options: ExpiryTimersOptions;
  #due = newHeap();
  /** Entries dropped since the heap was last compacted. */
  #dropped = 0;
  #timer: { at: number; timer: Timer } | undefined;
  #stopped = false;

  constructor(options: ExpiryTimersOptions) {
    this.#options = options;
  }

  add(due: Due): void {
    this.#due.push(due);
    this.#arm();
  }

  /** Counts a removed entry; compacts the heap when half of it may be obsolete. */
  drop(): void {
    this.#dropped += 1;
    if (this.#options.entries.size > 0 && this.#dropped <= this.#due.size / 2) return;
    this.#dropped = 0;
    const kept = newHeap();
    for (let due = this.#due.pop(); due; due = this.#due.pop()) {
      if (this.#options.entries.has(due.entry)) kept.push(due);
    }
    this.#due = kept;
    this.#arm();
  }

  /** Fires what a change of the wall clock has made due. */
  check(): void {
    if (!this.#timer) return;
    this.#timer.timer.cancel();
    this.#fire();
  }

  /** Cancels the timer; no other is set. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.timer.cancel();
  }

  #arm(): void {
    const next = this.#due.peek();
    if (this.#timer?.at === next?.at) return;
    this.#timer?.timer.cancel();
    this.#timer = undefined;
    if (!next || this.#stopped) return;
    const { clock } = this.#options;
    const ms = Math.min(next.at - clock.now(), longestMs);
    this.#timer = { at: next.at, timer: clock.setTimer(() => this.#fire(), ms) };
  }

  /** Reports everything that is due in one call. */
  #fire(): void {
    this.#timer = undefined;
    const { clock, entries, reached } = this.#options;
    const now = clock.now();
    const all: Due[] = [];
    for (let due = this.#due.peek(); due && due.at <= now; due = this.#due.peek()) {
      this.#due.pop();
      if (entries.has(due.entry)) all.push(due);
    }
    this.#arm();
    if (all.length > 0) reached(all);
  }
}

function newHeap(): Heap<Due> {
  return new Heap((a, b) => a.at < b.at);
}
