import fc from "fast-check";
import { expect, it } from "vitest";
import { type Entry, newEntry } from "../../../src/parameters/cache/cache-entry.ts";
import { changeEntry } from "../../../src/parameters/cache/reducer.ts";
import { referenceKey } from "../../../src/parameters/read/reference.ts";
import { Poller } from "../../../src/parameters/schedule/poller.ts";
import { FakeClock } from "../../support/clock.ts";
import { FakeAws } from "../../support/fake-aws.ts";
import { heldOf } from "../../support/garbage.ts";
import { parameterOf, pathOf } from "../../support/observer.ts";

const hour = 3_600_000;
const identity = new FakeAws(() => 0).identity();

function entryOf(name: string, intervalMs: number): Entry {
  const reference = name.endsWith("/") ? pathOf(identity, name) : parameterOf(identity, name);
  const entry = newEntry(reference, referenceKey(reference));
  changeEntry(entry, { type: "dependentAdded", dependent: "ns/s", intervalMs });
  return entry;
}

it("looks at each entry at most a tenth of its interval before its last planned time, and never after", async () => {
  const plan = fc.record({
    afterMs: fc.integer({ min: 0, max: 2_000 }),
    which: fc.integer({ min: 0, max: 3 }),
    inMs: fc.integer({ min: 0, max: 5_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(plan, { maxLength: 25 }), async (plans) => {
      const clock = new FakeClock();
      const looked = new Map<Entry, number>();
      const entries = ["/a", "/b", "/c", "/path/"].map((name) => entryOf(name, 10_000));
      const poller = new Poller(
        clock,
        () => 0,
        async (batch) => {
          for (const entry of batch) looked.set(entry, clock.monotonic());
          return "heard";
        },
      );
      const due = new Map<Entry, number>();
      const check = () => {
        for (const [entry, at] of [...due]) {
          const seen = looked.get(entry);
          if (at <= clock.monotonic()) expect(seen).toBeDefined();
          if (seen === undefined) continue;
          expect(seen).toBeGreaterThanOrEqual(at - 1_000);
          expect(seen).toBeLessThanOrEqual(at);
          due.delete(entry);
        }
        looked.clear();
      };
      for (const { afterMs, which, inMs } of plans) {
        await clock.advance(afterMs);
        check();
        const entry = entries[which]!;
        changeEntry(entry, { type: "planned", at: clock.monotonic() + inMs });
        due.set(entry, entry.dueAt);
        poller.plan(entry);
      }
      await clock.advance(5_000);
      check();
      expect(due.size).toBe(0);
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 150 },
  );
});

it("keeps one heap item of an entry that is postponed repeatedly", async () => {
  const clock = new FakeClock();
  let looks = 0;
  const poller = new Poller(
    clock,
    () => 0,
    async () => {
      looks += 1;
      return "heard";
    },
  );
  const entry = entryOf("/a", hour);
  let timers = 0;
  const set = clock.setTimer.bind(clock);
  clock.setTimer = (fire, ms) => {
    timers += 1;
    return set(fire, ms);
  };
  for (let i = 0; i < 3_000; i++) {
    changeEntry(entry, { type: "planned", at: clock.monotonic() + hour });
    poller.plan(entry);
    await clock.advance(1_000);
  }
  expect(looks).toBe(0);
  const before = timers;
  await clock.advance(hour);
  expect(looks).toBe(1);
  // The item is queued again once; an item for each plan would set 3,000 timers.
  expect(timers - before).toBeLessThan(5);
});

it("releases an entry without dependents at its due time", async () => {
  const clock = new FakeClock();
  const poller = new Poller(
    clock,
    () => 0,
    async () => "heard",
  );
  const refs = Array.from({ length: 20 }, (_, i) => {
    const entry = entryOf(`/p${i}`, 60_000);
    changeEntry(entry, { type: "planned", at: clock.monotonic() + 1_000 * i });
    poller.plan(entry);
    changeEntry(entry, { type: "dependentRemoved", dependent: "ns/s" });
    return new WeakRef<object>(entry);
  });
  await clock.advance(60_000);
  expect(clock.pending).toBe(0);
  expect(await heldOf(refs)).toBe(0);
  poller.stop();
});
