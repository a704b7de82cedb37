import type { Clock, Timer } from "../runtime/clock.ts";
import { Heap } from "../runtime/heap.ts";
import type { Entry } from "./cache-entry.ts";
import type { Entries } from "./entries.ts";

/** Something that a policy has happen at an instant. */
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
  /** Called with all that is due, at its instant, of entries that are still there. */
  reached: (due: Due[]) => void;
}

/** Milliseconds after which the time is looked at: a machine that has slept, or was set, does not wake a timer. */
const longestMs = 60_000;

/** The instants that policies name. */
export class ExpiryTimers {
  readonly #options: ExpiryTimersOptions;
  #due = newHeap();
  /** Entries that were dropped since what they had noted was last swept out. */
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

  /** Takes note that an entry is no more. */
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

  /** Looks at what is due by a clock that was set. */
  check(): void {
    if (!this.#timer) return;
    this.#timer.timer.cancel();
    this.#fire();
  }

  /** Sets no timer any more. */
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

  /** Takes all that is due: what happens at one instant is told in one go. */
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
