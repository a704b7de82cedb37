import fc from "fast-check";
import { expect, it } from "vitest";
import { begin, end, Puts, step, take } from "./steps.ts";
import { Tenants } from "./tenants.ts";

/** MODEL_RUNS and MODEL_SEED have other schedules run: `MODEL_RUNS=200000 make test TESTS=test/model`. */
const runs = Number(process.env.MODEL_RUNS ?? 20_000);
const seed = process.env.MODEL_SEED === undefined ? 12 : Number(process.env.MODEL_SEED);

it("holds to AWS's state and the allow rules through 20,000 schedules of edits, restarts, clock steps and faults", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
      const tenants = new Tenants();
      const puts = new Puts();
      try {
        await begin(tenants, puts);
        for (const one of steps) await take(tenants, puts, one);
        await end(tenants);
        tenants.oracle.settled();
        const before = tenants.oracle.writes;
        await tenants.pass(150_000, 30_000);
        expect({ violations: tenants.oracle.violations, written: tenants.oracle.writes - before }).toEqual({
          violations: [],
          written: 0,
        });
      } finally {
        tenants.stop();
      }
    }),
    { numRuns: runs, seed },
  );
}, 600_000);
