import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DelayQueue, type DelayQueueOptions } from "../../src/runtime/delay-queue.ts";
import { FakeClock } from "../support/clock.ts";

interface Element {
  at: number;
  id: number;
}

function setUp(options: Partial<DelayQueueOptions<Element>> = {}) {
  const clock = new FakeClock();
  const dead = new Set<number>();
  const reached: number[][] = [];
  const queue = new DelayQueue<Element>({
    clock,
    isLive: ({ id }) => !dead.has(id),
    reached: (due) => void reached.push(due.map(({ id }) => id)),
    ...options,
  });
  return { clock, dead, reached, queue };
}

describe("a delay queue", () => {
  it("reports each live element once, when it is due, with one timer at most", async () => {
    const operation = fc.oneof(
      fc.record({ op: fc.constant("push" as const), ms: fc.integer({ min: 0, max: 50 }) }),
      fc.record({ op: fc.constant("kill" as const), id: fc.nat(30) }),
      fc.record({ op: fc.constant("clean" as const) }),
      fc.record({ op: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 30 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 60 }), async (operations) => {
        const { clock, dead, reached, queue } = setUp();
        const waiting = new Map<number, number>();
        const expected: number[] = [];
        const pass = async (ms: number) => {
          await clock.advance(ms);
          for (const [id, at] of waiting) {
            if (at > clock.monotonic()) continue;
            waiting.delete(id);
            expected.push(id);
          }
        };
        for (const [id, one] of operations.entries()) {
          if (one.op === "push") {
            const at = clock.monotonic() + one.ms;
            queue.push({ at, id });
            waiting.set(id, at);
          } else if (one.op === "kill" && waiting.delete(one.id)) dead.add(one.id);
          else if (one.op === "clean") {
            queue.clean();
            expect(queue.size).toBe(waiting.size);
          } else if (one.op === "wait") await pass(one.ms);
          expect(clock.pending).toBeLessThanOrEqual(1);
          const byId = (a: number, b: number) => a - b;
          if (one.op === "wait") expect(reached.flat().sort(byId)).toEqual([...expected].sort(byId));
        }
        await pass(100);
        expect(reached.flat()).toHaveLength(expected.length);
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it("reports everything that is due in one call, the earliest first", async () => {
    const { clock, reached, queue } = setUp();
    for (const [id, at] of [30, 10, 20, 10_000].entries()) queue.push({ at: clock.monotonic() + at, id });
    await clock.advance(0);
    queue.stop();
    expect(reached).toEqual([]);
    const again = setUp();
    for (const [id, at] of [5, 5, 5].entries()) again.queue.push({ at: again.clock.monotonic() + at, id });
    await again.clock.advance(5);
    expect(again.reached.map((ids) => ids.sort())).toEqual([[0, 1, 2]]);
  });

  it("looks at a clock that was set when its longest timer ends, or at once on check", async () => {
    let now = 0;
    const { clock, reached, queue } = setUp({ now: () => now, longestMs: 60 });
    queue.push({ at: 1_000_000, id: 1 });
    queue.push({ at: 2_000_000, id: 2 });
    now = 1_500_000;
    await clock.advance(59);
    expect(reached).toEqual([]);
    await clock.advance(1);
    expect(reached).toEqual([[1]]);
    now = 2_000_000;
    queue.check();
    expect(reached).toEqual([[1], [2]]);
    expect(clock.pending).toBe(0);
  });

  it("reports nothing after stop", async () => {
    const { clock, reached, queue } = setUp();
    queue.push({ at: clock.monotonic() + 10, id: 1 });
    queue.stop();
    queue.push({ at: clock.monotonic() + 10, id: 2 });
    await clock.advance(100);
    expect([reached, clock.pending]).toEqual([[], 0]);
  });
});
