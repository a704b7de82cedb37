import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TtlMap } from "../../src/runtime/ttl-map.ts";
import { FakeClock } from "../support/clock.ts";

describe("a TTL map", () => {
  it.each([
    { waitMs: 99, value: "v" },
    { waitMs: 100, value: undefined },
  ])("gives $value for an element of 100 ms after $waitMs ms", async ({ waitMs, value }) => {
    const clock = new FakeClock();
    const map = new TtlMap<string, string>({ clock, ttlMs: 100 });
    map.set("a", "v");
    await clock.advance(waitMs);
    expect(map.get("a")).toBe(value);
    expect(map.has("a")).toBe(value !== undefined);
    expect([...map.values()]).toEqual(value === undefined ? [] : [value]);
  });

  it("behaves like a map from which expired and surplus elements are removed", async () => {
    const key = fc.constantFrom("a", "b", "c", "d", "e");
    const operation = fc.oneof(
      fc.record({ op: fc.constant("set" as const), key, ttlMs: fc.constantFrom(undefined, 5, 50) }),
      fc.record({ op: fc.constant("delete" as const), key }),
      fc.record({ op: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 30 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 60 }), async (operations) => {
        const clock = new FakeClock();
        const map = new TtlMap<string, number>({ clock, ttlMs: 20 });
        const model = new Map<string, { value: number; until: number }>();
        for (const [value, one] of operations.entries()) {
          if (one.op === "wait") await clock.advance(one.ms);
          else if (one.op === "delete") {
            map.delete(one.key);
            model.delete(one.key);
          } else {
            map.set(one.key, value, one.ttlMs);
            model.delete(one.key);
            model.set(one.key, { value, until: clock.monotonic() + (one.ttlMs ?? 20) });
          }
          for (const [old, { until }] of model) if (until <= clock.monotonic()) model.delete(old);
          expect([...map.values()]).toEqual([...model.values()].map((element) => element.value));
          for (const name of ["a", "b", "c", "d", "e"]) expect(map.get(name)).toBe(model.get(name)?.value);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("holds few expired elements, and drops the oldest above its maximum size", async () => {
    const clock = new FakeClock();
    const map = new TtlMap<number, number>({ clock, ttlMs: 100, maxSize: 10 });
    for (let n = 0; n < 25; n++) map.set(n, n);
    expect([...map.values()]).toEqual([15, 16, 17, 18, 19, 20, 21, 22, 23, 24]);
    map.set(15, 15);
    map.set(25, 25);
    expect([map.has(15), map.has(16)]).toEqual([true, false]);
    await clock.advance(100);
    map.set(1, 1);
    expect(map.size).toBe(1);
  });
});
