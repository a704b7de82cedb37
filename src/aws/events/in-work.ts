import { type Clock, sleep } from "../../runtime/clock.ts";

/** Messages of a queue in progress, above which no receive starts; receives in flight still add theirs. */
const heldAtMost = 200;
/** Rate of messages of a queue: sustained per second, and burst. */
const aSecond = 200;
const atOnce = 400;

/** A message in progress. */
export interface Held {
  /** The receiver that received it last. */
  by: object;
  /** Of the last receive. */
  receipt: string;
  /** Deletes the message by this receipt handle. */
  remove: () => Promise<void>;
}

/**
 * The messages of a queue in progress, across its receivers. SQS redelivers a message that outlasts its visibility
 * timeout: it is not started again, and only its receipt handle is replaced.
 */
export class InWork {
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();
  readonly #waiting = new Set<() => void>();
  #tokens = atOnce;
  #filledAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#filledAt = clock.monotonic();
  }

  /** Resolves when a receive may start, or when `signal` aborts. */
  async room(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#fill();
      if (this.#held.size >= heldAtMost) await this.#released(signal);
      else if (this.#tokens < 0) await sleep(this.#clock, (-this.#tokens * 1_000) / aSecond, signal);
      else return;
    }
  }

  /**
   * Adds a received message.
   *
   * @returns false if the message is already in progress
   */
  begin(id: string, message: Held): boolean {
    this.#fill();
    this.#tokens -= 1;
    const isNew = !this.#held.has(id);
    this.#held.set(id, message);
    return isNew;
  }

  /** Deletes a message in progress. */
  async delete(id: string): Promise<void> {
    await this.#held.get(id)!.remove();
  }

  /** The messages that a receiver received last. */
  of(receiver: object): { id: string; receipt: string }[] {
    return [...this.#held].filter(([, { by }]) => by === receiver).map(([id, { receipt }]) => ({ id, receipt }));
  }

  end(id: string): void {
    this.#held.delete(id);
    for (const release of this.#waiting) release();
  }

  #fill(): void {
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(atOnce, this.#tokens + ((now - this.#filledAt) * aSecond) / 1_000);
    this.#filledAt = now;
  }

  #released(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done);
    });
  }
}
