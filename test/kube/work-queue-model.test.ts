import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { WorkQueue } from "../../src/kube/work-queue.ts";
import { FakeClock } from "../support/clock.ts";

describe("a work queue under any sequence of operations", () => {
  const key = fc.constantFrom("a/1", "a/2", "b/1", "b/2", "c");
  const operation = fc.oneof(
    fc.record({ op: fc.constant("add" as const), key, priority: fc.integer({ min: -1, max: 2 }) }),
    fc.record({ op: fc.constant("addAfter" as const), key, ms: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ op: fc.constant("retry" as const), key }),
    fc.record({ op: fc.constant("forget" as const), key }),
    fc.record({ op: fc.constant("take" as const) }),
    fc.record({ op: fc.constant("done" as const), nth: fc.nat(4) }),
    fc.record({ op: fc.constant("advance" as const), ms: fc.integer({ min: 1, max: 60 }) }),
  );

  test("never gives a key to two workers, never loses a key, and takes the highest priority first", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 60, size: "max" }), async (operations) => {
        const clock = new FakeClock();
        const queue = new WorkQueue({ clock, random: () => 0, baseDelayMs: 20, maxDelayMs: 40 });
        const ready = new Map<string, number>();
        const working = new Set<string>();
        const again = new Map<string, number>();
        const later = new Map<string, number>();
        const add = (k: string, priority: number) => {
          const into = working.has(k) ? again : ready;
          into.set(k, Math.max(priority, into.get(k) ?? priority));
        };
        const addAfter = (k: string, ms: number) => {
          if (ms === 0) add(k, 0);
          else later.set(k, Math.min(clock.now() + ms, later.get(k) ?? Infinity));
        };
        for (const one of operations) {
          if (one.op === "add") {
            queue.add(one.key, one.priority);
            add(one.key, one.priority);
          } else if (one.op === "addAfter") {
            queue.addAfter(one.key, one.ms);
            addAfter(one.key, one.ms);
          } else if (one.op === "retry") {
            addAfter(one.key, queue.retry(one.key));
          } else if (one.op === "forget") {
            queue.forget(one.key);
          } else if (one.op === "take") {
            const taken = queue.take();
            expect(taken === undefined).toBe(ready.size === 0);
            if (taken === undefined) continue;
            expect(working.has(taken)).toBe(false);
            expect(ready.get(taken)).toBe(Math.max(...ready.values()));
            ready.delete(taken);
            working.add(taken);
          } else if (one.op === "done") {
            const done = [...working][one.nth];
            if (done === undefined) continue;
            queue.done(done);
            working.delete(done);
            if (again.has(done)) ready.set(done, again.get(done)!);
            again.delete(done);
          } else {
            await clock.advance(one.ms);
            for (const [k, at] of later) {
              if (at > clock.now()) continue;
              later.delete(k);
              add(k, 0);
            }
          }
          expect([queue.depth, queue.inWork, queue.delayed]).toEqual([ready.size, working.size, later.size]);
          for (const k of ["a/1", "a/2", "b/1", "b/2", "c"]) {
            expect(queue.isWaiting(k)).toBe(ready.has(k) || again.has(k));
            expect(queue.isInWork(k)).toBe(working.has(k));
          }
          expect([...queue.waits()].map(({ priority }) => priority).sort()).toEqual([...ready.values()].sort());
        }
        await clock.advance(1000);
        const wanted = new Set([...ready.keys(), ...again.keys(), ...later.keys()]);
        for (const k of working) queue.done(k);
        const left = new Set<string>();
        for (let k = queue.take(); k !== undefined; k = queue.take()) {
          expect(left.has(k)).toBe(false);
          left.add(k);
        }
        expect(left).toEqual(wanted);
      }),
      { numRuns: 150 },
    );
  });
});
