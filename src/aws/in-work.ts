import { type Clock, sleep } from "../runtime/clock.ts";

/** Messages of a queue that are worked on at once, beyond which no more is received; what is on its way still comes. */
const heldAtMost = 200;
/** Messages of a queue that are taken a second, for as long as there are more, and at once after a calm. */
const aSecond = 200;
const atOnce = 400;

/**
 * The messages of a queue that are being worked on, whichever of its receivers has got them. One that takes longer than
 * it is hidden comes again meanwhile: it is not begun anew, and only what deletes it is exchanged.
 */
export class InWork {
  readonly #clock: Clock;
  readonly #deletions = new Map<string, () => Promise<void>>();
  readonly #waiting = new Set<() => void>();
  #tokens = atOnce;
  #filledAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#filledAt = clock.monotonic();
  }

  /** Resolves when more may be received, or when `signal` aborts. */
  async room(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#fill();
      if (this.#deletions.size >= heldAtMost) await this.#released(signal);
      else if (this.#tokens < 0) await sleep(this.#clock, (-this.#tokens * 1_000) / aSecond, signal);
      else return;
    }
  }

  /**
   * Takes a message that was received.
   *
   * @param deletion deletes it by what it was received with now
   * @returns whether it is to be worked on; else it already is
   */
  begin(id: string, deletion: () => Promise<void>): boolean {
    this.#fill();
    this.#tokens -= 1;
    const isNew = !this.#deletions.has(id);
    this.#deletions.set(id, deletion);
    return isNew;
  }

  /** Deletes a message of those in work. */
  async delete(id: string): Promise<void> {
    await this.#deletions.get(id)!();
  }

  end(id: string): void {
    this.#deletions.delete(id);
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
