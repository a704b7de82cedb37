import { invalid } from "./refusal.ts";

/**
 * Units that one assembly may spend on the event loop. A unit is about 100 ns at worst on a small machine, so that all
 * of it is some 20 ms; a larger assembly runs in a worker thread.
 */
export const inlineUnits = 200_000;

/** Units that one assembly may spend in the worker: about two seconds. */
export const workerUnits = 20_000_000;

/** Thrown if the remaining units do not suffice. Not a refusal: the assembly may succeed with more units. */
export class Exhausted extends Error {
  constructor() {
    super("the work that was allowed is used up");
    this.name = "Exhausted";
  }
}

/**
 * The remaining work budget of one assembly. Every engine counts the size of its input before it processes it. Counting
 * instead of timing gives the same result on every machine.
 */
export class Work {
  #left: number;
  readonly #atEnd: "exhausted" | "refused";

  /**
   * @param units the budget; default unlimited
   * @param atEnd whether a retry with more units is possible, or the work is refused
   */
  constructor(units = Number.POSITIVE_INFINITY, atEnd: "exhausted" | "refused" = "exhausted") {
    this.#left = units;
    this.#atEnd = atEnd;
  }

  /**
   * Counts work that is about to be done.
   *
   * @throws Exhausted, or a Refusal, if the work exceeds the budget
   */
  spend(units: number): void {
    this.#left -= units;
    if (this.#left >= 0) return;
    if (this.#atEnd === "exhausted") throw new Exhausted();
    throw invalid("it takes more work than one Secret may; make its patterns, paths, templates or documents do less");
  }
}
