import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { QuotaRegistry } from "../../../src/aws/ratelimit/quota-registry.ts";
import { type Entry, newEntry } from "../../../src/parameters/cache/cache-entry.ts";
import { changeEntry } from "../../../src/parameters/cache/reducer.ts";
import { type Reference, referenceKey } from "../../../src/parameters/read/reference.ts";
import { Intervals } from "../../../src/parameters/schedule/intervals.ts";
import { Failure } from "../../../src/runtime/failure.ts";
import { FakeClock } from "../../support/clock.ts";
import { FakeAws } from "../../support/fake-aws.ts";
import { claim } from "../../support/limiters.ts";
import { observerRig, parameterOf, pathOf, subscription } from "../../support/observer.ts";
import { seeded } from "../../support/service.ts";

const identities = ["me", "other"].map((key) => new FakeAws(() => 0).identity(key));
const [me] = identities;

function rigOf(limit: number) {
  const quotas = new QuotaRegistry(new FakeClock(), { ssm: limit, kms: limit });
  const rig = { quotas, said: 0, announces: (_: Reference): boolean => false };
  const intervals = new Intervals({
    quotas,
    isAnnounced: (reference) => rig.announces(reference),
    stretched: () => {
      rig.said += 1;
    },
  });
  return Object.assign(rig, { intervals });
}

function entryOf(reference: Reference, intervalMs: number): Entry {
  return Object.assign(newEntry(reference, referenceKey(reference)), { intervalMs });
}

const parameters = (count: number, intervalMs: number) =>
  Array.from({ length: count }, (_, i) => entryOf(parameterOf(me!, `/p${i}`), intervalMs));

describe("polls", () => {
  it("have the requested interval up to a quarter of the limit, and a longer one beyond", () => {
    // A quarter of 20 is 5 calls a second: 500 parameters at ten seconds.
    const { intervals } = rigOf(20);
    const first = parameters(500, 10_000);
    for (const entry of first) expect(intervals.of(entry)).toBe(10_000);
    expect(intervals.stretch("me")).toBe(1);
    const more = Array.from({ length: 500 }, (_, i) => entryOf(parameterOf(me!, `/q${i}`), 10_000));
    for (const entry of more) intervals.of(entry);
    expect(intervals.stretch("me")).toBeGreaterThanOrEqual(2);
    expect(intervals.stretch("me")).toBeLessThan(2.2);
    expect(intervals.of(first[0]!)).toBe(10_000 * intervals.stretch("me"));
    for (const entry of more) intervals.drop(entry);
    expect(intervals.stretch("me")).toBe(1);
    expect(intervals.of(first[0]!)).toBe(10_000);
  });

  it("never take over a quarter of the limit, and are stretched by at most a tenth more than needed", () => {
    const demand = fc.record({
      count: fc.integer({ min: 1, max: 300 }),
      intervalMs: fc.integer({ min: 10_000, max: 600_000 }),
    });
    fc.assert(
      fc.property(fc.array(demand, { maxLength: 8 }), fc.integer({ min: 1, max: 50 }), (demands, limit) => {
        const { intervals } = rigOf(limit);
        const all = demands.flatMap(({ count, intervalMs }) => parameters(count, intervalMs));
        for (const entry of all) intervals.of(entry);
        const asked = all.reduce((sum, { intervalMs }) => sum + 100 / intervalMs, 0);
        const stretch = intervals.stretch("me");
        expect(asked / stretch).toBeLessThanOrEqual((limit / 4) * 1.001 + 1e-9);
        expect(stretch).toBeLessThanOrEqual(Math.max((asked / (limit / 4)) * 1.1 + 1e-9, 1));
        for (const entry of all) intervals.drop(entry);
        expect(intervals.stretch("me")).toBe(1);
      }),
      { numRuns: 50 },
    );
  });

  it("of a path cost one call for each ten members, at least one", () => {
    const { intervals } = rigOf(4);
    const path = entryOf(pathOf(me!, "/app"), 10_000);
    expect(intervals.of(path)).toBe(10_000);
    for (let i = 0; i < 100; i++) changeEntry(path, { type: "memberAdded", name: `/app/${i}`, isKnown: false });
    // A quarter of 4 is ten calls in ten seconds.
    expect(intervals.of(path)).toBe(10_000);
    changeEntry(path, { type: "memberAdded", name: "/app/more", isKnown: false });
    expect(intervals.of(path)).toBeCloseTo(11_000, 5);
  });

  it("of announced references have ten times the interval and a tenth of the demand, while AWS answers", () => {
    const rig = rigOf(20);
    rig.announces = ({ identity }) => identity === me;
    const all = parameters(5_000, 10_000);
    for (const entry of all) expect(rig.intervals.of(entry)).toBe(100_000);
    const [one] = all;
    changeEntry(one!, { type: "failed", failure: new Failure("AccessDenied", "wait", "denied"), elapsed: 0 });
    expect(rig.intervals.of(one!)).toBe(100_000);
    changeEntry(one!, { type: "failed", failure: new Failure("Unreachable", "retry", "no answer"), elapsed: 0 });
    expect(rig.intervals.of(one!)).toBeLessThan(20_000);
  });

  it("never happen for an infinite interval, which has no demand", () => {
    const { intervals } = rigOf(1);
    for (const entry of parameters(1_000, Infinity)) expect(intervals.of(entry)).toBe(Infinity);
    expect(intervals.stretch("me")).toBe(1);
  });

  it("of one account and region are stretched by one factor, which does not affect others", () => {
    const { intervals, quotas } = rigOf(20);
    quotas.set("a", claim("me"));
    quotas.set("b", claim("other"));
    for (const entry of parameters(1_000, 10_000)) intervals.of(entry);
    expect(intervals.stretch("other")).toBe(intervals.stretch("me"));
    quotas.set("b", claim("other", { account: "2" }));
    expect(intervals.stretch("other")).toBe(1);
  });

  it("of an identity with its own limit are stretched to a quarter of it, without affecting other identities", () => {
    const { intervals, quotas } = rigOf(20);
    const claim = { account: "1", region: "r", isCluster: false };
    quotas.set("mine", { ...claim, identityKey: "me", limits: { ssm: 1 } });
    quotas.set("theirs", { ...claim, identityKey: "other", limits: {} });
    // 300 names at 30 s are a call a second; a quarter of one is allowed.
    for (const entry of parameters(300, 30_000)) intervals.of(entry);
    expect(intervals.stretch("me")).toBeGreaterThanOrEqual(4);
    expect(intervals.stretch("me")).toBeLessThan(4.4);
    expect(intervals.stretch("other")).toBe(1);
  });

  it("move their demand with the identity once its account is known, and drop it at the end", () => {
    const { intervals, quotas } = rigOf(20);
    const all = parameters(1_000, 10_000);
    for (const entry of all) intervals.of(entry);
    quotas.set("a", claim("me"));
    for (const entry of all) intervals.of(entry);
    expect(intervals.stretch("me")).toBeGreaterThan(1.9);
    // Remaining polls of the identity keep their quota scope.
    quotas.remove("a");
    expect(intervals.stretch("me")).toBeGreaterThan(1.9);
    for (const entry of all) intervals.drop(entry);
    expect(intervals.stretch("me")).toBe(1);
  });

  it("report a changed stretch in steps of a tenth, not with each entry", () => {
    const rig = rigOf(20);
    const all = parameters(1_000, 10_000);
    for (const entry of all) rig.intervals.of(entry);
    expect(rig.said).toBeGreaterThan(5);
    expect(rig.said).toBeLessThanOrEqual(9);
    for (const entry of all) rig.intervals.of(entry);
    expect(rig.said).toBeLessThanOrEqual(9);
    for (const entry of all) rig.intervals.drop(entry);
    for (const entry of all) rig.intervals.drop(entry);
    expect(rig.said).toBeLessThanOrEqual(18);
  });
});

it("polls of 2,000 parameters at ten seconds take a quarter of the quota and are spread evenly over the parameters", async () => {
  const { aws, clock, observer, quotas } = observerRig({ limit: 20, random: seeded(3) });
  const identity = aws.identity();
  quotas.set("c", claim(identity.key));
  const references = Array.from({ length: 2_000 }, (_, i) => parameterOf(identity, `/p${i}`));
  for (const { name } of references) aws.put(name, "v");
  observer.depend(
    "ns/one",
    references.map((reference) => subscription(reference, 10_000)),
  );
  void observer.look(references, "bulk");
  await clock.advance(60_000);
  aws.calls.length = 0;
  await clock.advance(600_000);
  expect(aws.calls.length / 600).toBeLessThanOrEqual(5);
  expect(aws.calls.length / 600).toBeGreaterThan(3.5);
  const times = new Map<string, number>();
  for (const { names } of aws.calls) for (const name of names) times.set(name, (times.get(name) ?? 0) + 1);
  // Forty seconds, or a tenth more.
  expect(Math.min(...times.values())).toBeGreaterThanOrEqual(11);
  observer.depend(
    "ns/one",
    references.slice(0, 400).map((reference) => subscription(reference, 10_000)),
  );
  expect(observer.stretch(identity.key)).toBe(1);
  await clock.advance(60_000);
  aws.calls.length = 0;
  await clock.advance(100_000);
  expect(aws.calls.length / 100).toBeGreaterThan(3.8);
  observer.depend("ns/one", []);
  await clock.advance(60_000);
  expect(clock.pending).toBe(0);
});
