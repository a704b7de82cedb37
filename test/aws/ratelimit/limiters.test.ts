import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { AwsFailure } from "../../../src/aws/failure.ts";
import { lanes as allLanes, type Lane } from "../../../src/runtime/lane.ts";
import { settle } from "../../support/clock.ts";
import { claim, type LimitersRig, limitersRig, send } from "../../support/limiters.ts";
import { Service, seeded, throttled } from "../../support/service.ts";

let rig: LimitersRig;
const bulk = { identity: { key: "me" }, lane: "bulk" } as const;
const never = () => new Promise<never>(() => {});

/** One identity of account 1, at 40 requests a second. */
beforeEach(() => {
  rig = limitersRig(40);
  rig.quotas.set("c", claim("me"));
});

const countOf = (lane: Lane, who = "me") => rig.sent.filter((call) => call.lane === lane && call.who === who).length;

describe("the rate", () => {
  it("never exceeds burst and limit in any window, for any arrival of calls, lanes and identities", async () => {
    const arrival = fc.record({
      afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 1_500 })),
      who: fc.constantFrom("a", "b", "c"),
      lane: fc.constantFrom(...allLanes),
      count: fc.integer({ min: 1, max: 30 }),
      latencyMs: fc.integer({ min: 0, max: 400 }),
    });
    const arrivals = fc.array(arrival, { minLength: 1, maxLength: 15 });
    await fc.assert(
      fc.asyncProperty(arrivals, fc.integer({ min: 1, max: 50 }), async (all, limit) => {
        const { clock, quotas, sent, ask } = limitersRig(limit);
        for (const who of ["a", "b", "c"]) quotas.set(who, claim(who));
        let answered = 0;
        let asked = 0;
        for (const { afterMs, who, lane, count, latencyMs } of all) {
          await clock.advance(afterMs);
          asked += count;
          const answer = () => new Promise<void>((resolve) => clock.setTimer(resolve, latencyMs));
          void ask(who, lane, count, answer).then((answers) => (answered += answers.length));
        }
        // Polls have a quarter of the limit.
        await clock.advance(((asked + 1) / limit) * 5_000 + 5_000);
        expect(answered).toBe(asked);
        expect(clock.pending).toBe(0);
        const burst = Math.max(0.9 * limit, 1);
        for (let first = 0; first < sent.length; first++) {
          for (let last = first; last < sent.length; last++) {
            const seconds = (sent[last]!.at - sent[first]!.at) / 1_000;
            expect(last - first + 1).toBeLessThanOrEqual(burst + limit * seconds + 1e-6);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it("sends 300 calls at a limit of 40 in 6.6 s: a burst of 36, then 40 a second", async () => {
    void rig.ask("me", "bulk", 300);
    await rig.clock.advance(6_550);
    expect(rig.sent.length).toBeLessThan(300);
    await rig.clock.advance(100);
    expect(rig.sent).toHaveLength(300);
    expect(rig.sent.filter(({ at }) => at < 25)).toHaveLength(36);
  });

  it("at a limit of 40 is never throttled by AWS's token bucket of 40, not even after pauses", async () => {
    const { clock, limiters } = rig;
    const service = new Service({ clock, random: seeded(1), rate: 40, latencyMs: 60 });
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 200; i++) void send(limiters, bulk, () => service.call());
      await clock.advance(round % 2 === 0 ? 3_000 : 8_000);
    }
    expect(service.tally().calls).toBe(1_200);
    expect(service.tally().throttles).toBe(0);
  });

  it("follows a limit that changes while calls wait, up and down", async () => {
    const { clock, quotas, sent } = rig;
    void rig.ask("me", "bulk", 1_000);
    await clock.advance(1_000);
    expect(sent.length).toBeGreaterThanOrEqual(75);
    quotas.set("slow", claim("other", { limits: { ssm: 2 } }));
    const before = sent.length;
    await clock.advance(10_000);
    expect(sent.length - before).toBeGreaterThanOrEqual(20);
    expect(sent.length - before).toBeLessThanOrEqual(22);
    quotas.remove("slow");
    await clock.advance(1_000);
    expect(sent.length - before).toBeGreaterThan(55);
  });

  it("still sends waiting calls after every connection is deleted", async () => {
    void rig.ask("me", "bulk", 200);
    await rig.clock.advance(500);
    rig.quotas.remove("c");
    await rig.clock.advance(6_000);
    expect(rig.sent).toHaveLength(200);
    expect(rig.limiters.waiting).toBe(0);
  });
});

describe("lanes", () => {
  it("send an interactive call before 500 that wait in bulk", async () => {
    void rig.ask("me", "bulk", 500);
    await rig.clock.advance(1_000);
    const asked = rig.clock.monotonic();
    const left = rig.sent.length;
    void rig.ask("me", "interactive", 1);
    await rig.clock.advance(100);
    const index = rig.sent.findIndex(({ lane }) => lane === "interactive");
    expect(rig.sent[index]!.at - asked).toBeLessThanOrEqual(50);
    expect(index - left).toBeLessThanOrEqual(1);
  });

  it("keep a small share each, so that none starves behind more urgent ones", async () => {
    for (const lane of allLanes) void rig.ask("me", lane, 2_000);
    await rig.clock.advance(26_000);
    const share = (lane: Lane) => countOf(lane) / rig.sent.length;
    expect(share("event")).toBeGreaterThan(0.6);
    for (const lane of ["interactive", "drift", "bulk"] as const) {
      expect(share(lane)).toBeGreaterThan(0.08);
      expect(share(lane)).toBeLessThan(0.11);
    }
    expect(share("poll")).toBeGreaterThan(0.04);
    expect(share("poll")).toBeLessThan(0.055);
  });

  it("give the whole rate to a single lane, but never more than a quarter to polls", async () => {
    void rig.ask("me", "poll", 2_000);
    await rig.clock.advance(20_000);
    // A burst of 0.9 seconds of a quarter, then ten a second.
    expect(rig.sent).toHaveLength(9 + 200);
    void rig.ask("me", "bulk", 2_000);
    await rig.clock.advance(10_000);
    const { length } = rig.sent.filter(({ at }) => at > 20_000);
    expect(length).toBeGreaterThanOrEqual(400);
  });

  it("save up no share while they are empty", async () => {
    void rig.ask("me", "event", 2_000);
    await rig.clock.advance(20_000);
    const before = rig.sent.length;
    void rig.ask("me", "bulk", 100);
    await rig.clock.advance(500);
    expect(rig.sent.slice(before).filter(({ lane }) => lane === "bulk").length).toBeLessThanOrEqual(2);
  });

  it("form a call when its turn comes, and use no quota if there is nothing to send", async () => {
    const { clock, limiters } = rig;
    let given = 0;
    for (let i = 0; i < 500; i++) {
      void limiters.acquire({ service: "ssm", ...bulk }).then((permit) => {
        given += 1;
        permit.giveBack();
      });
    }
    await settle();
    expect([given, limiters.waiting]).toEqual([500, 0]);
    void rig.ask("me", "bulk", 36);
    await clock.advance(10);
    expect(rig.sent).toHaveLength(36);
    expect(clock.pending).toBe(0);
  });

  it("reject with the error of a call, also if it throws synchronously", async () => {
    const { limiters } = rig;
    const thrown = send(limiters, bulk, () => {
      throw new Error("at once");
    });
    await expect(thrown).rejects.toThrow("at once");
    await expect(send(limiters, bulk, () => Promise.reject(new Error("later")))).rejects.toThrow("later");
    expect(limiters.waiting).toBe(0);
  });

  it("export the queue depth, the oldest wait and the used share of the quota", async () => {
    void rig.ask("me", "bulk", 4_000);
    await rig.clock.advance(90_000);
    const page = await rig.metrics.registry.metrics();
    expect(page).toContain(`keyferry_queue_depth{lane="bulk"} ${4_000 - rig.sent.length}\n`);
    expect(page).toContain('keyferry_queue_oldest_seconds{lane="bulk"} 90');
    const used = /quota_used_ratio\{account="1",region="eu-west-1",service="ssm"\} ([0-9.]+)/.exec(page);
    expect(Number(used![1])).toBeGreaterThan(0.93);
    expect(Number(used![1])).toBeLessThan(1.03);
  });
});

describe("identities", () => {
  beforeEach(() => {
    rig.quotas.set("d", claim("other"));
    rig.quotas.set("e", claim("elsewhere", { account: "2" }));
  });

  it("of one account take turns and share its quota", async () => {
    void rig.ask("me", "bulk", 1_000);
    await rig.clock.advance(1_000);
    void rig.ask("other", "bulk", 20);
    const before = rig.sent.length;
    await rig.clock.advance(1_000);
    expect(countOf("bulk", "other")).toBe(20);
    expect(rig.sent.length - before).toBe(40);
  });

  it("whose calls hang take ten slots and delay no other identity", async () => {
    void rig.ask("me", "interactive", 100, never);
    void rig.ask("me", "bulk", 100, never);
    await rig.clock.advance(5_000);
    expect(rig.sent).toHaveLength(10);
    const asked = rig.clock.monotonic();
    void rig.ask("other", "bulk", 30);
    await rig.clock.advance(10);
    expect(countOf("bulk", "other")).toBe(30);
    expect(Math.max(...rig.sent.map(({ at }) => at)) - asked).toBeLessThan(5);
  });

  it("have slots for a quarter second's calls, between ten and fifty", async () => {
    const slotsAt = async (limit: number) => {
      const { clock, ask, sent } = limitersRig(limit);
      void ask("me", "bulk", 100, never);
      await clock.advance(200_000);
      return sent.length;
    };
    expect([await slotsAt(1), await slotsAt(40), await slotsAt(100), await slotsAt(10_000)]).toEqual([10, 10, 25, 50]);
  });

  it("send the next call when a hanging call ends", async () => {
    const ends: (() => void)[] = [];
    const hang = () => new Promise<void>((resolve) => ends.push(resolve));
    void rig.ask("me", "bulk", 20, hang);
    await rig.clock.advance(5_000);
    expect(rig.sent).toHaveLength(10);
    for (const end of ends.splice(0, 3)) end();
    await rig.clock.advance(100);
    expect(rig.sent).toHaveLength(13);
  });

  it("of another account are not delayed while this account is throttled", async () => {
    void rig.ask("me", "bulk", 100, () => Promise.reject(throttled())).catch(() => {});
    await rig.clock.advance(2_000);
    const asked = rig.clock.monotonic();
    void rig.ask("elsewhere", "bulk", 36);
    await rig.clock.advance(20);
    const theirs = rig.sent.filter(({ who }) => who === "elsewhere");
    expect(theirs).toHaveLength(36);
    expect(theirs.at(-1)!.at - asked).toBeLessThan(10);
  });

  it("have separate quotas for KMS and Parameter Store", async () => {
    void rig.ask("me", "bulk", 100);
    await settle();
    const answer = send(rig.limiters, { ...bulk, service: "kms" }, async () => "kms");
    await settle();
    expect(await answer).toBe("kms");
  });
});

describe("namespaces of one identity", () => {
  it("take turns within a lane: 5,000 calls of one namespace do not delay another", async () => {
    const order: string[] = [];
    const call = (namespace: string) =>
      send(rig.limiters, { ...bulk, lane: "interactive", namespace }, async () => order.push(namespace));
    for (let i = 0; i < 5_000; i++) void call("many");
    await rig.clock.advance(2_000);
    const before = order.length;
    void call("one");
    await rig.clock.advance(200);
    expect(order.slice(before).indexOf("one")).toBeGreaterThanOrEqual(0);
    expect(order.slice(before).indexOf("one")).toBeLessThanOrEqual(2);
  });

  it("share the ten slots of their identity", async () => {
    for (let i = 0; i < 30; i++) void send(rig.limiters, { ...bulk, namespace: `n${i % 3}` }, never);
    await rig.clock.advance(5_000);
    expect(rig.limiters.waiting).toBe(20);
  });

  it("use at most ten slots while calls are throttled and retried", async () => {
    let [running, most] = [0, 0];
    const call = async () => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => rig.clock.setTimer(resolve, 2_000));
      running -= 1;
      throw throttled();
    };
    const all = Array.from({ length: 40 }, (_, i) =>
      send(rig.limiters, { ...bulk, namespace: `n${i % 4}` }, call).catch(() => "told"),
    );
    await rig.clock.advance(600_000);
    expect(new Set(await Promise.all(all))).toEqual(new Set(["told"]));
    expect(most).toBeLessThanOrEqual(10);
    expect(rig.limiters.waiting).toBe(0);
  });
});

describe("the limit of a namespaced connection", () => {
  beforeEach(() => {
    rig.quotas.set("n", claim("tenant", { isCluster: false, limits: { ssm: 4 } }));
  });

  it("lowers its own use only", async () => {
    void rig.ask("tenant", "bulk", 200);
    void rig.ask("me", "bulk", 1_000);
    await rig.clock.advance(10_000);
    expect(countOf("bulk", "tenant")).toBeGreaterThanOrEqual(42);
    expect(countOf("bulk", "tenant")).toBeLessThanOrEqual(44);
    expect(rig.sent.length).toBeGreaterThanOrEqual(435);
  });

  it("delays its polls without delaying its interactive calls", async () => {
    void rig.ask("tenant", "poll", 50);
    await rig.clock.advance(3_000);
    void rig.ask("tenant", "interactive", 12);
    await rig.clock.advance(4_000);
    const mine = rig.sent.filter(({ lane }) => lane === "interactive").map(({ at }) => at);
    expect(mine).toHaveLength(12);
    const gaps = mine.map((at, i) => at - (mine[i - 1] ?? 3_000));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(510);
  });

  it("is lifted with the connection's limit, also for waiting calls", async () => {
    void rig.ask("tenant", "bulk", 100);
    await rig.clock.advance(1_000);
    expect(countOf("bulk", "tenant")).toBeLessThan(9);
    rig.quotas.set("n", claim("tenant", { isCluster: false }));
    await rig.clock.advance(2_500);
    expect(countOf("bulk", "tenant")).toBe(100);
    expect(rig.clock.pending).toBe(0);
  });
});

describe("the limit of a connection with waiting calls", () => {
  const delivered = (from: number) => rig.sent.filter(({ who, at }) => who === "tenant" && at > from).length;

  it.each([true, false])("applies to all of them after its deletion (cluster: %s)", async (isCluster) => {
    rig.quotas.set("n", claim("tenant", { account: "2", isCluster, limits: { ssm: 1 } }));
    void rig.ask("tenant", "bulk", 60);
    await rig.clock.advance(3_000);
    rig.quotas.remove("n");
    await rig.clock.advance(10_000);
    expect(delivered(3_000)).toBeLessThanOrEqual(11);
    // Recreated, unchanged and then with other credentials.
    rig.quotas.set("n", claim("tenant", { account: "2", isCluster, limits: { ssm: 1 } }));
    await rig.clock.advance(10_000);
    rig.quotas.set("n", claim("other", { account: "2", isCluster, limits: { ssm: 1 } }));
    await rig.clock.advance(10_000);
    expect(delivered(3_000)).toBeLessThanOrEqual(31);
    expect(delivered(3_000)).toBeGreaterThanOrEqual(28);
  });

  it("applies at once after it is lowered", async () => {
    rig.quotas.set("n", claim("tenant", { isCluster: false, limits: { ssm: 10 } }));
    void rig.ask("tenant", "bulk", 100);
    await rig.clock.advance(1_000);
    rig.quotas.set("n", claim("tenant", { isCluster: false, limits: { ssm: 1 } }));
    await rig.clock.advance(10_000);
    expect(delivered(1_000)).toBeLessThanOrEqual(11);
  });
});

describe("a call that nobody wants when its turn comes", () => {
  it("is canceled without using quota, and not retried after a throttle", async () => {
    rig.quotas.set("n", claim("tenant", { isCluster: false, limits: { ssm: 1 } }));
    let isWanted = true;
    let made = 0;
    const ask = (turn: object) =>
      send(rig.limiters, { ...bulk, identity: { key: "tenant" }, ...turn }, async () => {
        made += 1;
      }).catch(({ name }) => name);
    const unwanted = Array.from({ length: 500 }, () => ask({ isWanted: () => isWanted }));
    await rig.clock.advance(2_000);
    expect(made).toBeLessThanOrEqual(3);
    isWanted = false;
    const before = made;
    void ask({});
    await rig.clock.advance(1_000);
    expect(made).toBe(before + 1);
    expect(new Set((await Promise.all(unwanted)).slice(before))).toEqual(new Set(["Canceled"]));
    expect(rig.limiters.waiting).toBe(0);
    isWanted = true;
    const throttledOnce = send(rig.limiters, { ...bulk, identity: { key: "tenant" }, isWanted: () => isWanted }, () => {
      isWanted = false;
      return Promise.reject(throttled());
    });
    const told = expect(throttledOnce).rejects.toThrow("canceled");
    await rig.clock.advance(5_000);
    await told;
  });
});

describe("a throttled call", () => {
  it("is retried until it succeeds", async () => {
    const { clock, limiters } = rig;
    const service = new Service({ clock, random: seeded(2), rate: 20, latencyMs: 50 });
    const answers: string[] = [];
    for (let i = 0; i < 400; i++) {
      void send(limiters, bulk, () => service.call()).then((answer) => answers.push(answer!));
    }
    await clock.advance(60_000);
    expect(answers).toHaveLength(400);
    expect(service.tally().throttles).toBeGreaterThan(0);
    expect(service.tally().calls).toBe(400 + service.tally().throttles);
    expect(clock.pending).toBe(0);
  });

  it("does not count if AssumeRole was throttled, since the quota is not that of STS", async () => {
    const { clock, limiters, quotas } = rig;
    const { quota } = quotas.scopeOf("me", "ssm");
    const before = quota.rate;
    const parts = { reason: "Throttled", next: "retry", code: "Throttling", message: "auth.assumeRole[0]" } as const;
    let calls = 0;
    const call = () => {
      calls += 1;
      return Promise.reject(new AwsFailure({ ...parts, scope: "credentials" }));
    };
    const rejected = expect(send(limiters, bulk, call)).rejects.toThrow("auth.assumeRole[0]");
    await clock.advance(60_000);
    await rejected;
    expect([calls, quota.rate]).toEqual([1, before]);
  });

  it("is tried six times at most, before the waiting calls of its lane", async () => {
    const { clock, limiters } = limitersRig(1);
    const order: string[] = [];
    const hard = send(limiters, bulk, () => {
      order.push("hard");
      return Promise.reject(throttled());
    });
    const rejected = expect(hard).rejects.toThrow("throttled");
    for (let i = 0; i < 4; i++) void send(limiters, bulk, async () => order.push("easy"));
    await clock.advance(20_000);
    await rejected;
    expect(order).toEqual([...Array(6).fill("hard"), ...Array(4).fill("easy")]);
    expect(limiters.waiting).toBe(0);
  });

  it("halves the rate once for all calls in flight", async () => {
    const { clock, quotas } = rig;
    const { quota } = quotas.scopeOf("me", "ssm");
    let isDown = true;
    const answer = async () => {
      const fails = isDown;
      await new Promise<void>((resolve) => clock.setTimer(resolve, 20 + 10 * Math.random()));
      if (fails) throw throttled();
    };
    void rig.ask("me", "bulk", 10, answer);
    await clock.advance(5);
    expect(rig.sent).toHaveLength(10);
    isDown = false;
    await clock.advance(30);
    expect(quota.rate).toBeGreaterThanOrEqual(20);
    expect(quota.rate).toBeLessThan(20.2);
    await clock.advance(5_000);
    expect(rig.limiters.waiting).toBe(0);
  });

  it("drops the saved tokens: the next call waits for the lower rate", async () => {
    void rig.ask("me", "bulk", 1, () => Promise.reject(throttled())).catch(() => {});
    await settle();
    void rig.ask("me", "bulk", 36);
    await rig.clock.advance(40);
    expect(rig.sent).toHaveLength(1);
    await rig.clock.advance(20);
    expect(rig.sent).toHaveLength(2);
  });
});

it("leaves no timer and no waiting call after an hour of random traffic", async () => {
  const { clock, quotas, limiters } = rig;
  const random = seeded(7);
  const service = new Service({ clock, random, rate: 20, latencyMs: 80 });
  let open = 0;
  for (let second = 0; second < 3_600; second += 20) {
    const who = `i${second % 240}`;
    if (random() < 0.5)
      quotas.set(who, claim(who, { isCluster: random() < 0.5, limits: { ssm: 1 + Math.floor(30 * random()) } }));
    if (random() < 0.2) quotas.remove(`i${Math.floor(random() * 12) * 20}`);
    for (let i = 0; i < 1 + 20 * random(); i++) {
      open += 1;
      const lane = allLanes[Math.floor(random() * allLanes.length)]!;
      const end = () => {
        open -= 1;
      };
      void send(limiters, { identity: { key: who }, lane }, () => service.call(who)).then(end, end);
    }
    await clock.advance(20_000 * random());
  }
  await clock.advance(300_000);
  expect(open).toBe(0);
  expect(limiters.waiting).toBe(0);
  expect(clock.pending).toBe(0);
});

describe("stop", () => {
  it("rejects waiting and later calls, and lets calls in flight finish without a retry", async () => {
    const { clock, limiters, quotas } = rig;
    quotas.set("limit", claim("me", { limits: { ssm: 1 } }));
    await clock.advance(5_000);
    let [answered, rejected, made] = [0, 0, 0];
    const call = () => {
      made += 1;
      return new Promise<void>((resolve) => clock.setTimer(resolve, 500));
    };
    for (let i = 0; i < 50; i++) {
      void send(limiters, bulk, call).then(
        () => (answered += 1),
        () => (rejected += 1),
      );
    }
    await clock.advance(2_100);
    const before = made;
    expect(before).toBeGreaterThan(0);
    limiters.stop();
    await clock.advance(60_000);
    expect({ made, answered, rejected, waiting: limiters.waiting }).toEqual({
      ...{ made: before, answered: before, rejected: 50 - before, waiting: 0 },
    });
    const late = send(limiters, { ...bulk, lane: "event" }, call);
    await expect(late).rejects.toMatchObject({ code: "NotSent", message: /^the operator is stopping/ });
    await expect(send(limiters, { ...bulk, lane: "event", service: "kms" }, call)).rejects.toBeInstanceOf(AwsFailure);
    expect(clock.pending).toBe(0);
  });

  it("ends the retries of a throttled call", async () => {
    const { clock, limiters } = rig;
    let tries = 0;
    const call = send(limiters, bulk, async () => {
      tries += 1;
      await new Promise<void>((resolve) => clock.setTimer(resolve, 500));
      throw throttled();
    });
    const ended = expect(call).rejects.toMatchObject({ reason: "Throttled" });
    await clock.advance(100);
    limiters.stop();
    await clock.advance(60_000);
    await ended;
    expect(tries).toBe(1);
  });
});
