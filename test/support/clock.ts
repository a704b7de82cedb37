import type { Clock, Timer } from "../../src/runtime/clock.ts";

interface Pending {
  at: number;
  order: number;
  fire: () => void;
}

/** A clock that moves only when told to. Timers fire in the order of their instants, then of their setting. */
export class FakeClock implements Clock {
  /** Milliseconds since the start: fractions of one would be lost beside those since the epoch. */
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

  /** How many timers wait. */
  get pending(): number {
    return this.#pending.size;
  }

  setTimer(fire: () => void, ms: number): Timer {
    const timer = { at: this.#elapsed + Math.max(ms, 0), order: this.#order++, fire };
    this.#pending.add(timer);
    return { cancel: () => void this.#pending.delete(timer) };
  }

  /** Sets the time of day `ms` milliseconds on, or back where negative: no timer hears of it. */
  setAhead(ms: number): void {
    this.#start += ms;
  }

  /** Has the machine sleep: time goes by, and neither timers nor the monotonic clock hear of it. */
  suspend(ms: number): void {
    this.#start += ms;
    this.#suspended += ms;
  }

  /** Moves `ms` milliseconds on, firing what falls due on the way, and lets promises settle after each. */
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

/** Lets everything that is ready to run, run: some turns of the event loop. */
export async function settle(turns = 3): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}
