import type { Clock } from "./clock.ts";

/** What a process has used so far, and how to have it give back what it does not use. */
export interface Meter {
  /** Milliseconds of processor time, all threads together. */
  cpuMs(): number;
  /** Bytes of heap and of buffers that it holds of the machine, used or not. */
  heldBytes(): number;
  /** Collects all garbage, and gives free pages back. */
  collect(): void;
}

/** Milliseconds between two looks. */
const lookEveryMs = 2_000;
/** Share of a core under which a process counts as idle: what probes and spread polls take. */
const idleShare = 0.05;
/** Looks in a row that have to find it idle. */
const idleLooks = 2;
/**
 * Milliseconds of processor time, or of rest, between two collections: what little comes and goes all the time is for V8
 * to collect.
 */
const [workMs, restMs] = [1_000, 300_000];
/** Growth since the last collection that makes another one worth while: a tenth, and at least so many bytes. */
const growth = 0.1;
const leastGrowth = 4 << 20;

/**
 * Has a process that has become idle collect once. A first sync leaves garbage that V8 collects only when it needs room
 * again, and an operator that has done its work may not need any for days. It stops everything for 0.1 s with 2,000
 * resources, so it waits until nothing goes on; and a process that is never idle collects by itself.
 */
export class IdleCollection {
  readonly #clock: Clock;
  readonly #meter: Meter;
  #idle = 0;
  #cpuMs: number;
  #at: number;
  #floor = 0;
  #collected = { at: -Infinity, cpuMs: 0 };

  constructor(clock: Clock, meter: Meter) {
    this.#clock = clock;
    this.#meter = meter;
    this.#cpuMs = meter.cpuMs();
    this.#at = clock.monotonic();
  }

  /** Looks from now on, until the signal aborts. */
  start(signal: AbortSignal): void {
    if (signal.aborted) return;
    const timer = this.#clock.setTimer(() => {
      signal.removeEventListener("abort", timer.cancel);
      this.#look();
      this.start(signal);
    }, lookEveryMs);
    signal.addEventListener("abort", timer.cancel, { once: true });
  }

  #look(): void {
    const [cpuMs, at] = [this.#meter.cpuMs(), this.#clock.monotonic()];
    const isIdle = cpuMs - this.#cpuMs < idleShare * (at - this.#at);
    this.#idle = isIdle ? this.#idle + 1 : 0;
    if (
      this.#idle >= idleLooks &&
      (cpuMs - this.#collected.cpuMs >= workMs || at - this.#collected.at >= restMs) &&
      this.#meter.heldBytes() >= this.#floor + Math.max(leastGrowth, growth * this.#floor)
    ) {
      this.#meter.collect();
      this.#floor = this.#meter.heldBytes();
      this.#idle = 0;
      this.#collected = { at, cpuMs: this.#meter.cpuMs() };
    }
    [this.#cpuMs, this.#at] = [this.#meter.cpuMs(), this.#clock.monotonic()];
  }
}
