import type { Clock } from "../../runtime/clock.ts";

/** Milliseconds between the starts of two hinted looks at one entry: a burst of hints causes one look. */
const spacingMs = 300;

interface State {
  startedAt: number;
  running: Promise<unknown>;
  /** The next look, for changes that the running look may have missed. */
  next?: Promise<unknown>;
}

/**
 * Coalesces the looks that hints cause. A hint during a look needs another look, since the running one may have missed
 * the change. All waiting hints share the next look.
 */
export class LookCoalescer<K, T> {
  readonly #clock: Clock;
  readonly #look: (key: K) => Promise<T>;
  readonly #states = new Map<K, State>();

  constructor(clock: Clock, look: (key: K) => Promise<T>) {
    this.#clock = clock;
    this.#look = look;
  }

  /** Looks at `key`, now or after the minimum spacing. @returns the result of a look that began after this call */
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
