import type { Clock, Timer } from "../../src/runtime/clock.ts";

interface Pending {
  at: number;
  order: number;
  fire: () => void;
}

/** A clock that the test advances. Timers fire by time, then in the order in which they were set. */
export class FakeClock implements Clock {
  /** Milliseconds since the start: fractions would be lost when added to the milliseconds since the epoch. */
  #elapsed = 0;
  #order = 0;
  #pending = new Set<Pending>();
  #start: number;
  #suspended = 0;

  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#start = start;
  }

  now(): number {
    return this.#start + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  boottime(): number {
    return this.#elapsed + this.#suspended;
  }

  /** Number of pending timers. */
  get pending(): number {
    return this.#pending.size;
  }

  setTimer(fire: () => void, ms: number): Timer {
    const timer = { at: this.#elapsed + Math.max(ms, 0), order: this.#order++, fire };
    this.#pending.add(timer);
    return { cancel: () => void this.#pending.delete(timer) };
  }

  /** Moves the wall clock by `ms` milliseconds, back if negative. Timers are not affected. */
  setAhead(ms: number): void {
    this.#start += ms;
  }

  /** Suspends the machine: timers and the monotonic clock stand still. */
  suspend(ms: number): void {
    this.#start += ms;
    this.#suspended += ms;
  }

  /** Advances by `ms` milliseconds. Fires due timers, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await settle();
    for (;;) {
      const due = [...this.#pending].filter((t) => t.at <= end).sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (!due) break;
      this.#pending.delete(due);
      this.#elapsed = Math.max(this.#elapsed, due.at);
      due.fire();
      await settle();
    }
    this.#elapsed = end;
    await settle();
  }
}

/** Waits some turns of the event loop, so that ready callbacks run. */
export async function settle(turns = 3): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}
