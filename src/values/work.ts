import { invalid } from "./refusal.ts";

/**
 * Units that one assembly may spend on the event loop. A unit is about 100 ns at worst on a small machine, so that all
 * of it is some 20 ms; what needs more is done in a worker thread.
 */
export const inlineUnits = 200_000;

/** Units that one assembly may spend in the worker: about two seconds. */
export const workerUnits = 20_000_000;

/** Thrown where the work that is left does not suffice. It is no refusal: with more units the same may come to an end. */
export class Exhausted extends Error {
  constructor() {
    super("the work that was allowed is used up");
    this.name = "Exhausted";
  }
}

/**
 * What may still be spent on one assembly. Every engine counts what it is about to touch, by its size, before it touches
 * it: counted and not timed, so that the same input comes to the same end on every machine.
 */
export class Work {
  #left: number;
  readonly #atEnd: "exhausted" | "refused";

  /**
   * @param units what may be spent in all; without end where left out
   * @param atEnd whether there is somebody who can do it with more units, or it is refused
   */
  constructor(units = Number.POSITIVE_INFINITY, atEnd: "exhausted" | "refused" = "exhausted") {
    this.#left = units;
    this.#atEnd = atEnd;
  }

  /**
   * Counts work that is about to be done.
   *
   * @throws Exhausted, or a Refusal, where it is more than is left
   */
  spend(units: number): void {
    this.#left -= units;
    if (this.#left >= 0) return;
    if (this.#atEnd === "exhausted") throw new Exhausted();
    throw invalid("it takes more work than one Secret may; make its patterns, paths, templates or documents do less");
  }
}
