import fc from "fast-check";
import { expect, it } from "vitest";
import { begin, end, Puts, type Step, step, take } from "./steps.ts";
import { Tenants } from "./tenants.ts";

/** MODEL_RUNS and MODEL_SEED select other schedules: `MODEL_RUNS=200000 make test TESTS=test/model`. */
const runs = Number(process.env.MODEL_RUNS ?? 20_000);
const seed = process.env.MODEL_SEED === undefined ? 12 : Number(process.env.MODEL_SEED);
/** Test files that each run a part of the schedules, so that two workers share them. */
const parts = 2;

/**
 * Defines the test of one part of the random schedules.
 *
 * @param part from 0; each part has a seed of its own
 */
export function testSchedules(part: number): void {
  const numRuns = Math.ceil(runs / parts);
  it(
    "respects AWS's state and the allow rules in random schedules of edits, restarts, clock steps and faults",
    // Also sufficient on a busy machine.
    { timeout: 120_000 + numRuns * 200 },
    () =>
      fc.assert(fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), run), { numRuns, seed: seed + part }),
  );
}

async function run(steps: readonly Step[]): Promise<void> {
  const tenants = new Tenants();
  const puts = new Puts();
  try {
    await begin(tenants, puts);
    for (const one of steps) await take(tenants, puts, one);
    await end(tenants);
    tenants.oracle.settled();
    const { violations } = tenants.oracle;
    expect({ violations, isQuiet: await isQuiet(tenants) }).toEqual({ violations: [], isQuiet: true });
  } finally {
    tenants.stop();
  }
}

/**
 * Whether nothing is written for two poll intervals in the end. After the clock was set back, a deletion is confirmed
 * only once the clock has advanced as far again.
 */
async function isQuiet(tenants: Tenants): Promise<boolean> {
  for (let tries = 0; tries < 4; tries++) {
    const before = tenants.oracle.writes;
    await tenants.pass(150_000, 30_000);
    if (tenants.oracle.writes === before) return true;
  }
  return false;
}
