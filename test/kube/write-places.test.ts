import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KubeError } from "../../src/kube/errors.ts";
import { firstLimit } from "../../src/kube/write-limit.ts";
import { WritePlaces } from "../../src/kube/write-places.ts";
import { type Lane, lanes } from "../../src/runtime/lane.ts";
import { FakeClock, settle } from "../support/clock.ts";

const full = firstLimit.limit;
const isUrgent = (lane: Lane) => lane !== "bulk" && lane !== "poll";

/** Places whose writes end when told to. */
function setUp() {
  const clock = new FakeClock();
  const places = new WritePlaces({ clock, random: () => 0 });
  /** What was begun and has not ended, in that order. */
  const underWay: { name: string; end: () => void; fail: (error: unknown) => void }[] = [];
  const begun: string[] = [];
  const run = (lane: Lane, name: string, namespace = "shop") =>
    places.run(lane, namespace, () => {
      begun.push(name);
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const leave = () => underWay.splice(underWay.indexOf(write), 1);
      const write = {
        name,
        end: () => {
          leave();
          resolve(name);
        },
        fail: (error: unknown) => {
          leave();
          reject(error);
        },
      };
      underWay.push(write);
      return promise;
    });
  const many = (lane: Lane, count: number) => Array.from({ length: count }, (_, i) => run(lane, `${lane}${i}`));
  return { clock, places, underWay, begun, run, many };
}

const throttled = (retryAfterMs?: number) => new KubeError("tooManyRequests", "PATCH: 429", { retryAfterMs });

describe("places for writes", () => {
  test("give back what a write gives, or throws", async () => {
    const { places } = setUp();
    expect(await places.run("bulk", "shop", async () => 7)).toBe(7);
    const refusal = new KubeError("invalid", "PATCH: 422");
    await expect(places.run("bulk", "shop", () => Promise.reject(refusal))).rejects.toBe(refusal);
  });

  test("let an urgent write begin at once, however many of the mass are under way and wait", () => {
    const { begun, many, run } = setUp();
    many("bulk", 1_000);
    expect(begun).toHaveLength(full);
    for (const lane of ["event", "drift"] as const) void run(lane, lane);
    expect(begun.slice(full)).toEqual(["event", "drift"]);
  });

  test("take the more urgent lane first, and a waiting urgent write before the mass", async () => {
    const { underWay, begun, many, run } = setUp();
    void many("bulk", full + 1);
    void many("interactive", 2);
    void run("drift", "drift");
    void run("event", "event");
    while (underWay.length > 0) {
      underWay[0]!.end();
      await settle(1);
    }
    expect(begun.slice(full)).toEqual(["interactive0", "interactive1", "event", "drift", `bulk${full}`]);
  });

  test("give the namespaces turns within a lane", async () => {
    const { underWay, begun, many, run } = setUp();
    void many("bulk", full + 50);
    void run("bulk", "other", "other");
    underWay[0]!.end();
    await settle(1);
    underWay[0]!.end();
    await settle(1);
    expect(begun).toContain("other");
  });

  test("let the mass go on, slowly, while urgent writes never end", async () => {
    const { underWay, begun, many, run } = setUp();
    void many("interactive", 100);
    void many("poll", 5);
    for (let i = 0; i < 60; i++) {
      underWay[0]!.end();
      void run("event", `event${i}`);
      await settle(1);
    }
    expect(begun.filter((name) => name.startsWith("poll"))).toHaveLength(5);
  });

  test("never hold more than the limit of the mass and two urgent ones, in any order", async () => {
    const step = fc.oneof(fc.constantFrom(...lanes), fc.integer({ min: 0, max: 40 }));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
        const { places, underWay, begun, run } = setUp();
        const asked: Promise<string>[] = [];
        for (const one of steps) {
          if (typeof one === "string") asked.push(run(one, `${one}-${asked.length}`));
          else underWay[one]?.end();
          await Promise.resolve();
          const ofMass = underWay.filter(({ name }) => !isUrgent(name.split("-")[0] as Lane)).length;
          expect(underWay.length).toBeLessThanOrEqual(places.limit + 2);
          expect(ofMass).toBeLessThanOrEqual(places.limit + 1);
        }
        while (underWay.length > 0) {
          underWay[0]!.end();
          await settle(1);
        }
        expect((await Promise.all(asked)).sort()).toEqual([...begun].sort());
      }),
      { numRuns: 50 },
    );
  });
});

describe("a write that the API server throttles", () => {
  test("is written again when the server wants it, and nobody writes before", async () => {
    const { clock, underWay, begun, run, many } = setUp();
    const first = run("bulk", "first");
    underWay[0]!.fail(throttled(3_000));
    await settle();
    void many("interactive", 2);
    await clock.advance(2_999);
    expect(begun).toEqual(["first"]);
    await clock.advance(1);
    expect(begun).toEqual(["first", "interactive0", "interactive1", "first"]);
    underWay.at(-1)!.end();
    expect(await first).toBe("first");
  });

  test("fails after ten seconds of it", async () => {
    const { clock, underWay, begun, run } = setUp();
    const settled = run("bulk", "first").then(
      () => "written",
      (error: KubeError) => error.kind,
    );
    let outcome: string | undefined;
    void settled.then((how) => {
      outcome = how;
    });
    for (let second = 0; second < 60 && outcome === undefined; second++) {
      underWay[0]?.fail(throttled());
      await clock.advance(1_000);
    }
    expect(outcome).toBe("tooManyRequests");
    expect(begun.length).toBeGreaterThan(3);
    expect(begun.length).toBeLessThan(8);
  });

  test("makes one pause of a burst, and halves what may be under way once", async () => {
    const { clock, places, underWay, begun, many } = setUp();
    void many("bulk", 100);
    for (const write of [...underWay]) write.fail(throttled());
    await settle();
    expect(places.limit).toBe(full / 2);
    // As long as for one alone: half a second.
    await clock.advance(499);
    expect(begun).toHaveLength(full);
    await clock.advance(1);
    expect(begun).toHaveLength(full + full / 2);
    for (const write of [...underWay]) write.fail(throttled());
    await clock.advance(999);
    expect(begun).toHaveLength(full + full / 2);
    await clock.advance(1);
    expect(begun).toHaveLength(full + full);
  });

  test("pauses for twice as long each time, and from the beginning after a success", async () => {
    const { clock, underWay, begun, run } = setUp();
    const pauseAfterThrottle = async () => {
      const before = begun.length;
      underWay[0]!.fail(throttled());
      await settle();
      for (let ms = 100; ; ms += 100) {
        await clock.advance(100);
        if (begun.length > before) return ms;
      }
    };
    void run("bulk", "one");
    expect([await pauseAfterThrottle(), await pauseAfterThrottle()]).toEqual([500, 1_000]);
    underWay[0]!.end();
    await settle();
    void run("bulk", "two");
    expect(await pauseAfterThrottle()).toBe(500);
  });

  test("waits ten seconds at most, whatever the server asks for", async () => {
    const { clock, underWay, begun, run } = setUp();
    void run("bulk", "first");
    underWay[0]!.fail(throttled(3_600_000));
    await clock.advance(10_000);
    expect(begun).toHaveLength(2);
  });

  test.each(["timeout", "unavailable", "network"] as const)("%s is the caller's to decide anew", async (kind) => {
    const { places, begun, underWay, run } = setUp();
    const one = run("bulk", "one");
    underWay[0]!.fail(new KubeError(kind, "PATCH"));
    await expect(one).rejects.toMatchObject({ kind });
    expect([begun.length, places.limit]).toEqual([1, full / 2]);
  });
});
