import type { Clock, Timer } from "./clock.ts";

/** A jump of one clock against another. */
export interface Jump {
  /** Milliseconds that the wall clock moved ahead of the monotonic clock; negative if it was set back. */
  wallMs: number;
  /** Milliseconds for which the machine was suspended and the monotonic clock stood still; 0 if it was not. */
  suspendedMs: number;
}

/** Milliseconds between two comparisons of the clocks. */
const everyMs = 30_000;
/** Minimum difference of a jump in milliseconds: a clock that NTP slews drifts by less between two comparisons. */
const jumpMs = 2_000;

/**
 * Detects clock jumps. Timers follow the monotonic clock, which ignores changes of the wall clock and stands still
 * while the machine is suspended. Listeners can correct their timers after a jump.
 */
export class ClockWatch {
  readonly #clock: Clock;
  readonly #listeners: ((jump: Jump) => void)[] = [];
  #timer: Timer | undefined;
  #wall: number;
  #boot: number;
  #suspendedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#wall = clock.now() - clock.monotonic();
    this.#boot = this.#bootOffset();
  }

  /** Monotonic milliseconds plus the time of suspensions. Use it to measure how long something has been silent. */
  elapsed(): number {
    return this.#clock.monotonic() + this.#suspendedMs;
  }

  /** Calls `listener` within half a minute after each jump. */
  onJump(listener: (jump: Jump) => void): void {
    this.#listeners.push(listener);
  }

  /** Compares the clocks every 30 seconds from now on. */
  start(): void {
    this.#timer ??= this.#clock.setTimer(() => {
      this.#timer = undefined;
      this.check();
      this.start();
    }, everyMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Compares the clocks now. */
  check(): void {
    const wall = this.#clock.now() - this.#clock.monotonic();
    const boot = this.#bootOffset();
    const [wallMs, bootMs] = [wall - this.#wall, boot - this.#boot];
    this.#wall = wall;
    this.#boot = boot;
    const suspendedMs = bootMs >= jumpMs ? bootMs : 0;
    this.#suspendedMs += suspendedMs;
    if (Math.abs(wallMs) < jumpMs && suspendedMs === 0) return;
    for (const listener of this.#listeners) listener({ wallMs, suspendedMs });
  }

  #bootOffset(): number {
    return (this.#clock.boottime?.() ?? this.#clock.monotonic()) - this.#clock.monotonic();
  }
}
