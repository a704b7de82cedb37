import type { Clock } from "../runtime/clock.ts";

/** Milliseconds between the starts of two looks at one entry that are asked for by hints: bursts are seen once. */
const spacingMs = 300;

interface State {
  startedAt: number;
  running: Promise<unknown>;
  /** The look that will see what running ones may have been too early for. */
  next?: Promise<unknown>;
}

/**
 * Looks that are asked for by hints. A hint that comes while a look is under way needs another, since the look may have
 * been too early; all hints that wait share it.
 */
export class LookCoalescer<K, T> {
  readonly #clock: Clock;
  readonly #look: (key: K) => Promise<T>;
  readonly #states = new Map<K, State>();

  constructor(clock: Clock, look: (key: K) => Promise<T>) {
    this.#clock = clock;
    this.#look = look;
  }

  /** Looks at `key`, now or as soon as it may. @returns what a look saw that began after this call */
  look(key: K): Promise<T> {
    const state = this.#states.get(key);
    if (!state) return this.#start(key);
    state.next ??= this.#after(state).then(() => this.#start(key));
    return state.next as Promise<T>;
  }

  #start(key: K): Promise<T> {
    const look = this.#look(key);
    const state: State = { startedAt: this.#clock.monotonic(), running: look };
    this.#states.set(key, state);
    void this.#after(state).then(() => {
      if (this.#states.get(key) === state && !state.next) this.#states.delete(key);
    });
    return look;
  }

  async #after(state: State): Promise<void> {
    await state.running.catch(() => {});
    const rest = state.startedAt + spacingMs - this.#clock.monotonic();
    if (rest > 0) await new Promise<void>((resolve) => this.#clock.setTimer(resolve, rest));
  }
}
