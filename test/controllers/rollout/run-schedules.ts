import fc from "fast-check";

/** A schedule's objects, and what must hold of them. */
export interface Schedule<Step> {
  begin(): Promise<void>;
  run(step: Step): Promise<void>;
  /** After each step. */
  look(): Promise<void>;
  /** After the last one: nothing is left to happen. */
  settle(): Promise<void>;
  end(): Promise<void>;
}

/** Runs random schedules, each with objects of its own. @param lengths of a schedule, in steps */
export async function runSchedules<Step>(
  step: fc.Arbitrary<Step>,
  lengths: { minLength: number; maxLength: number },
  numRuns: number,
  open: () => Schedule<Step>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, lengths), async (steps) => {
      const schedule = open();
      await schedule.begin();
      for (const one of steps) {
        await schedule.run(one);
        await schedule.look();
      }
      await schedule.settle();
      await schedule.end();
    }),
    { numRuns, endOnFailure: true },
  );
}
