import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AdaptiveLimit,
  afterWrite,
  firstLimit,
  leastWrites,
  mostWrites,
  type WriteSample,
} from "../../../src/kube/write/adaptive-limit.ts";

/**
 * An API server that processes `cores` writes at once, `workMs` each, and queues the rest. Runs rounds of writes up to
 * the limit, `demand` at most.
 */
function served(
  rounds: number,
  server: { cores: number; workMs: number; demand?: number },
  from: AdaptiveLimit,
): AdaptiveLimit {
  let state = from;
  let now = 0;
  for (let round = 0; round < rounds; round++) {
    const { limit } = state;
    const underWay = Math.min(limit, server.demand ?? Number.POSITIVE_INFINITY);
    for (let i = 1; i <= underWay; i++) {
      // Some writes find the server idle.
      const waits = i === 1 ? 1 : Math.max(underWay / server.cores, 1);
      const endedAt = now + server.workMs * waits;
      state = afterWrite(state, { kind: "secret", beganAt: now, endedAt, outcome: "done", wasFull: underWay >= limit });
    }
    now += 100;
  }
  return state;
}

const overloaded = (beganAt: number): WriteSample => ({
  kind: "secret",
  beganAt,
  endedAt: beganAt + 10,
  outcome: "overloaded",
  wasFull: true,
});

describe("the adaptive limit", () => {
  test("rises to the maximum if latency does not grow with concurrency", () => {
    expect(served(200, { cores: 1_000, workMs: 5 }, firstLimit).limit).toBe(mostWrites);
  });

  test.each([1, 2, 4, 8])("rises to the maximum on %i cores while latency stays short", (cores) => {
    expect(served(40, { cores, workMs: 1.4 * cores }, firstLimit).limit).toBe(mostWrites);
  });

  test.each([2, 4, 8])("keeps a slow server of %i cores busy with few writes queued", (cores) => {
    const { limit } = served(500, { cores, workMs: 100 }, firstLimit);
    expect(limit).toBeGreaterThanOrEqual(cores);
    expect(limit).toBeLessThanOrEqual(cores + 12);
  });

  test("falls from the maximum when the server becomes slower", () => {
    const high = served(200, { cores: 1_000, workMs: 5 }, firstLimit);
    expect(served(100, { cores: 2, workMs: 50 }, high).limit).toBeLessThanOrEqual(12);
  });

  test("stays unchanged while fewer writes are under way than it allows", () => {
    expect(served(200, { cores: 1_000, workMs: 5, demand: 3 }, firstLimit).limit).toBe(firstLimit.limit);
  });

  test("adapts to a server that has become slower permanently", () => {
    const fast = served(200, { cores: 1_000, workMs: 2 }, firstLimit);
    expect(served(600, { cores: 1_000, workMs: 150 }, fast).limit).toBe(mostWrites);
  });

  test("is halved once by an overload of several concurrent writes", () => {
    let state: AdaptiveLimit = { ...firstLimit, limit: 32 };
    for (let i = 0; i < 32; i++) state = afterWrite(state, overloaded(0));
    expect(state.limit).toBe(16);
    expect(afterWrite(state, overloaded(20)).limit).toBe(8);
  });

  test("stays an integer within its bounds for any samples", () => {
    const sample = fc.record({
      kind: fc.constantFrom("secret" as const, "status" as const),
      beganAt: fc.integer({ min: -1_000, max: 100_000 }),
      endedAt: fc.integer({ min: -1_000, max: 100_000 }),
      outcome: fc.constantFrom("done" as const, "done" as const, "done" as const, "overloaded" as const),
      wasFull: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(sample, { maxLength: 300 }), (samples) => {
        let state = firstLimit;
        for (const one of samples) {
          state = afterWrite(state, one);
          expect(Number.isInteger(state.limit)).toBe(true);
          expect(state.limit).toBeGreaterThanOrEqual(leastWrites);
          expect(state.limit).toBeLessThanOrEqual(mostWrites);
        }
      }),
    );
  });
});
