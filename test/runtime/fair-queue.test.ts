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
