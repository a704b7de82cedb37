import type { Clock, Timer } from "./clock.ts";

/** A jump of one clock against another. */
export interface Jump {
  /** Milliseconds that the time of day went ahead of the monotonic clock; negative where it was set back. */
  wallMs: number;
  /** Milliseconds for which the machine was suspended, in which the monotonic clock stood still; 0 where it was not. */
  suspendedMs: number;
}

/** Milliseconds between two comparisons of the clocks. */
const everyMs = 30_000;
/** Milliseconds that make a difference a jump: clocks that are being adjusted drift by less between two comparisons. */
const jumpMs = 2_000;

/**
 * Compares the clocks from time to time. Intervals and graces follow the monotonic clock, which a step of the time of
 * day does not touch and which stands still while the machine is suspended; whoever waits by it hears of a jump here.
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

  /** Monotonic milliseconds, and what the machine has been suspended for: what a silence is measured by. */
  elapsed(): number {
    return this.#clock.monotonic() + this.#suspendedMs;
  }

  /** Calls `listener` after each jump, within half a minute of it. */
  onJump(listener: (jump: Jump) => void): void {
    this.#listeners.push(listener);
  }

  /** Compares the clocks every half a minute from now on. */
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
