import type { Clock } from "./clock.ts";

/** Measures a process's resource use, and collects its garbage. */
export interface Meter {
  /** CPU time of all threads in milliseconds. */
  cpuMs(): number;
  /** Bytes of heap and buffers that the process has allocated, used or not. */
  heldBytes(): number;
  /** Runs a full garbage collection, and returns free pages to the system. */
  collect(): void;
}

/** Milliseconds between two checks. */
const intervalMs = 2_000;
/**
 * The process is idle if it uses less than this share of a core: on a slow machine, probes and polls alone use a tenth.
 */
const idleShare = 0.2;
/** Consecutive idle checks before a collection. By then, idle connections have been closed. */
const idleChecks = 3;
/**
 * Minimum milliseconds between two collections: after a second of CPU time, and after less. V8 collects small garbage
 * itself. A collection every ten seconds would delay one of 100 Secrets by 0.1 s.
 */
const rest = { workMs: 1_000, afterWorkMs: 60_000, otherwiseMs: 300_000 };
/** Minimum growth since the last collection: a tenth, and at least this many bytes. */
const growth = 0.1;
const minGrowth = 4 << 20;

/**
 * Collects garbage once when the process becomes idle. A first sync leaves garbage that V8 collects only when it needs
 * memory, which may take days in an idle operator. A collection blocks the process for 0.1 s with 2,000 resources, so
 * it runs only when idle; in a busy process V8 collects by itself.
 */
export class IdleCollection {
  readonly #clock: Clock;
  readonly #meter: Meter;
  readonly #isWriting: () => boolean;
  /** Consecutive checks at which the process was idle. */
  #idle = 0;
  #cpuMs: number;
  #at: number;
  #floor = 0;
  #collected = { at: -Infinity, cpuMs: 0 };

  /**
   * @param isWriting whether a write is under way: the statuses of a first sync use little CPU time while the API server
   *   is the limit
   */
  constructor(clock: Clock, meter: Meter, isWriting: () => boolean) {
    this.#clock = clock;
    this.#meter = meter;
    this.#isWriting = isWriting;
    this.#cpuMs = meter.cpuMs();
    this.#at = clock.monotonic();
  }

  /** Checks periodically until the signal aborts. */
  start(signal: AbortSignal): void {
    if (signal.aborted) return;
    const timer = this.#clock.setTimer(() => {
      signal.removeEventListener("abort", timer.cancel);
      this.#check();
      this.start(signal);
    }, intervalMs);
    signal.addEventListener("abort", timer.cancel, { once: true });
  }

  #check(): void {
    const [cpuMs, at] = [this.#meter.cpuMs(), this.#clock.monotonic()];
    const share = (cpuMs - this.#cpuMs) / (at - this.#at);
    this.#idle = share < idleShare && !this.#isWriting() ? this.#idle + 1 : 0;
    const restMs = cpuMs - this.#collected.cpuMs >= rest.workMs ? rest.afterWorkMs : rest.otherwiseMs;
    if (
      this.#idle >= idleChecks &&
      at - this.#collected.at >= restMs &&
      this.#meter.heldBytes() >= this.#floor + Math.max(minGrowth, growth * this.#floor)
    ) {
      this.#meter.collect();
      this.#floor = this.#meter.heldBytes();
      this.#collected = { at, cpuMs: this.#meter.cpuMs() };
    }
    [this.#cpuMs, this.#at] = [this.#meter.cpuMs(), this.#clock.monotonic()];
  }
}
