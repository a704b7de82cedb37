import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Ask, Asks } from "../../src/parameters/asks.ts";
import { Waiters } from "../../src/runtime/cancellation.ts";
import { type Lane, lanes } from "../../src/runtime/lane.ts";

const ask = (name: string, lane: Lane): Ask => ({
  name,
  decrypt: true,
  lane,
  asksWhy: true,
  namespace: "",
  waiters: new Waiters(),
  answer: new Promise(() => {}),
  resolve: () => {},
  cancel: () => {},
});

const takeAll = (asks: Asks, granted: Lane): string[] => {
  const names: string[] = [];
  for (let one = asks.take(granted); one; one = asks.take(granted)) names.push(one.name);
  return names;
};

describe("asks that wait", () => {
  it("are taken from the granted lane first, then from the most urgent", () => {
    const asks = new Asks();
    for (const lane of lanes) asks.add(ask(lane, lane), "ns");
    expect(takeAll(asks, "bulk")).toEqual(["bulk", "event", "interactive", "drift", "poll"]);
  });

  it("of one lane take turns by namespace, so that 5,000 of one do not delay another's", () => {
    const asks = new Asks();
    for (let i = 0; i < 5_000; i++) asks.add(ask(`/many/${i}`, "interactive"), "many");
    asks.add(ask("/one", "interactive"), "one");
    const first = [asks.take("interactive")!.name, asks.take("interactive")!.name];
    expect(first).toContain("/one");
  });

  it("are taken in another namespace's turn where that one wants the same name", () => {
    const asks = new Asks();
    for (let i = 0; i < 5_000; i++) asks.add(ask(`/many/${i}`, "interactive"), "many");
    const shared = asks.get("/many/4999")!;
    expect(asks.hurry(shared, "interactive", "one")).toBe(false);
    expect([asks.take("interactive")!.name, asks.take("interactive")!.name]).toContain("/many/4999");
    expect(takeAll(asks, "interactive")).toHaveLength(4_998);
    expect(asks.depth("interactive")).toBe(0);
  });

  it("are never taken twice, never lost, and counted by lane, whatever is asked, hurried and taken", () => {
    const name = fc.integer({ min: 0, max: 8 }).map((id) => `/p${id}`);
    const flow = fc.constantFrom("a", "b", "c");
    const lane = fc.constantFrom(...lanes);
    const operation = fc.oneof(
      { weight: 3, arbitrary: fc.record({ op: fc.constant("ask" as const), name, flow, lane }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant("take" as const), lane }) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
        const asks = new Asks();
        const model = new Map<string, Lane>();
        for (const one of operations) {
          if (one.op === "ask") {
            const waiting = asks.get(one.name);
            expect(waiting !== undefined).toBe(model.has(one.name));
            const before = model.get(one.name);
            const isHurried = before !== undefined && lanes.indexOf(one.lane) < lanes.indexOf(before);
            if (waiting) expect(asks.hurry(waiting, one.lane, one.flow)).toBe(isHurried);
            else asks.add(ask(one.name, one.lane), one.flow);
            if (before === undefined || isHurried) model.set(one.name, one.lane);
          } else {
            const taken = asks.take(one.lane);
            const ready = [...model.values()];
            const expected = ready.includes(one.lane) ? one.lane : lanes.find((l) => ready.includes(l));
            expect(taken?.lane).toBe(expected);
            if (taken) expect(model.delete(taken.name)).toBe(true);
          }
          expect(asks.size).toBe(model.size);
          for (const l of lanes) expect(asks.depth(l)).toBe([...model.values()].filter((m) => m === l).length);
        }
        expect(takeAll(asks, "poll").sort()).toEqual([...model.keys()].sort());
        expect(asks.size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
