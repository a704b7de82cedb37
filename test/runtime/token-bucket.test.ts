import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KeyedTokenBuckets, TokenBucket } from "../../src/runtime/token-bucket.ts";
import { FakeClock } from "../support/clock.ts";

describe("a token bucket", () => {
  it("starts full, and then gains tokens at its rate", async () => {
    const clock = new FakeClock();
    const bucket = new TokenBucket(clock, { size: () => 2, perSecond: () => 10 });
    bucket.spend();
    bucket.spend();
    expect(bucket.waitMs).toBe(100);
    await clock.advance(60);
    expect(bucket.waitMs).toBeCloseTo(40);
    await clock.advance(40);
    expect(bucket.waitMs).toBe(0);
  });

  it("lets later callers wait for what was overdrawn", () => {
    const bucket = new TokenBucket(new FakeClock(), { size: () => 1, perSecond: () => 10 });
    bucket.spend(3);
    expect(bucket.waitMs).toBeCloseTo(300);
  });

  it("drops its saved tokens and keeps its debt", () => {
    const bucket = new TokenBucket(new FakeClock(), { size: () => 5, perSecond: () => 10 });
    bucket.empty();
    expect(bucket.waitMs).toBeCloseTo(100);
    bucket.spend(2);
    bucket.empty();
    expect(bucket.waitMs).toBeCloseTo(300);
  });

  it("never grants more than its size and its rate, whatever the order of waits and calls", async () => {
    const steps = fc.array(fc.record({ ms: fc.nat(3_000), tries: fc.nat(20) }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 50 }),
        steps,
        async (size, rate, all) => {
          const clock = new FakeClock();
          const bucket = new TokenBucket(clock, { size: () => size, perSecond: () => rate });
          let granted = 0;
          for (const { ms, tries } of all) {
            await clock.advance(ms);
            for (let n = 0; n < tries; n++) {
              if (bucket.waitMs > 0) continue;
              bucket.spend();
              granted++;
            }
          }
          expect(granted).toBeLessThanOrEqual(size + (clock.monotonic() / 1_000) * rate + 1e-6);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("token buckets by key", () => {
  it("limits each key by itself", async () => {
    const clock = new FakeClock();
    const buckets = new KeyedTokenBuckets(clock, { size: 1, perSecond: 1, maxKeys: 10 });
    expect([buckets.take("a"), buckets.take("a"), buckets.take("b")]).toEqual([true, false, true]);
    expect(buckets.waitMs("a")).toBe(1_000);
    await clock.advance(1_000);
    expect([buckets.take("a"), buckets.take("a")]).toEqual([true, false]);
  });

  it("drops the least recently used key beyond its maximum", () => {
    const buckets = new KeyedTokenBuckets(new FakeClock(), { size: 1, perSecond: 1, maxKeys: 2 });
    for (const key of ["a", "b", "c"]) buckets.take(key);
    expect(["a", "b", "c"].map((key) => buckets.waitMs(key) > 0)).toEqual([false, true, true]);
  });

  it("keeps a key limited that is refused again and again while others come", () => {
    const buckets = new KeyedTokenBuckets(new FakeClock(), { size: 1, perSecond: 1, maxKeys: 2 });
    buckets.take("noisy");
    for (const key of ["a", "b", "c"]) {
      expect(buckets.take("noisy")).toBe(false);
      buckets.take(key);
    }
  });
});
