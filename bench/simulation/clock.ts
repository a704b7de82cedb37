import type { Clock, Timer } from "../../src/runtime/clock.ts";
import { Heap } from "../../src/runtime/heap.ts";

interface Pending {
  at: number;
  order: number;
  /** Undefined once it has fired or was cancelled. */
  fire: (() => void) | undefined;
}

/** The minimum number of cancelled timers before the heap is rebuilt without them. */
const slack = 10_000;
/** Turns of the event loop after which all work of an instant is done: a response, then the next granted slot. */
const turnsAnInstant = 2;

/**
 * A clock for long simulations: whole milliseconds, O(log n) per timer, and event loop turns per instant rather than
 * per timer. Timers of one instant fire in the order in which they were set.
 */
export class SimulationClock implements Clock {
  #now = 0;
  #order = 0;
  #cancelled = 0;
  #timers = newHeap();
  readonly #start = Date.UTC(2026, 0, 1);

  now(): number {
    return this.#start + this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  setTimer(fire: () => void, ms: number): Timer {
    const timer: Pending = { at: Math.ceil(this.#now + Math.max(ms, 0)), order: this.#order++, fire };
    this.#timers.push(timer);
    return {
      cancel: () => {
        if (!timer.fire) return;
        timer.fire = undefined;
        this.#cancelled += 1;
        if (this.#cancelled > slack && this.#cancelled * 2 > this.#timers.size) this.#sweep();
      },
    };
  }

  /** Resolves after `ms` milliseconds of this clock. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.setTimer(resolve, ms));
  }

  /**
   * Advances from instant to instant until `isOver` returns true.
   *
   * @throws Error if no timer is left or `withinMs` has passed: the simulation hangs
   */
  async runUntil(isOver: () => boolean, withinMs = 7 * 86_400_000): Promise<void> {
    const end = this.#now + withinMs;
    await settle();
    while (!isOver()) {
      const next = this.#next();
      if (!next || next.at > end) throw new Error("the simulation does not come to an end");
      this.#now = next.at;
      for (let due = this.#next(); due && due.at <= this.#now; due = this.#next()) {
        this.#timers.pop();
        const { fire } = due;
        due.fire = undefined;
        fire!();
      }
      await settle();
    }
  }

  /** Advances by `ms` milliseconds. */
  async run(ms: number): Promise<void> {
    const end = this.#now + ms;
    this.setTimer(() => {}, ms);
    await this.runUntil(() => this.#now >= end);
  }

  #next(): Pending | undefined {
    for (let next = this.#timers.peek(); next; next = this.#timers.peek()) {
      if (next.fire) return next;
      this.#timers.pop();
      this.#cancelled -= 1;
    }
    return undefined;
  }

  #sweep(): void {
    const live = newHeap();
    for (let timer = this.#timers.pop(); timer; timer = this.#timers.pop()) if (timer.fire) live.push(timer);
    this.#timers = live;
    this.#cancelled = 0;
  }
}

function newHeap(): Heap<Pending> {
  return new Heap((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order));
}

async function settle(): Promise<void> {
  for (let i = 0; i < turnsAnInstant; i++) await new Promise((resolve) => setImmediate(resolve));
}
