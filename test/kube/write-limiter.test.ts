import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { firstLimit, mostWrites } from "../../src/kube/adaptive-limit.ts";
import { KubeError } from "../../src/kube/errors.ts";
import { WriteLimiter } from "../../src/kube/write-limiter.ts";
import { type Lane, lanes } from "../../src/runtime/lane.ts";
import { FakeClock, settle } from "../support/clock.ts";

const full = firstLimit.limit;
const isUrgent = (lane: Lane) => lane !== "bulk" && lane !== "poll";

/** Places whose writes end when told to. */
function setUp() {
  const clock = new FakeClock();
  const places = new WriteLimiter({ clock, random: () => 0 });
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
  const many = (lane: Lane, count: number, namespace = "shop", name: string = lane) =>
    Array.from({ length: count }, (_, i) => run(lane, `${name}${i}`, namespace));
  return { clock, places, underWay, begun, run, many };
}

const throttled = (retryAfterMs?: number) => new KubeError("tooManyRequests", "PATCH: 429", { retryAfterMs });

describe("places for writes", () => {
  test("give back what a write gives, or throws", async () => {
    const { clock, places } = setUp();
    expect(await places.run("bulk", "shop", async () => 7)).toBe(7);
    const refusal = new KubeError("invalid", "PATCH: 422");
    await expect(places.run("bulk", "shop", () => Promise.reject(refusal))).rejects.toBe(refusal);
    expect(clock.pending).toBe(0);
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
          const ofBulk = underWay.filter(({ name }) => !isUrgent(name.split("-")[0] as Lane)).length;
          expect(underWay.length).toBeLessThanOrEqual(places.limit + 2);
          expect(ofBulk).toBeLessThanOrEqual(places.limit + 1);
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
    // One probe, and one of the mass.
    expect(begun).toEqual(["first", "interactive0", "first"]);
    underWay.at(-1)!.end();
    expect(await first).toBe("first");
    await settle();
    expect(begun.at(-1)).toBe("interactive1");
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
    expect(begun).toHaveLength(full + 1);
    for (const write of [...underWay]) write.fail(throttled());
    await clock.advance(1_000);
    expect(begun).toHaveLength(full + 2);
    underWay[0]!.end();
    await settle();
    expect(begun).toHaveLength(full + 2 + full / 2);
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
    void run("bulk", "three");
    underWay[0]!.end();
    await settle();
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

describe("one namespace whose writes go wrong", () => {
  /** Writes that take a time of the fake clock. */
  const lasting = (clock: FakeClock, ms: number, end: "written" | KubeError["kind"] = "written") => {
    return () =>
      new Promise<void>((resolve, reject) => {
        clock.setTimer(() => (end === "written" ? resolve() : reject(new KubeError(end, "PATCH"))), ms);
      });
  };
  /** How many writes of `b` are done after a time. */
  const written = (clock: FakeClock, places: WriteLimiter, count: number) => {
    const done = { count: 0 };
    for (let i = 0; i < count; i++) void places.run("bulk", "b", lasting(clock, 20)).then(() => done.count++);
    return done;
  };

  test.each(["written", "timeout"] as const)(
    "does not hold up another's mass, though its own hang for 30 s (%s)",
    async (end) => {
      const { clock, places } = setUp();
      for (let i = 0; i < 100; i++) places.run("bulk", "a", lasting(clock, 30_000, end)).catch(() => {});
      const done = written(clock, places, 200);
      await clock.advance(1_500);
      expect(done.count).toBe(200);
      await clock.advance(60_000);
      const more = written(clock, places, 200);
      await clock.advance(1_500);
      expect(more.count).toBe(200);
    },
  );

  test.each(["interactive", "bulk"] as const)(
    "lets another's one begin at once, beside its hanging %s",
    async (lane) => {
      const { clock, places } = setUp();
      for (let i = 0; i < 100; i++) void places.run(lane, "a", lasting(clock, 30_000));
      for (let second = 0; second < 70; second++) {
        let isDone = false;
        void places.run("interactive", `b${second}`, lasting(clock, 20)).then(() => {
          isDone = true;
        });
        await clock.advance(20);
        expect(isDone).toBe(true);
        await clock.advance(980);
      }
    },
  );

  test("has eight under way once they last, and all places while nobody else writes", async () => {
    const { clock, begun, underWay, many } = setUp();
    void many("bulk", 100);
    expect(begun).toHaveLength(full);
    await clock.advance(60_000);
    expect(underWay).toHaveLength(full);
    underWay[0]!.end();
    await settle();
    expect(underWay).toHaveLength(full);
  });

  test("keeps their places, where 32 have given theirs back", async () => {
    const { clock, underWay, places, many } = setUp();
    for (let i = 0; i < 20; i++) void many("bulk", 20, `n${i}`);
    await clock.advance(60_000);
    expect(underWay).toHaveLength(32 + places.limit);
  });

  test("has half of the places while others wait", async () => {
    const { places, underWay, many } = setUp();
    void many("bulk", 100, "a", "a");
    void many("bulk", 100, "b", "b");
    for (let i = 0; i < 2 * full; i++) {
      underWay.find(({ name }) => name.startsWith("a"))!.end();
      await settle(1);
    }
    expect(underWay).toHaveLength(places.limit);
    const ofA = underWay.filter(({ name }) => name.startsWith("a")).length;
    expect([ofA, places.limit - ofA]).toContain(Math.ceil(places.limit / 2));
  });

  test.each(["timeout", "unavailable", "tooManyRequests"] as const)(
    "lowers nobody's limit by %s until a second one has it too",
    async (kind) => {
      const { clock, places, underWay, run } = setUp();
      const settled = [run("bulk", "b", "b"), run("bulk", "c", "c")];
      for (let i = 0; i < 20; i++) {
        if (!underWay.some(({ name }) => name === "a")) run("bulk", "a", "a").catch(() => {});
        await settle(1);
        underWay.find(({ name }) => name === "a")?.fail(new KubeError(kind, "PATCH"));
        await clock.advance(1_000);
      }
      expect(places.limit).toBe(full);
      run("bulk", "a", "a").catch(() => {});
      await clock.advance(10_000);
      for (const name of ["a", "c"]) underWay.find((write) => write.name === name)?.fail(new KubeError(kind, "PATCH"));
      await Promise.allSettled(kind === "tooManyRequests" ? [] : [settled[1]]);
      await settle();
      expect(places.limit).toBe(full / 2);
    },
  );

  test("lowers the limit by an error of the network at once", async () => {
    const { places, underWay, run } = setUp();
    void run("bulk", "b", "b");
    const failed = run("bulk", "a", "a");
    underWay[1]!.fail(new KubeError("network", "PATCH"));
    await expect(failed).rejects.toMatchObject({ kind: "network" });
    expect(places.limit).toBe(full / 2);
  });

  test("is closed alone after a 429; all are where two have one in the same moment", async () => {
    const { clock, begun, underWay, run } = setUp();
    void run("bulk", "a", "a");
    underWay[0]!.fail(throttled(5_000));
    await settle();
    void run("interactive", "a2", "a");
    void run("bulk", "b", "b");
    expect(begun).toEqual(["a", "b"]);
    await clock.advance(2_000);
    underWay[0]!.fail(throttled(1_000));
    await settle();
    void run("bulk", "c", "c");
    expect(begun.at(-1)).toBe("c");
    underWay[0]!.fail(throttled(4_000));
    await settle();
    void run("interactive", "d", "d");
    void run("interactive", "e", "e");
    await clock.advance(3_999);
    expect(begun).toHaveLength(3);
    await clock.advance(1);
    // One probe and one of the mass: a has been let again meanwhile, and was first.
    expect(begun.slice(3)).toEqual(["a2", expect.stringMatching(/^[abc]$/)]);
    underWay[0]!.end();
    await settle();
    expect(begun).toContain("d");
    expect(begun).toContain("e");
  });

  test("does not stop all where it alone is refused as the probe", async () => {
    const { clock, begun, underWay, run } = setUp();
    for (const name of ["a", "b"]) run("interactive", name, name).catch(() => {});
    for (const write of [...underWay]) write.fail(throttled());
    await settle();
    void run("interactive", "c", "c");
    void run("interactive", "d", "d");
    await clock.advance(1_200);
    expect(begun).toEqual(["a", "b", "a"]);
    underWay[0]!.fail(throttled());
    await settle();
    expect(begun.slice(3)).toEqual(["b"]);
    underWay[0]!.end();
    await settle();
    expect(begun.slice(4)).toEqual(["c", "d"]);
  });

  test("is the only one there is, once others have written nothing for ten seconds", async () => {
    const { clock, places, underWay, run } = setUp();
    void run("bulk", "b", "b");
    underWay[0]!.end();
    const limits: number[] = [];
    for (const ms of [9_000, 1_001]) {
      await clock.advance(ms);
      const failed = run("bulk", "a", "a");
      underWay[0]!.fail(new KubeError("timeout", "PATCH"));
      await expect(failed).rejects.toMatchObject({ kind: "timeout" });
      limits.push(places.limit);
    }
    expect(limits).toEqual([full, full / 2]);
  });

  test("leaves others theirs, where five hang, and lowers nobody's limit by its times", async () => {
    const { clock, places } = setUp();
    while (places.limit < mostWrites) {
      for (let i = 0; i < 40; i++) void places.run("bulk", "a", lasting(clock, 20));
      await clock.advance(100);
    }
    for (const name of ["a", "c", "d", "e", "f"]) {
      for (let i = 0; i < 100; i++) void places.run("bulk", name, lasting(clock, 30_000));
      await clock.advance(2_000);
    }
    let done = written(clock, places, 200);
    await clock.advance(1_500);
    expect(done.count).toBe(200);
    for (let i = 0; i < 60; i++) {
      done = written(clock, places, 20);
      await clock.advance(1_000);
    }
    expect(done.count).toBe(20);
    expect(places.limit).toBe(mostWrites);
  });

  test("is forgotten when its last write has given up", async () => {
    const { clock, places, underWay, run } = setUp();
    const gaveUp = run("bulk", "a", "a").catch(() => "gave up");
    for (let second = 0; second < 40; second++) {
      underWay[0]?.fail(throttled());
      await clock.advance(1_000);
    }
    expect(await gaveUp).toBe("gave up");
    expect(clock.pending).toBe(0);
    const { limit } = places;
    for (let i = 0; i < 50; i++) void places.run("bulk", "b", lasting(clock, 20));
    await clock.advance(1_000);
    const risen = places.limit;
    expect(risen).toBeGreaterThan(limit);
    await clock.advance(10_000);
    const failed = run("bulk", "b", "b");
    underWay[0]!.fail(new KubeError("timeout", "PATCH"));
    await expect(failed).rejects.toMatchObject({ kind: "timeout" });
    expect(places.limit).toBe(Math.max(Math.floor(risen / 2), 4));
  });

  test("leaves nothing waiting for ever, whatever comes of the writes of several", async () => {
    const ends = ["written", "written", "tooManyRequests", "timeout", "unavailable", "invalid", "network"] as const;
    const one = fc.record({
      lane: fc.constantFrom(...lanes),
      namespace: fc.constantFrom("a", "b", "c"),
      /** How it comes out the first time, the second time, and so on; then it is written. */
      ends: fc.array(fc.constantFrom(...ends), { maxLength: 4 }),
      ms: fc.constantFrom(0, 20, 1_000, 3_000, 30_000),
      after: fc.constantFrom(0, 0, 0, 10, 500, 5_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(one, { maxLength: 40 }), async (writes) => {
        const { clock, places } = setUp();
        let settled = 0;
        for (const { lane, namespace, ends: its, ms, after } of writes) {
          let tries = 0;
          const write = () => lasting(clock, ms, its[tries++] ?? "written")();
          const note = () => void settled++;
          places.run(lane, namespace, write).then(note, note);
          if (after > 0) await clock.advance(after);
        }
        await clock.advance(1_800_000);
        expect([settled, clock.pending, [...places.waits()]]).toEqual([writes.length, 0, []]);
      }),
      { numRuns: 100 },
    );
  });

  test("keeps nobody waiting by a probe that hangs", async () => {
    const { clock, begun, underWay, run } = setUp();
    for (const name of ["a", "b"]) void run("interactive", name, name);
    for (const write of [...underWay]) write.fail(throttled());
    await settle();
    void run("interactive", "c", "c");
    await clock.advance(500);
    expect(begun).toHaveLength(3);
    await clock.advance(2_000);
    expect(begun).toContain("c");
  });
});

describe("lanes of writes", () => {
  test("an interactive write, and a repair, pass a few of thousands of events", async () => {
    const { begun, underWay, many, run } = setUp();
    void many("event", 3_000);
    void run("interactive", "person");
    void run("drift", "repair");
    for (let i = 0; i < 12; i++) {
      underWay[0]!.end();
      await settle(1);
    }
    expect(begun.slice(full, full + 7)).toContain("person");
    expect(begun.slice(full)).toContain("repair");
  });

  test("leave the places that are kept for urgent writes to them, when the mass has its turns", async () => {
    const { begun, places, underWay, many } = setUp();
    void many("bulk", 100);
    void many("interactive", 100);
    for (let i = 0; i < 90; i++) {
      underWay.find(({ name }) => name.startsWith("interactive"))?.end();
      await settle(1);
      expect(underWay.filter(({ name }) => name.startsWith("bulk")).length).toBeLessThanOrEqual(places.limit);
    }
    expect(begun.filter((name) => name.startsWith("bulk")).length).toBeGreaterThan(full - 1);
  });

  test("tell how many wait in them, and for how long the oldest", async () => {
    const { clock, places, underWay, many, run } = setUp();
    expect([...places.waits()]).toEqual([]);
    void many("bulk", full + 3);
    await clock.advance(1_000);
    void run("bulk", "late", "other");
    void many("event", 5);
    await clock.advance(500);
    expect([...places.waits()]).toEqual([
      { lane: "event", depth: 4, oldestMs: 500 },
      { lane: "bulk", depth: 3, oldestMs: 1_500 },
    ]);
    while (underWay.length > 0) {
      underWay[0]!.end();
      await settle(1);
    }
    expect([...places.waits()]).toEqual([]);
  });
});

describe("the limit of places", () => {
  /** Writes 3,000 times in a full house of two namespaces; `take` says how long one takes, and how it ends. */
  const limitAfter = async (take: (i: number) => { ms: number; kind?: "secret" | "status"; isRefused?: boolean }) => {
    const clock = new FakeClock();
    const places = new WriteLimiter({ clock, random: () => 0 });
    let ended = 0;
    for (let i = 0; i < 3_000; i++) {
      const { ms, kind, isRefused } = take(i);
      const write = () =>
        new Promise<void>((resolve, reject) => {
          clock.setTimer(() => (isRefused ? reject(new KubeError("conflict", "PATCH: 409")) : resolve()), ms);
        });
      const note = () => void ended++;
      void places.run("bulk", i % 2 ? "a" : "b", write, kind).then(note, note);
    }
    while (ended < 2_500) await clock.advance(20);
    return places.limit;
  };

  test("reaches the most where statuses take less time than Secrets", async () => {
    expect(await limitAfter((i) => (i % 3 ? { ms: 30, kind: "secret" } : { ms: 5, kind: "status" }))).toBe(mostWrites);
  });

  test("reaches the most where times of one kind scatter", async () => {
    expect(await limitAfter((i) => ({ ms: i % 3 === 1 ? 20 : 8 }))).toBe(mostWrites);
  });

  test("reaches the most where one in twenty is refused at once", async () => {
    expect(await limitAfter((i) => ({ ms: i % 20 ? 40 : 2, isRefused: i % 20 === 0 }))).toBe(mostWrites);
  });
});

describe("a stop", () => {
  test("rejects writes that wait and later ones, and lets those under way end without another try", async () => {
    const { places, underWay, begun, many, run, clock } = setUp();
    const outcomes = Promise.allSettled([...many("bulk", 100), ...many("interactive", 10, "other")]);
    const before = begun.length;
    expect(before).toBeLessThan(110);
    places.stop();
    underWay[0]!.fail(throttled(1));
    while (underWay.length > 0) underWay[0]!.end();
    await clock.advance(60_000);
    const settled = await outcomes;
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(before - 1);
    expect(begun).toHaveLength(before);
    await expect(run("drift", "late")).rejects.toMatchObject({ kind: "other", message: /^the operator is stopping/ });
    expect(begun).toHaveLength(before);
    expect([...places.waits()]).toEqual([]);
  });

  test("rejects writes of a namespace that the server has closed by a 429", async () => {
    const { places, underWay, begun, run, clock } = setUp();
    const first = run("bulk", "first");
    underWay[0]!.fail(throttled(5_000));
    await settle(1);
    places.stop();
    await expect(first).rejects.toMatchObject({ kind: "other" });
    await clock.advance(60_000);
    expect(begun).toEqual(["first"]);
  });
});
