/** Shares a running operation with the callers that come before it ends: one flight for each key. */
export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>();

  /** The running operation of a key, or else the one that `begin` begins. */
  run(begin: () => Promise<T>, key = ""): Promise<T> {
    const running = this.#running.get(key);
    if (running) return running;
    const flight = begin().finally(() => this.#running.delete(key));
    this.#running.set(key, flight);
    return flight;
  }

  /** The running operation of a key; undefined if there is none. */
  get(key = ""): Promise<T> | undefined {
    return this.#running.get(key);
  }
}
