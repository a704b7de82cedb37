import { describe, expect, it } from "vitest";
import { ExpiryClock, skew } from "../../../src/parameters/schedule/expiry-clock.ts";
import { FakeClock } from "../../support/clock.ts";

describe("an Expiration", () => {
  const expiresAt = 1_000_000;

  it.each([
    { why: "lies ahead by both clocks", now: expiresAt - 1, aheadMs: 0, passed: false },
    { why: "lies ahead by AWS's clock", now: expiresAt - 1_001, aheadMs: 1_000, passed: false },
    { why: "has passed by the local clock, with AWS's behind", now: expiresAt, aheadMs: -1, passed: false },
    { why: "has passed by both clocks", now: expiresAt, aheadMs: 0, passed: true },
    { why: "has passed by AWS's clock only", now: expiresAt - 1_000, aheadMs: 1_000, passed: "early" },
    { why: "has passed by a clock too far ahead", now: expiresAt - 1_000, aheadMs: skew.atMostMs + 1, passed: false },
  ])("that $why: $passed", ({ now, aheadMs, passed }) => {
    const clock = new ExpiryClock(new FakeClock());
    expect(clock.hasPassed({}, expiresAt, { now, aheadMs })).toBe(passed);
  });

  it("that has passed by AWS's clock only has passed after a second answer a minute later", async () => {
    const fake = new FakeClock();
    const clock = new ExpiryClock(fake);
    const state = {};
    const answer = { now: expiresAt - 100_000, aheadMs: 100_000 };
    expect(clock.hasPassed(state, expiresAt, answer)).toBe("early");
    expect(clock.isEarly(state, expiresAt)).toBe(true);
    expect(clock.isEarly(state, expiresAt + 1)).toBe(false);
    await fake.advance(skew.apartMs - 1);
    expect(clock.hasPassed(state, expiresAt, answer)).toBe("early");
    await fake.advance(1);
    expect(clock.hasPassed(state, expiresAt, answer)).toBe(true);
  });

  it("is as far away as AWS's clock said last", () => {
    const fake = new FakeClock();
    const clock = new ExpiryClock(fake);
    expect(clock.restMs("id", fake.now() + 5_000)).toBe(5_000);
    clock.heard("id", 2_000);
    expect(clock.restMs("id", fake.now() + 5_000)).toBe(3_000);
    clock.forget("id");
    expect(clock.restMs("id", fake.now() + 5_000)).toBe(5_000);
  });
});
