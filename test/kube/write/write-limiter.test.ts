import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KubeError } from "../../../src/kube/errors.ts";
import { firstLimit, leastWrites, mostWrites } from "../../../src/kube/write/adaptive-limit.ts";
import { WriteLimiter } from "../../../src/kube/write/write-limiter.ts";
import { Canceled } from "../../../src/runtime/cancellation.ts";
import { type Lane, lanes } from "../../../src/runtime/lane.ts";
import { FakeClock, settle } from "../../support/clock.ts";

const full = firstLimit.limit;
const isUrgent = (lane: Lane) => lane !== "bulk" && lane !== "poll";

/** A limiter whose writes end when the test ends them. */
function setUp() {
  const clock = new FakeClock();
  const limiter = new WriteLimiter({ clock, random: () => 0 });
  /** Writes under way, in the order in which they began. */
  const underWay: { name: string; end: () => void; fail: (error: unknown) => void }[] = [];
  const begun: string[] = [];
  const run = (lane: Lane, name: string, namespace = "shop") =>
    limiter.run(lane, namespace, () => {
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
  return { clock, limiter, underWay, begun, run, many };
}

const throttled = (retryAfterMs?: number) => new KubeError("tooManyRequests", "PATCH: 429", { retryAfterMs });

describe("a write limiter", () => {
  test("returns the result or the error of a write", async () => {
    const { clock, limiter } = setUp();
    expect(await limiter.run("bulk", "shop", async () => 7)).toBe(7);
    const refusal = new KubeError("invalid", "PATCH: 422");
    await expect(limiter.run("bulk", "shop", () => Promise.reject(refusal))).rejects.toBe(refusal);
    expect(clock.pending).toBe(0);
  });

  test("begins an urgent write at once while bulk writes are under way and waiting", () => {
    const { begun, many, run } = setUp();
    many("bulk", 1_000);
    expect(begun).toHaveLength(full);
    for (const lane of ["event", "drift"] as const) void run(lane, lane);
    expect(begun.slice(full)).toEqual(["event", "drift"]);
  });

  test("takes the most urgent lane first, and urgent writes before bulk writes", async () => {
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

  test("runs fewer bulk writes beside urgent ones, until none has come for five seconds", async () => {
    const { clock, underWay, begun, many, run } = setUp();
    many("bulk", 2_000);
    const endOne = async () => {
      underWay[0]!.end();
      await settle(1);
    };
    while (underWay.length < mostWrites) await endOne();
    void run("interactive", "urgent");
    expect(begun.at(-1)).toBe("urgent");
    for (let ended = 0; ended <= mostWrites; ended++) await endOne();
    expect(underWay).toHaveLength(leastWrites);
    for (let second = 1; second <= 5; second++) {
      await clock.advance(1_000);
      for (let ended = 0; ended < leastWrites; ended++) await endOne();
    }
    expect(underWay.length).toBeGreaterThan(leastWrites);
  });

  test("lets namespaces take turns within a lane", async () => {
    const { underWay, begun, many, run } = setUp();
    void many("bulk", full + 50);
    void run("bulk", "other", "other");
    underWay[0]!.end();
    await settle(1);
    underWay[0]!.end();
    await settle(1);
    expect(begun).toContain("other");
  });

  test("continues bulk writes slowly while urgent writes never end", async () => {
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

  test("never exceeds the limit with bulk writes, nor the limit plus two with urgent writes", async () => {
    const step = fc.oneof(fc.constantFrom(...lanes), fc.integer({ min: 0, max: 40 }));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
        const { limiter, underWay, begun, run } = setUp();
        const asked: Promise<string>[] = [];
        for (const one of steps) {
          if (typeof one === "string") asked.push(run(one, `${one}-${asked.length}`));
          else underWay[one]?.end();
          await Promise.resolve();
          const ofBulk = underWay.filter(({ name }) => !isUrgent(name.split("-")[0] as Lane)).length;
          expect(underWay.length).toBeLessThanOrEqual(limiter.limit + 2);
          expect(ofBulk).toBeLessThanOrEqual(limiter.limit + 1);
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

describe("a write that the API server throttles with a 429", () => {
  test("is retried after Retry-After, and no other write begins before", async () => {
    const { clock, underWay, begun, run, many } = setUp();
    const first = run("bulk", "first");
    underWay[0]!.fail(throttled(3_000));
    await settle();
    void many("interactive", 2);
    await clock.advance(2_999);
    expect(begun).toEqual(["first"]);
    await clock.advance(1);
    // One urgent probe and one bulk probe.
    expect(begun).toEqual(["first", "interactive0", "first"]);
    underWay.at(-1)!.end();
    expect(await first).toBe("first");
    await settle();
    expect(begun.at(-1)).toBe("interactive1");
  });

  test("fails after ten seconds of 429s", async () => {
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

  test("causes one pause for a burst of 429s, and halves the limit once", async () => {
    const { clock, limiter, underWay, begun, many } = setUp();
    void many("bulk", 100);
    for (const write of [...underWay]) write.fail(throttled());
    await settle();
    expect(limiter.limit).toBe(full / 2);
    // The same pause as for a single 429: half a second.
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

  test("doubles the pause each time, and resets it after a success", async () => {
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

  test("pauses for at most ten seconds, even if Retry-After is longer", async () => {
    const { clock, underWay, begun, run } = setUp();
    void run("bulk", "first");
    underWay[0]!.fail(throttled(3_600_000));
    await clock.advance(10_000);
    expect(begun).toHaveLength(2);
  });

  test.each(["timeout", "unavailable", "network"] as const)("rejects with %s without a retry", async (kind) => {
    const { limiter, begun, underWay, run } = setUp();
    const one = run("bulk", "one");
    underWay[0]!.fail(new KubeError(kind, "PATCH"));
    await expect(one).rejects.toMatchObject({ kind });
    expect([begun.length, limiter.limit]).toEqual([1, full / 2]);
  });
});

describe("a namespace with failing or slow writes", () => {
  /** A write that takes `ms` milliseconds of the fake clock. */
  const lasting = (clock: FakeClock, ms: number, end: "written" | KubeError["kind"] = "written") => {
    return () =>
      new Promise<void>((resolve, reject) => {
        clock.setTimer(() => (end === "written" ? resolve() : reject(new KubeError(end, "PATCH"))), ms);
      });
  };
  /** Begins writes of namespace `b`, and counts those that are done. */
  const written = (clock: FakeClock, limiter: WriteLimiter, count: number) => {
    const done = { count: 0 };
    for (let i = 0; i < count; i++) void limiter.run("bulk", "b", lasting(clock, 20)).then(() => done.count++);
    return done;
  };

  test.each(["written", "timeout"] as const)(
    "does not delay another namespace's bulk writes while its own hang for 30 s (%s)",
    async (end) => {
      const { clock, limiter } = setUp();
      for (let i = 0; i < 100; i++) limiter.run("bulk", "a", lasting(clock, 30_000, end)).catch(() => {});
      const done = written(clock, limiter, 200);
      await clock.advance(1_500);
      expect(done.count).toBe(200);
      await clock.advance(60_000);
      const more = written(clock, limiter, 200);
      await clock.advance(1_500);
      expect(more.count).toBe(200);
    },
  );

  test.each(["interactive", "bulk"] as const)(
    "lets another namespace's interactive write begin at once while its own %s writes hang",
    async (lane) => {
      const { clock, limiter } = setUp();
      for (let i = 0; i < 100; i++) void limiter.run(lane, "a", lasting(clock, 30_000));
      for (let second = 0; second < 70; second++) {
        let isDone = false;
        void limiter.run("interactive", `b${second}`, lasting(clock, 20)).then(() => {
          isDone = true;
        });
        await clock.advance(20);
        expect(isDone).toBe(true);
        await clock.advance(980);
      }
    },
  );

  test("is limited to eight slow writes, but uses all slots while no other namespace writes", async () => {
    const { clock, begun, underWay, many } = setUp();
    void many("bulk", 100);
    expect(begun).toHaveLength(full);
    await clock.advance(60_000);
    expect(underWay).toHaveLength(full);
    underWay[0]!.end();
    await settle();
    expect(underWay).toHaveLength(full);
  });

  test("does not count as writing once all of its writes are slow", async () => {
    const { clock, limiter, run } = setUp();
    expect(limiter.isWriting).toBe(false);
    void run("bulk", "hangs");
    expect(limiter.isWriting).toBe(true);
    await clock.advance(2_000);
    expect(limiter.isWriting).toBe(false);
  });

  test("writes its Secrets while its statuses of bulk work hang, whichever began first", async () => {
    const { clock, limiter } = setUp();
    const hang = () => new Promise<void>(() => {});
    for (let i = 0; i < 100; i++) void limiter.run("bulk", "a", hang, "status");
    await clock.advance(3_000);
    let done = 0;
    for (let i = 0; i < 100; i++) void limiter.run("bulk", "a", lasting(clock, 20)).then(() => done++);
    await clock.advance(1_000);
    expect(done).toBe(100);
  });

  test("keeps its slots once 32 slow writes have released theirs", async () => {
    const { clock, underWay, limiter, many } = setUp();
    for (let i = 0; i < 20; i++) void many("bulk", 20, `n${i}`);
    await clock.advance(60_000);
    expect(underWay).toHaveLength(32 + limiter.limit);
  });

  test("gets half of the slots while another namespace waits", async () => {
    const { limiter, underWay, many } = setUp();
    void many("bulk", 100, "a", "a");
    void many("bulk", 100, "b", "b");
    for (let i = 0; i < 2 * full; i++) {
      underWay.find(({ name }) => name.startsWith("a"))!.end();
      await settle(1);
    }
    expect(underWay).toHaveLength(limiter.limit);
    const ofA = underWay.filter(({ name }) => name.startsWith("a")).length;
    expect([ofA, limiter.limit - ofA]).toContain(Math.ceil(limiter.limit / 2));
  });

  test.each(["timeout", "unavailable", "tooManyRequests"] as const)(
    "does not lower the limit by %s until a second namespace fails in the same way",
    async (kind) => {
      const { clock, limiter, underWay, run } = setUp();
      const settled = [run("bulk", "b", "b"), run("bulk", "c", "c")];
      for (let i = 0; i < 20; i++) {
        if (!underWay.some(({ name }) => name === "a")) run("bulk", "a", "a").catch(() => {});
        await settle(1);
        underWay.find(({ name }) => name === "a")?.fail(new KubeError(kind, "PATCH"));
        await clock.advance(1_000);
      }
      expect(limiter.limit).toBe(full);
      run("bulk", "a", "a").catch(() => {});
      await clock.advance(10_000);
      for (const name of ["a", "c"]) underWay.find((write) => write.name === name)?.fail(new KubeError(kind, "PATCH"));
      await Promise.allSettled(kind === "tooManyRequests" ? [] : [settled[1]]);
      await settle();
      expect(limiter.limit).toBe(full / 2);
    },
  );

  test("lowers the limit at once by a network error", async () => {
    const { limiter, underWay, run } = setUp();
    void run("bulk", "b", "b");
    const failed = run("bulk", "a", "a");
    underWay[1]!.fail(new KubeError("network", "PATCH"));
    await expect(failed).rejects.toMatchObject({ kind: "network" });
    expect(limiter.limit).toBe(full / 2);
  });

  test("opens its own breaker after a 429; two namespaces at once open the server's breaker", async () => {
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
    // One urgent probe and one bulk probe: the breaker of `a` was half-open first.
    expect(begun.slice(3)).toEqual(["a2", expect.stringMatching(/^[abc]$/)]);
    underWay[0]!.end();
    await settle();
    expect(begun).toContain("d");
    expect(begun).toContain("e");
  });

  test("does not reopen the server's breaker if only its own probe gets a 429", async () => {
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

  test("counts as the only namespace once others have not written for ten seconds", async () => {
    const { clock, limiter, underWay, run } = setUp();
    void run("bulk", "b", "b");
    underWay[0]!.end();
    const limits: number[] = [];
    for (const ms of [9_000, 1_001]) {
      await clock.advance(ms);
      const failed = run("bulk", "a", "a");
      underWay[0]!.fail(new KubeError("timeout", "PATCH"));
      await expect(failed).rejects.toMatchObject({ kind: "timeout" });
      limits.push(limiter.limit);
    }
    expect(limits).toEqual([full, full / 2]);
  });

  test("leaves slots to others if five namespaces hang, and does not lower the limit by slow writes", async () => {
    const { clock, limiter } = setUp();
    while (limiter.limit < mostWrites) {
      for (let i = 0; i < 80; i++) void limiter.run("bulk", "a", lasting(clock, 20));
      await clock.advance(100);
    }
    for (const name of ["a", "c", "d", "e", "f"]) {
      for (let i = 0; i < 100; i++) void limiter.run("bulk", name, lasting(clock, 30_000));
      await clock.advance(2_000);
    }
    let done = written(clock, limiter, 200);
    await clock.advance(1_500);
    expect(done.count).toBe(200);
    for (let i = 0; i < 60; i++) {
      done = written(clock, limiter, 20);
      await clock.advance(1_000);
    }
    expect(done.count).toBe(20);
    expect(limiter.limit).toBe(mostWrites);
  });

  test("is forgotten after its last write has failed", async () => {
    const { clock, limiter, underWay, run } = setUp();
    const gaveUp = run("bulk", "a", "a").catch(() => "gave up");
    for (let second = 0; second < 40; second++) {
      underWay[0]?.fail(throttled());
      await clock.advance(1_000);
    }
    expect(await gaveUp).toBe("gave up");
    expect(clock.pending).toBe(0);
    const { limit } = limiter;
    for (let i = 0; i < 50; i++) void limiter.run("bulk", "b", lasting(clock, 20));
    await clock.advance(1_000);
    const risen = limiter.limit;
    expect(risen).toBeGreaterThan(limit);
    await clock.advance(10_000);
    const failed = run("bulk", "b", "b");
    underWay[0]!.fail(new KubeError("timeout", "PATCH"));
    await expect(failed).rejects.toMatchObject({ kind: "timeout" });
    expect(limiter.limit).toBe(Math.max(Math.floor(risen / 2), 4));
  });

  test("never leaves a write waiting for ever, for any outcomes in several namespaces", async () => {
    const ends = ["written", "written", "tooManyRequests", "timeout", "unavailable", "invalid", "network"] as const;
    const one = fc.record({
      lane: fc.constantFrom(...lanes),
      namespace: fc.constantFrom("a", "b", "c"),
      /** The outcome of each try; later tries succeed. */
      ends: fc.array(fc.constantFrom(...ends), { maxLength: 4 }),
      ms: fc.constantFrom(0, 20, 1_000, 3_000, 30_000),
      after: fc.constantFrom(0, 0, 0, 10, 500, 5_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(one, { maxLength: 40 }), async (writes) => {
        const { clock, limiter } = setUp();
        let settled = 0;
        for (const { lane, namespace, ends: its, ms, after } of writes) {
          let tries = 0;
          const write = () => lasting(clock, ms, its[tries++] ?? "written")();
          const note = () => void settled++;
          limiter.run(lane, namespace, write).then(note, note);
          if (after > 0) await clock.advance(after);
        }
        await clock.advance(1_800_000);
        expect([settled, clock.pending, [...limiter.waits()]]).toEqual([writes.length, 0, []]);
      }),
      { numRuns: 100 },
    );
  });

  test("does not block other writes by a probe that hangs", async () => {
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
  test("lets an interactive write and a repair pass thousands of event writes", async () => {
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

  test("keeps the reserved slots for urgent writes when bulk writes have credit", async () => {
    const { begun, limiter, underWay, many } = setUp();
    void many("bulk", 100);
    void many("interactive", 100);
    for (let i = 0; i < 90; i++) {
      underWay.find(({ name }) => name.startsWith("interactive"))?.end();
      await settle(1);
      expect(underWay.filter(({ name }) => name.startsWith("bulk")).length).toBeLessThanOrEqual(limiter.limit);
    }
    expect(begun.filter((name) => name.startsWith("bulk")).length).toBeGreaterThan(full - 1);
  });

  test("writes Secrets of bulk work and polls before their statuses in all namespaces, but does not starve these", async () => {
    const clock = new FakeClock();
    const limiter = new WriteLimiter({ clock, random: () => 0 });
    const begun: string[] = [];
    const run = (lane: Lane, namespace: string, kind: "secret" | "status") => {
      const write = () => {
        begun.push(kind);
        return new Promise<void>((resolve) => clock.setTimer(resolve, 1_000));
      };
      return limiter.run(lane, namespace, write, kind);
    };
    const all: Promise<void>[] = [];
    for (let n = 0; n < 400; n++) all.push(run(n % 4 ? "bulk" : "poll", n % 3 ? "a" : "b", "status"));
    for (let n = 0; n < 1_600; n++) all.push(run(n % 4 ? "bulk" : "poll", n % 5 ? "c" : "d", "secret"));
    while (begun.length < 2_000) await clock.advance(1_000);
    await clock.advance(1_000);
    await Promise.all(all);
    const statusesBefore = begun.slice(full, begun.lastIndexOf("secret")).filter((kind) => kind === "status").length;
    expect(statusesBefore).toBeGreaterThan(3);
    expect(statusesBefore).toBeLessThan(14);
  });

  test("writes an urgent status in its own lane", async () => {
    const { limiter, many, underWay } = setUp();
    many("bulk", 100);
    const status = limiter.run("interactive", "shop", async () => "status", "status");
    expect(await status).toBe("status");
    expect(underWay).toHaveLength(full);
  });

  test("reports the number of waiting writes by lane, and how long the oldest has waited", async () => {
    const { clock, limiter, underWay, many, run } = setUp();
    expect([...limiter.waits()]).toEqual([]);
    void many("bulk", full + 3);
    await clock.advance(1_000);
    void run("bulk", "late", "other");
    void many("event", 5);
    await clock.advance(500);
    expect([...limiter.waits()]).toEqual([
      { lane: "event", depth: 4, oldestMs: 500 },
      { lane: "bulk", depth: 3, oldestMs: 1_500 },
    ]);
    while (underWay.length > 0) {
      underWay[0]!.end();
      await settle(1);
    }
    expect([...limiter.waits()]).toEqual([]);
  });
});

describe("a write whose signal aborts", () => {
  test("is dropped at once while it waits, and not while it is under way", async () => {
    const { limiter, many, underWay, run, begun } = setUp();
    const canceler = new AbortController();
    const turn = { lane: "interactive" as const, isWanted: () => true, signal: canceler.signal };
    let end = () => {};
    many("bulk", full + 5);
    const first = limiter.run(turn, "shop", () => new Promise<void>((resolve) => (end = resolve)));
    void run("interactive", "second");
    const waiting = limiter.run(turn, "shop", async () => begun.push("waiting"));
    canceler.abort();
    await expect(waiting).rejects.toThrow(Canceled);
    await expect(limiter.run(turn, "shop", async () => begun.push("later"))).rejects.toThrow(Canceled);
    expect([...limiter.waits()].map(({ lane }) => lane)).toEqual(["bulk"]);
    end();
    await first;
    while (underWay.length > 0) {
      underWay[0]!.end();
      await settle();
    }
    expect(begun).toHaveLength(full + 5 + 1);
    expect([...limiter.waits()]).toEqual([]);
  });
});

describe("the limit of the write limiter", () => {
  /** Runs 3,000 bulk writes of two namespaces; `take` returns the duration and outcome of each. */
  const limitAfter = async (take: (i: number) => { ms: number; kind?: "secret" | "status"; isRefused?: boolean }) => {
    const clock = new FakeClock();
    const limiter = new WriteLimiter({ clock, random: () => 0 });
    let ended = 0;
    for (let i = 0; i < 3_000; i++) {
      const { ms, kind, isRefused } = take(i);
      const write = () =>
        new Promise<void>((resolve, reject) => {
          clock.setTimer(() => (isRefused ? reject(new KubeError("conflict", "PATCH: 409")) : resolve()), ms);
        });
      const note = () => void ended++;
      void limiter.run("bulk", i % 2 ? "a" : "b", write, kind).then(note, note);
    }
    while (ended < 2_500) await clock.advance(20);
    return limiter.limit;
  };

  test("reaches the maximum if status writes are faster than Secret writes", async () => {
    expect(await limitAfter((i) => (i % 3 ? { ms: 30, kind: "secret" } : { ms: 5, kind: "status" }))).toBe(mostWrites);
  });

  test("reaches the maximum if latencies of one kind vary", async () => {
    expect(await limitAfter((i) => ({ ms: i % 3 === 1 ? 20 : 8 }))).toBe(mostWrites);
  });

  test("reaches the maximum if one write in twenty is refused at once", async () => {
    expect(await limitAfter((i) => ({ ms: i % 20 ? 40 : 2, isRefused: i % 20 === 0 }))).toBe(mostWrites);
  });
});

describe("stopping a write limiter", () => {
  test("rejects waiting and later writes, and lets writes under way end without a retry", async () => {
    const { limiter, underWay, begun, many, run, clock } = setUp();
    const outcomes = Promise.allSettled([...many("bulk", 100), ...many("interactive", 10, "other")]);
    const before = begun.length;
    expect(before).toBeLessThan(110);
    limiter.stop();
    underWay[0]!.fail(throttled(1));
    while (underWay.length > 0) underWay[0]!.end();
    await clock.advance(60_000);
    const settled = await outcomes;
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(before - 1);
    expect(begun).toHaveLength(before);
    await expect(run("drift", "late")).rejects.toMatchObject({ kind: "other", message: /^the operator is stopping/ });
    expect(begun).toHaveLength(before);
    expect([...limiter.waits()]).toEqual([]);
  });

  test("rejects waiting writes of a namespace whose breaker is open", async () => {
    const { limiter, underWay, begun, run, clock } = setUp();
    const first = run("bulk", "first");
    underWay[0]!.fail(throttled(5_000));
    await settle(1);
    limiter.stop();
    await expect(first).rejects.toMatchObject({ kind: "other" });
    await clock.advance(60_000);
    expect(begun).toEqual(["first"]);
  });
});
