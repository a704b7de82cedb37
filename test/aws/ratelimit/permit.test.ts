import { beforeEach, describe, expect, it } from "vitest";
import type { Permit } from "../../../src/aws/ratelimit/limiter.ts";
import type { Lane } from "../../../src/runtime/lane.ts";
import { settle } from "../../support/clock.ts";
import { claim, type LimitersRig, limitersRig, send } from "../../support/limiters.ts";
import { throttled } from "../../support/service.ts";

let rig: LimitersRig;
const identity = { key: "me" };
const never = () => new Promise<never>(() => {});
const answer = async () => "answer";

/** One identity of account 1, at 40 requests a second: a burst of 36, and ten slots. */
beforeEach(() => {
  rig = limitersRig(40);
  rig.quotas.set("c", claim("me"));
});

const acquire = (lane: Lane = "bulk", key = "me") => rig.limiters.acquire({ service: "ssm", identity: { key }, lane });

/** Collects the permits of `count` requests as they are granted. */
function ask(count: number, key = "me"): Permit<"ssm">[] {
  const granted: Permit<"ssm">[] = [];
  for (let i = 0; i < count; i++) void acquire("bulk", key).then((permit) => granted.push(permit));
  return granted;
}

describe("a permit", () => {
  it("serves one call", async () => {
    const permit = await acquire();
    expect(await permit.use(answer)).toBe("answer");
    await expect(permit.use(answer)).rejects.toThrow("a permit for ssm was used twice");
  });

  it("cannot be used after it was given back", async () => {
    const permit = await acquire();
    permit.giveBack();
    await expect(permit.use(answer)).rejects.toThrow("used twice");
  });

  it("serves one call even if that call is still waiting for another try", async () => {
    const permit = await acquire();
    void permit.use(() => Promise.reject(throttled())).catch(() => {});
    await settle();
    await expect(permit.use(answer)).rejects.toThrow("used twice");
  });

  it("holds a slot until it is used or given back", async () => {
    const granted = ask(12);
    await rig.clock.advance(5_000);
    expect(granted).toHaveLength(10);
    granted[0]!.giveBack();
    await rig.clock.advance(0);
    expect(granted).toHaveLength(11);
    await granted[1]!.use(answer);
    await rig.clock.advance(100);
    expect(granted).toHaveLength(12);
  });

  it("that is given back twice, or after its use, frees one slot", async () => {
    const granted = ask(14);
    await rig.clock.advance(5_000);
    granted[0]!.giveBack();
    granted[0]!.giveBack();
    await granted[1]!.use(answer);
    granted[1]!.giveBack();
    await rig.clock.advance(5_000);
    expect(granted).toHaveLength(12);
  });

  it("that is given back returns its share of the quota, also of the identity's own limit and of the polls'", async () => {
    rig.quotas.set("n", claim("tenant", { isCluster: false, limits: { ssm: 4 } }));
    for (const lane of ["bulk", "poll"] as const) {
      for (let i = 0; i < 200; i++) (await acquire(lane, "tenant")).giveBack();
    }
    expect(rig.clock.monotonic()).toBe(0);
    expect(rig.quotas.scopeOf("tenant", "ssm").quota.usedRatio).toBeCloseTo(0);
    const granted = ask(10, "tenant");
    await rig.clock.advance(10);
    expect(granted).toHaveLength(3);
  });

  it("that is given back returns the turn of its lane", async () => {
    const granted: Lane[] = [];
    const asks = (lane: Lane, count: number, isUsed: boolean) => {
      for (let i = 0; i < count; i++) {
        void acquire(lane).then(async (permit) => {
          if (!isUsed) return permit.giveBack();
          granted.push(lane);
          await permit.use(answer);
        });
      }
    };
    asks("event", 200, false);
    asks("bulk", 20, true);
    asks("event", 20, true);
    await rig.clock.advance(10);
    // Without the refund, 200 urgent permits would have earned bulk a credit of 20 calls.
    expect(granted.slice(0, 9)).not.toContain("bulk");
  });

  it("that is held delays no other identity", async () => {
    rig.quotas.set("d", claim("other"));
    ask(10);
    await rig.clock.advance(5_000);
    expect(await send(rig.limiters, { identity: { key: "other" }, lane: "bulk" }, answer)).toBe("answer");
  });

  it("may be used after the limiter has stopped, and its call is not retried", async () => {
    const [one, two] = [await acquire(), await acquire()];
    rig.limiters.stop();
    expect(await one.use(answer)).toBe("answer");
    let tries = 0;
    const call = () => {
      tries += 1;
      return Promise.reject(throttled());
    };
    await expect(two.use(call)).rejects.toThrow("throttled");
    expect(tries).toBe(1);
  });

  it("waits for a slot if the limit, and with it the number of slots, has fallen", async () => {
    rig.quotas.set("c", claim("me", { limits: { ssm: 100 } }));
    await rig.clock.advance(5_000);
    const granted = ask(25);
    await rig.clock.advance(1_000);
    expect(granted).toHaveLength(25);
    rig.quotas.set("c", claim("me", { limits: { ssm: 20 } }));
    const ends: (() => void)[] = [];
    void acquire();
    await rig.clock.advance(100);
    const calls = granted.map((permit) => permit.use(() => new Promise<void>((resolve) => ends.push(resolve))));
    await settle();
    expect(ends).toHaveLength(10);
    for (let done = 0; done < 25; done++) {
      ends[done]!();
      await settle();
    }
    await Promise.all(calls);
    expect(ends).toHaveLength(25);
  });

  it("is never granted to more calls than there are slots, whether used or not", async () => {
    const granted = ask(6);
    for (let i = 0; i < 20; i++) void send(rig.limiters, { identity, lane: "bulk" }, never);
    await rig.clock.advance(5_000);
    expect([granted.length, rig.limiters.waiting]).toEqual([6, 16]);
  });
});
