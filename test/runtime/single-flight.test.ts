import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SingleFlight } from "../../src/runtime/single-flight.ts";
import { settle } from "../support/clock.ts";

describe("a single flight", () => {
  it("shares a running operation, and begins another after its end or failure", async () => {
    const flight = new SingleFlight<number>();
    let begun = 0;
    const begin = async () => ++begun;
    const fail = async () => {
      throw new Error("refused");
    };
    expect(flight.run(begin)).toBe(flight.run(begin));
    expect(await flight.run(begin)).toBe(1);
    expect(flight.get()).toBeUndefined();
    const [first, second] = [flight.run(fail), flight.run(begin)];
    await expect(first).rejects.toThrow("refused");
    await expect(second).rejects.toThrow("refused");
    expect(await flight.run(begin)).toBe(2);
  });

  it("never runs two operations of one key at once, and gives each caller the result of one that ran in its time", async () => {
    const operation = fc.record({ op: fc.constantFrom("run", "end"), key: fc.constantFrom("a", "b", "") });
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
        const flight = new SingleFlight<number>();
        const running = new Map<string, { id: number; end: () => void }>();
        const answers: Promise<void>[] = [];
        let ids = 0;
        for (const { op, key } of operations) {
          if (op === "end") {
            running.get(key)?.end();
            running.delete(key);
            await settle();
            expect(flight.get(key)).toBeUndefined();
            continue;
          }
          const begin = () => {
            expect(running.has(key)).toBe(false);
            const id = ++ids;
            return new Promise<number>((resolve) => running.set(key, { id, end: () => resolve(id) }));
          };
          const answer = flight.run(begin, key);
          const { id } = running.get(key)!;
          answers.push(answer.then((value) => expect(value).toBe(id)));
        }
        for (const { end } of running.values()) end();
        await Promise.all(answers);
      }),
      { numRuns: 100 },
    );
  });
});
