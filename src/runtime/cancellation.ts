/** Whether a caller still waits for a call or a write. Checked before it begins. */
export type IsWanted = () => boolean;

/** Thrown if a call or a write was not begun, or not awaited, because no caller waits for it. */
export class Canceled extends Error {
  constructor() {
    super("canceled: no caller waits for it");
    this.name = "Canceled";
  }
}

/** Waits for `promise` or until the signal aborts. @throws the signal's reason if it aborts first */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** The callers that wait for one answer. The answer is wanted as long as one of them wants it. */
export class Waiters {
  readonly #all: IsWanted[];

  constructor(first: IsWanted = always) {
    this.#all = [first];
  }

  join(isWanted: IsWanted = always): void {
    this.#all.push(isWanted);
  }

  readonly isWanted: IsWanted = () => this.#all.some((isWanted) => isWanted());
}

/** For callers that always wait. */
export function always(): boolean {
  return true;
}
