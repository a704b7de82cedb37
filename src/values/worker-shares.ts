import type { Clock } from "../runtime/clock.ts";

/** Worker time of a namespace in milliseconds: burst, and per second. */
const [burstMs, perSecondMs] = [2_000, 100];
/** Maximum namespaces to track; an evicted one starts with a full burst. */
const rememberedAtMost = 1_000;

/**
 * Each namespace's share of the worker thread: expensive values that are made once cost nothing, and those that are made
 * again and again use a tenth of a processor, whatever else the machine has to do.
 */
export class WorkerShares {
  readonly #clock: Clock;
  /** Remaining milliseconds, negative if overdrawn, and the monotonic time of that balance. */
  readonly #left = new Map<string, { ms: number; at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds until a namespace may use the worker again; 0 where it may now. */
  waitMs(namespace: string): number {
    const left = this.#of(namespace);
    return left > 0 ? 0 : Math.ceil(((1 - left) / perSecondMs) * 1_000);
  }

  /** Charges worker milliseconds to a namespace. */
  spend(namespace: string, ms: number): void {
    const left = this.#of(namespace) - ms;
    this.#left.delete(namespace);
    this.#left.set(namespace, { ms: left, at: this.#clock.monotonic() });
    if (this.#left.size > rememberedAtMost) this.#left.delete(this.#left.keys().next().value!);
  }

  #of(namespace: string): number {
    const known = this.#left.get(namespace);
    if (!known) return burstMs;
    return Math.min(known.ms + ((this.#clock.monotonic() - known.at) / 1_000) * perSecondMs, burstMs);
  }
}
