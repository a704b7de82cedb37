import PQueue from "p-queue";

/** The concurrency slots of one identity. They run its calls, a bounded number at once. */
export class Slots {
  readonly #calls = new PQueue();
  #reserved = 0;

  /** @param freed called each time that a slot is free again */
  constructor(freed: () => void) {
    this.#calls.addEventListener("next", freed);
  }

  /** Whether no slot is reserved and no call waits or runs. */
  get isIdle(): boolean {
    return this.#reserved + this.#calls.size + this.#calls.pending === 0;
  }

  /** Whether every slot is reserved or used. @param atOnce the number of slots, which may change at any time */
  isFull(atOnce: number): boolean {
    this.#calls.concurrency = atOnce;
    return this.#reserved + this.#calls.size + this.#calls.pending >= atOnce;
  }

  /** Reserves a slot for one later `run`. */
  reserve(): void {
    this.#reserved += 1;
  }

  /** Gives up a reservation. */
  release(): void {
    this.#reserved -= 1;
  }

  /** Runs a call in a reserved slot: at once, unless the number of slots has fallen. Rejects with what it throws. */
  run<T>(call: () => Promise<T>): Promise<T> {
    this.#reserved -= 1;
    return this.#calls.add(call);
  }
}
