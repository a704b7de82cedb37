/** Whether somebody still waits for a call or a write; asked before it is begun. */
export type IsWanted = () => boolean;

/** Thrown where a call or a write was not begun, or not waited for to its end, since nobody wants it any more. */
export class Canceled extends Error {
  constructor() {
    super("canceled: nobody waits for it any more");
    this.name = "Canceled";
  }
}

/** Waits for `promise`, and no longer than until the signal aborts. @throws the signal's reason then */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Those who wait for one answer: it is wanted for as long as one of them wants it. */
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

function always(): boolean {
  return true;
}
