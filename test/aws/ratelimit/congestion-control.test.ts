import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cutBy, rateAfter } from "../../../src/aws/ratelimit/congestion-control.ts";
import { FakeClock } from "../../support/clock.ts";
import { claim, limitersOver, send } from "../../support/limiters.ts";
import { Service, seeded } from "../../support/service.ts";

describe("the rate after a throttle", () => {
  const limit = fc.integer({ min: 1, max: 10_000 });
  const rate = fc.double({ min: 0.001, max: 10_000, noNaN: true });
  const ms = fc.integer({ min: 0, max: 100_000 });

  it("is the limit if nothing was throttled", () => {
    expect(rateAfter(undefined, 40, 0)).toBe(40);
  });

  it("halves at once, is just below the old rate from 10 to 14 s, and reaches the limit after 26 s", () => {
    const at = (seconds: number) => rateAfter({ rate: 20, at: 0 }, 40, seconds * 1_000);
    expect(at(0)).toBe(10);
    for (const seconds of [10, 12, 14]) {
      expect(at(seconds)).toBeGreaterThanOrEqual(17);
      expect(at(seconds)).toBeLessThanOrEqual(18);
    }
    expect(at(26)).toBe(40);
  });

  it("stays between 1 and the limit, and never falls without another throttle", () => {
    fc.assert(
      fc.property(rate, limit, ms, ms, (from, most, earlier, more) => {
        const cut = { rate: from, at: 0 };
        const before = rateAfter(cut, most, earlier);
        const after = rateAfter(cut, most, earlier + more);
        expect(before).toBeGreaterThanOrEqual(Math.min(1, most));
        expect(after).toBeLessThanOrEqual(most);
        expect(after).toBeGreaterThanOrEqual(before);
      }),
    );
  });

  it("reaches the limit within 26 s after any sequence of cuts", () => {
    fc.assert(
      fc.property(limit, fc.array(ms, { maxLength: 20 }), (most, gaps) => {
        let now = 0;
        let cut = cutBy(undefined, most, 0, 0);
        for (const gap of gaps) {
          now += gap;
          cut = cutBy(cut, most, now, now);
        }
        expect(rateAfter(cut, most, now + 26_000)).toBe(most);
      }),
    );
  });

  it("is halved once for calls sent before the cut, and again for a call sent after it", () => {
    const first = cutBy(undefined, 40, 900, 1_000);
    expect(cutBy(first, 40, 950, 1_050)).toBe(first);
    expect(cutBy(first, 40, 1_000, 1_100)).toBe(first);
    const second = cutBy(first, 40, 1_001, 1_100);
    expect(rateAfter(second, 40, 1_100)).toBeCloseTo(rateAfter(first, 40, 1_100) / 2, 5);
  });
});

/** Simulates an operator that always has 60 calls waiting. */
function busy(clock: FakeClock, service: Service, who: string, limit: number): { failed: () => number } {
  const { limiters, quotas } = limitersOver(clock, limit);
  quotas.set(who, claim(who));
  let failed = 0;
  const one = async (): Promise<void> => {
    for (;;) {
      try {
        await send(limiters, { identity: { key: who }, lane: "bulk" }, () => service.call(who));
      } catch {
        failed += 1;
      }
    }
  };
  for (let i = 0; i < 60; i++) void one();
  return { failed: () => failed };
}

describe("an operator with calls always waiting", () => {
  it.each([1, 2, 3])("adapts to a quota of 5 within seconds, and to 40 again within 30 s (seed %d)", async (seed) => {
    const clock = new FakeClock();
    const service = new Service({ clock, random: seeded(seed), rate: 40 });
    const { failed } = busy(clock, service, "op", 40);
    const minuteAt = async (rate: number) => {
      service.rate = rate;
      service.tallies.clear();
      const perSecond: number[] = [];
      for (let second = 0; second < 60; second++) {
        const before = service.sent.length;
        await clock.advance(1_000);
        perSecond.push(service.sent.length - before);
      }
      return { perSecond, ...service.tally("op") };
    };
    const before = await minuteAt(40);
    expect(before.throttles).toBe(0);
    const small = await minuteAt(5);
    // Some halvings, and the calls in flight at each.
    expect(small.throttles).toBeLessThanOrEqual(12);
    expect(small.perSecond[3]).toBeLessThanOrEqual(8);
    const steady = await minuteAt(5);
    expect(steady.throttles / steady.calls).toBeLessThan(0.02);
    expect(steady.calls - steady.throttles).toBeGreaterThan(0.93 * 300);
    const after = await minuteAt(40);
    expect(after.throttles).toBe(0);
    for (const calls of after.perSecond.slice(30)) expect(calls).toBeGreaterThanOrEqual(39);
    const all = [before, small, after];
    const sum = (of: "calls" | "throttles") => all.reduce((total, one) => total + one[of], 0);
    expect(sum("throttles") / sum("calls")).toBeLessThan(0.02);
    expect(failed()).toBe(0);
  });

  it.each([
    [20, 1, 0.05],
    [20, 2, 0.05],
    [8, 3, 0.01],
  ])(
    "hardly throttles a foreign client of 4/s, as one of four operators at %d each (seed %d)",
    async (limit, seed, share) => {
      const clock = new FakeClock();
      const random = seeded(seed);
      const service = new Service({ clock, random, rate: 40 });
      const operators = [0, 1, 2, 3].map((i) => busy(clock, service, `op${i}`, limit));
      const foreign = () => {
        service.call("foreign").catch(() => {});
        clock.setTimer(foreign, random() * 500);
      };
      foreign();
      await clock.advance(20_000);
      service.tallies.clear();
      await clock.advance(600_000);
      expect(service.tally("foreign").calls).toBeGreaterThan(2_200);
      expect(service.throttledShare("foreign")).toBeLessThan(share);
      const perSecond = operators.map((_, i) => service.tally(`op${i}`).calls / 600);
      // The operators share the quota evenly.
      expect(Math.min(...perSecond)).toBeGreaterThan(limit === 8 ? 7.9 : 6);
      expect(operators.map(({ failed }) => failed())).toEqual([0, 0, 0, 0]);
    },
  );
});
