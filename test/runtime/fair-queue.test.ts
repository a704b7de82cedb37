import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FairQueue } from "../../src/runtime/fair-queue.ts";
import { Fifo } from "../../src/runtime/fifo.ts";

interface Element {
  id: number;
  priority: number;
  flow: string;
  withdrawn: boolean;
}

describe("a fair queue", () => {
  it("takes each element that is not withdrawn once, by priority and first in, first out within a flow", () => {
    const priority = fc.integer({ min: 0, max: 2 });
    const operation = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ op: fc.constant("push" as const), priority, flow: fc.constantFrom("a", "b", "c") }),
      },
      { weight: 2, arbitrary: fc.record({ op: fc.constant("take" as const) }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant("takeOf" as const), priority }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant("withdraw" as const), nth: fc.nat(10) }) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
        const queue = new FairQueue<Element>();
        let waiting: Element[] = [];
        for (const [id, one] of operations.entries()) {
          if (one.op === "push") {
            const element = { id, priority: one.priority, flow: one.flow, withdrawn: false };
            queue.push(element);
            waiting.push(element);
          } else if (one.op === "withdraw") {
            const element = waiting[one.nth];
            if (!element) continue;
            element.withdrawn = true;
            waiting = waiting.filter((other) => other !== element);
          } else {
            const wanted = one.op === "take" ? Math.max(...waiting.map((other) => other.priority)) : one.priority;
            const candidates = waiting.filter((other) => other.priority === wanted);
            const taken = one.op === "take" ? queue.take() : queue.takeOf(one.priority);
            expect(taken !== undefined).toBe(candidates.length > 0);
            if (!taken) continue;
            expect(candidates.find(({ flow }) => flow === taken.flow)).toBe(taken);
            waiting = waiting.filter((other) => other !== taken);
          }
        }
        let left = 0;
        while (queue.take()) left += 1;
        expect(left).toBe(waiting.length);
      }),
      { numRuns: 300 },
    );
  });

  it("gives each flow a turn before a second turn of another flow", () => {
    const queue = new FairQueue<Element>();
    const push = (flow: string, count: number) => {
      for (let id = 0; id < count; id++) queue.push({ id, priority: 0, flow, withdrawn: id % 3 === 1 });
    };
    push("many", 3_000);
    push("some", 30);
    push("few", 3);
    const flows = Array.from({ length: 6 }, () => queue.take()!.flow);
    expect(flows).toEqual(["many", "some", "few", "many", "some", "few"]);
  });
});

describe("a fair queue with flows that are not eligible", () => {
  const element = (flow: string, id = 0, priority = 0): Element => ({ id, priority, flow, withdrawn: false });

  it("takes from the other flows, and from lower priorities", () => {
    const queue = new FairQueue<Element>();
    for (const one of [element("a", 1, 2), element("b", 2, 1), element("c", 3)]) queue.push(one);
    expect(queue.take((flow) => flow !== "a")?.id).toBe(2);
    expect(queue.take((flow) => (flow === "a" ? ["full"] : true))?.id).toBe(3);
    expect(queue.take()).toBeUndefined();
    queue.wake("full", 1);
    expect(queue.take()?.id).toBe(1);
  });

  it("keeps the turns of skipped flows", () => {
    const queue = new FairQueue<Element>();
    for (const flow of ["a", "b", "c", "a", "b", "c"]) queue.push(element(flow));
    expect(queue.take((flow) => flow === "c")?.flow).toBe("c");
    expect(Array.from({ length: 5 }, () => queue.take()!.flow)).toEqual(["a", "b", "c", "a", "b"]);
  });

  it("looks at a parked flow again only after a wake of one of its groups", () => {
    const queue = new FairQueue<Element>();
    let looks = 0;
    const blocked = () => {
      looks += 1;
      return ["connection", "namespace"];
    };
    for (let id = 0; id < 10_000; id++) queue.push(element("a", id));
    for (let n = 0; n < 1_000; n++) expect(queue.take(blocked)).toBeUndefined();
    expect(looks).toBe(1);
    expect(queue.wake("another", 1)).toBe(false);
    expect(queue.wake("namespace", 1)).toBe(true);
    expect(queue.wake("connection", 1)).toBe(false);
    expect(queue.take(blocked)).toBeUndefined();
    expect(looks).toBe(2);
  });

  it("never has a free place and a waiting element that could use it, and takes each element once", () => {
    const capacity: Record<string, number> = { x: 1, y: 2, z: 3 };
    const flows = ["a", "b", "c", "d"].flatMap((name) => Object.keys(capacity).map((group) => `${name} ${group}`));
    const operation = fc.oneof(
      fc.record({ op: fc.constant("push" as const), flow: fc.constantFrom(...flows), priority: fc.nat(2) }),
      fc.record({ op: fc.constant("end" as const), nth: fc.nat(5) }),
      fc.record({ op: fc.constant("withdraw" as const), nth: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 120 }), fc.boolean(), (operations, hasCredits) => {
        const queue = new FairQueue<Element>(hasCredits ? () => 0.3 : undefined);
        const used: Record<string, number> = { x: 0, y: 0, z: 0 };
        const waiting = new Set<Element>();
        const working: Element[] = [];
        const groupOf = (flow: string) => flow.slice(2);
        const isFree = (flow: string) => used[groupOf(flow)]! < capacity[groupOf(flow)]!;
        for (const [id, one] of operations.entries()) {
          if (one.op === "push") {
            const pushed = element(one.flow, id, one.priority);
            queue.push(pushed);
            waiting.add(pushed);
          } else if (one.op === "withdraw") {
            const withdrawn = [...waiting][one.nth];
            if (!withdrawn) continue;
            withdrawn.withdrawn = true;
            waiting.delete(withdrawn);
          } else {
            const [ended] = working.splice(one.nth, 1);
            if (!ended) continue;
            const group = groupOf(ended.flow);
            used[group]! -= 1;
            queue.wake(group, capacity[group]! - used[group]!);
          }
          const eligible = (flow: string) => isFree(flow) || [groupOf(flow)];
          for (let taken = queue.take(eligible); taken; taken = queue.take(eligible)) {
            expect(waiting.delete(taken)).toBe(true);
            expect(isFree(taken.flow)).toBe(true);
            used[groupOf(taken.flow)]! += 1;
            working.push(taken);
          }
          for (const { flow } of waiting) expect(isFree(flow)).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("holds few withdrawn elements, however often a parked flow's element is raised", () => {
    const queue = new FairQueue<Element>();
    const first = element("a", 0);
    queue.push(first);
    queue.take(() => ["full"]);
    for (let id = 1; id <= 1_000; id++) {
      const again = element("a", id);
      again.withdrawn = id < 1_000;
      queue.push(again);
    }
    first.withdrawn = true;
    queue.wake("full", 1);
    expect(queue.take()?.id).toBe(1_000);
  });
});

describe("a fair queue with credits", () => {
  it.each([
    { share: 0.5, expected: "hhlhhlhhl" },
    { share: 0.25, expected: "hhhhlhhhhl" },
    { share: 0, expected: "hhhhhhhhhh" },
  ])("gives a lower priority $share of an element for each one of another", ({ share, expected }) => {
    const queue = new FairQueue<Element>((priority) => (priority === 0 ? share : 0));
    for (let id = 0; id < 20; id++) {
      queue.push({ id, priority: 1, flow: "high", withdrawn: false });
      queue.push({ id, priority: 0, flow: "low", withdrawn: false });
    }
    const taken = Array.from(expected, () => queue.take()!.flow[0]);
    expect(taken.join("")).toBe(expected);
  });
});

describe("a FIFO", () => {
  it("behaves like an array's shift, push and unshift with thousands of elements", () => {
    const operation = fc.oneof(
      fc.record({ op: fc.constant("push" as const), count: fc.integer({ min: 1, max: 1_500 }) }),
      fc.record({ op: fc.constant("shift" as const), count: fc.integer({ min: 1, max: 1_500 }) }),
      fc.record({ op: fc.constant("unshift" as const), count: fc.integer({ min: 1, max: 3 }) }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
        const fifo = new Fifo<number>();
        const model: number[] = [];
        let next = 0;
        for (const { op, count } of operations) {
          for (let i = 0; i < count; i++) {
            if (op === "push") {
              fifo.push(next);
              model.push(next++);
            } else if (op === "unshift") {
              fifo.unshift(next);
              model.unshift(next++);
            } else if (fifo.shift() !== model.shift()) {
              throw new Error("another element came out");
            }
          }
          expect(fifo.size).toBe(model.length);
          expect(fifo.peek()).toBe(model[0]);
        }
      }),
      { numRuns: 60 },
    );
  });
});
