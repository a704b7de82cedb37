import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PendingRead, PendingReads } from "../../../src/parameters/read/pending-reads.ts";
import { Waiters } from "../../../src/runtime/cancellation.ts";
import { type Lane, lanes } from "../../../src/runtime/lane.ts";
import { noSpan } from "../../../src/runtime/tracing.ts";

const pendingRead = (name: string, lane: Lane): PendingRead => ({
  name,
  decrypt: true,
  lane,
  asksWhy: true,
  namespace: "",
  waiters: new Waiters(),
  span: noSpan,
  answer: new Promise(() => {}),
  resolve: () => {},
  cancel: () => {},
});

const takeAll = (pendingReads: PendingReads, granted: Lane): string[] => {
  const names: string[] = [];
  for (let one = pendingReads.take(granted); one; one = pendingReads.take(granted)) names.push(one.name);
  return names;
};

describe("pending reads", () => {
  it("are taken from the granted lane first, then from the most urgent", () => {
    const pendingReads = new PendingReads();
    for (const lane of lanes) pendingReads.add(pendingRead(lane, lane), "ns");
    expect(takeAll(pendingReads, "bulk")).toEqual(["bulk", "event", "interactive", "drift", "poll"]);
  });

  it("of one lane take turns by namespace: 5,000 of one namespace do not delay another", () => {
    const pendingReads = new PendingReads();
    for (let i = 0; i < 5_000; i++) pendingReads.add(pendingRead(`/many/${i}`, "interactive"), "many");
    pendingReads.add(pendingRead("/one", "interactive"), "one");
    const first = [pendingReads.take("interactive")!.name, pendingReads.take("interactive")!.name];
    expect(first).toContain("/one");
  });

  it("are taken in the turn of each namespace that wants the name", () => {
    const pendingReads = new PendingReads();
    for (let i = 0; i < 5_000; i++) pendingReads.add(pendingRead(`/many/${i}`, "interactive"), "many");
    const shared = pendingReads.get("/many/4999")!;
    expect(pendingReads.hurry(shared, "interactive", "one")).toBe(false);
    expect([pendingReads.take("interactive")!.name, pendingReads.take("interactive")!.name]).toContain("/many/4999");
    expect(takeAll(pendingReads, "interactive")).toHaveLength(4_998);
    expect(pendingReads.depth("interactive")).toBe(0);
  });

  it("are never lost or taken twice, and are counted by lane, for any sequence of operations", () => {
    const name = fc.integer({ min: 0, max: 8 }).map((id) => `/p${id}`);
    const flow = fc.constantFrom("a", "b", "c");
    const lane = fc.constantFrom(...lanes);
    const operation = fc.oneof(
      { weight: 3, arbitrary: fc.record({ op: fc.constant("pendingRead" as const), name, flow, lane }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant("take" as const), lane }) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
        const pendingReads = new PendingReads();
        const model = new Map<string, Lane>();
        for (const one of operations) {
          if (one.op === "pendingRead") {
            const waiting = pendingReads.get(one.name);
            expect(waiting !== undefined).toBe(model.has(one.name));
            const before = model.get(one.name);
            const isHurried = before !== undefined && lanes.indexOf(one.lane) < lanes.indexOf(before);
            if (waiting) expect(pendingReads.hurry(waiting, one.lane, one.flow)).toBe(isHurried);
            else pendingReads.add(pendingRead(one.name, one.lane), one.flow);
            if (before === undefined || isHurried) model.set(one.name, one.lane);
          } else {
            const taken = pendingReads.take(one.lane);
            const ready = [...model.values()];
            const expected = ready.includes(one.lane) ? one.lane : lanes.find((l) => ready.includes(l));
            expect(taken?.lane).toBe(expected);
            if (taken) expect(model.delete(taken.name)).toBe(true);
          }
          expect(pendingReads.size).toBe(model.size);
          for (const l of lanes) expect(pendingReads.depth(l)).toBe([...model.values()].filter((m) => m === l).length);
        }
        expect(takeAll(pendingReads, "poll").sort()).toEqual([...model.keys()].sort());
        expect(pendingReads.size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
