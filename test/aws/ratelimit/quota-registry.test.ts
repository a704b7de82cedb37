import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { bucketOf } from "../../../src/aws/ratelimit/quota.ts";
import { type Claim, QuotaRegistry } from "../../../src/aws/ratelimit/quota-registry.ts";
import { FakeClock } from "../../support/clock.ts";
import { claim } from "../../support/limiters.ts";

let clock: FakeClock;
let quotas: QuotaRegistry;

beforeEach(() => {
  clock = new FakeClock();
  quotas = new QuotaRegistry(clock, { ssm: 20, kms: 100 });
});

const limitOf = (who: string) => quotas.scopeOf(who, "ssm").quota.limit;
const ownOf = (who: string) => quotas.own(who, "ssm")?.limit;

describe("the limit of an account and region", () => {
  it("is 20 for Parameter Store and 100 for KMS by default", () => {
    const usual = new QuotaRegistry(clock);
    expect(usual.scopeOf("me", "ssm").quota.limit).toBe(20);
    expect(usual.scopeOf("me", "kms").quota.limit).toBe(100);
  });

  it("is the lowest that a cluster connection sets; connections without a limit are ignored", () => {
    quotas.set("a", claim("me", { limits: { ssm: 30 } }));
    quotas.set("b", claim("me"));
    quotas.set("c", claim("other", { limits: { ssm: 25, kms: 7 } }));
    expect(limitOf("me")).toBe(25);
    expect(quotas.scopeOf("me", "kms").quota.limit).toBe(7);
  });

  it("is shared by all identities of the account and region only", () => {
    quotas.set("a", claim("me", { limits: { ssm: 30 } }));
    quotas.set("b", claim("other"));
    quotas.set("c", claim("abroad", { region: "us-east-1" }));
    quotas.set("d", claim("stranger", { account: "2" }));
    expect(quotas.scopeOf("me", "ssm")).toBe(quotas.scopeOf("other", "ssm"));
    expect([limitOf("abroad"), limitOf("stranger")]).toEqual([20, 20]);
    expect(new Set(["me", "abroad", "stranger"].map((who) => quotas.scopeOf(who, "ssm"))).size).toBe(3);
  });

  it("is not lowered by a namespaced connection, which limits its own identity", () => {
    quotas.set("a", claim("me"));
    quotas.set("n", claim("tenant", { isCluster: false, limits: { ssm: 3 } }));
    expect(limitOf("tenant")).toBe(20);
    expect(ownOf("tenant")).toBe(3);
    expect(ownOf("me")).toBeUndefined();
    expect(quotas.own("tenant", "kms")).toBeUndefined();
  });

  it("replaces a namespaced connection's limit for an identity that a cluster connection uses too", () => {
    quotas.set("n", claim("shared", { isCluster: false, limits: { ssm: 3 } }));
    quotas.set("a", claim("shared"));
    expect(ownOf("shared")).toBeUndefined();
    quotas.remove("a");
    expect(ownOf("shared")).toBe(3);
  });

  it("changes when an identity turns out to belong to another account", () => {
    quotas.set("a", claim("me", { limits: { ssm: 5 } }));
    const before = quotas.scopeOf("me", "ssm");
    quotas.set("a", claim("me", { account: "2", limits: { ssm: 5 } }));
    expect(limitOf("me")).toBe(5);
    expect(quotas.scopeOf("me", "ssm")).not.toBe(before);
    expect(before.quota.limit).toBe(5);
  });

  it("depends only on the current connections, whatever the order of changes", () => {
    const one = fc.record({
      connection: fc.constantFrom("a", "b", "c"),
      change: fc.option(
        fc.record({
          identityKey: fc.constantFrom("x", "y"),
          account: fc.constantFrom("1", "2"),
          isCluster: fc.boolean(),
          limits: fc.record({ ssm: fc.integer({ min: 1, max: 50 }) }, { requiredKeys: [] }),
        }),
      ),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 30 }), (steps) => {
        const all = new QuotaRegistry(clock, { ssm: 20, kms: 100 });
        const there = new Map<string, Claim>();
        const last = new Map<string, Claim>();
        for (const { connection, change } of steps) {
          const before = there.get(connection);
          if (before) last.set(before.identityKey, before);
          if (change) {
            const one = claim(change.identityKey, change);
            all.set(connection, one);
            there.delete(connection);
            there.set(connection, one);
          } else {
            all.remove(connection);
            there.delete(connection);
          }
          for (const identityKey of ["x", "y"]) {
            const claims = [...there.values()];
            const users = claims.filter((other) => other.identityKey === identityKey);
            const accounts = new Set(users.map(({ account }) => account));
            const scope = all.scopeOf(identityKey, "ssm");
            expect(scope.isKnown).toBe(users.length > 0 || last.has(identityKey));
            // An identity without connections keeps the limit of its last one.
            if (users.length === 0) {
              expect(all.own(identityKey, "ssm")?.limit).toBe(last.get(identityKey)?.limits.ssm);
              continue;
            }
            if (users.length > 0) expect(accounts).toContain(scope.account);
            const setting = claims.filter(({ isCluster, account }) => isCluster && account === scope.account);
            const limits = setting.flatMap(({ limits }) => limits.ssm ?? []);
            expect(scope.quota.limit).toBe(limits.length > 0 ? Math.min(...limits) : 20);
            // A connection without a limit is not slowed down by one with a limit.
            const isBound = users.length > 0 && users.every(({ isCluster, limits: { ssm } }) => !isCluster && ssm);
            const highest = Math.max(...users.map(({ limits: { ssm } }) => ssm ?? 0));
            expect(all.own(identityKey, "ssm")?.limit).toBe(isBound ? highest : undefined);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("the limit of a deleted connection", () => {
  it.each([true, false])(
    "remains for its identity, and for the account until another connection uses it (cluster: %s)",
    (isCluster) => {
      quotas.set("n", claim("tenant", { isCluster, limits: { ssm: 1 } }));
      const before = quotas.scopeOf("tenant", "ssm");
      quotas.remove("n");
      expect(quotas.scopeOf("tenant", "ssm")).toBe(before);
      expect(ownOf("tenant")).toBe(1);
      if (isCluster) expect(before.quota.limit).toBe(1);
      quotas.set("other", claim("other"));
      expect(before.quota.limit).toBe(20);
      expect(ownOf("tenant")).toBe(1);
    },
  );

  it("is not lifted by recreating the connection; a new limit applies at once", () => {
    quotas.set("n", claim("tenant", { isCluster: false, limits: { ssm: 1 } }));
    const own = quotas.own("tenant", "ssm");
    own?.spend(false);
    quotas.remove("n");
    quotas.set("n", claim("tenant", { isCluster: false, limits: { ssm: 2 } }));
    expect(quotas.own("tenant", "ssm")).toBe(own);
    expect(own?.waitMs(false)).toBeGreaterThan(0);
    expect(ownOf("tenant")).toBe(2);
    quotas.set("n", claim("tenant", { isCluster: false }));
    expect(ownOf("tenant")).toBeUndefined();
  });

  it("is forgotten ten minutes after the last call, and kept for at most a thousand identities", async () => {
    for (let n = 0; n < 1_500; n++) {
      quotas.set("n", claim(`tenant${n}`, { isCluster: false, limits: { ssm: 1 } }));
      quotas.remove("n");
    }
    expect(ownOf("tenant0")).toBeUndefined();
    expect(ownOf("tenant1499")).toBe(1);
    await clock.advance(500_000);
    quotas.own("tenant1499", "ssm")?.spend(false);
    await clock.advance(500_000);
    quotas.scopeOf("else", "ssm");
    expect([ownOf("tenant1498"), ownOf("tenant1499")]).toEqual([undefined, 1]);
    await clock.advance(600_000);
    quotas.scopeOf("else", "kms");
    expect(ownOf("tenant1499")).toBeUndefined();
  });
});

describe("a quota without a connection", () => {
  it("is dropped ten minutes after its last call", async () => {
    quotas.set("a", claim("me"));
    for (let i = 0; i < 50; i++) quotas.scopeOf(`stranger ${i}`, "ssm");
    expect([...quotas.scopes()]).toHaveLength(50);
    const late = quotas.scopeOf("stranger 7", "ssm");
    await clock.advance(500_000);
    late.quota.spend(false);
    await clock.advance(200_000);
    quotas.scopeOf("me", "ssm");
    expect([...quotas.scopes()].map(({ account }) => account)).toEqual(["of stranger 7", "1"]);
    await clock.advance(1_000_000);
    quotas.scopeOf("me", "kms");
    expect([...quotas.scopes()].map(({ service }) => service)).toEqual(["ssm", "kms"]);
  });
});

describe("a token bucket", () => {
  it("never grants more than its burst and the tokens added, for any changes of the rate", () => {
    const step = fc.record({ ms: fc.integer({ min: 0, max: 3_000 }), rate: fc.integer({ min: 1, max: 100 }) });
    return fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
        const time = new FakeClock();
        let rate = 10;
        let highest = 10;
        const bucket = bucketOf(time, () => rate);
        let granted = 0;
        for (const { ms, rate: next } of steps) {
          await time.advance(ms);
          while (bucket.waitMs === 0) {
            bucket.spend();
            granted += 1;
          }
          expect(bucket.waitMs).toBeGreaterThan(0);
          expect(bucket.waitMs).toBeLessThanOrEqual(1_000 / rate + 1e-6);
          rate = next;
          highest = Math.max(highest, rate);
        }
        expect(granted).toBeLessThanOrEqual(Math.max(0.9 * highest, 1) + (time.monotonic() / 1_000) * highest + 1e-6);
      }),
    );
  });

  it("becomes negative when overdrawn, and holds no token after empty", async () => {
    const bucket = bucketOf(clock, () => 10);
    for (let i = 0; i < 12; i++) bucket.spend();
    expect(bucket.waitMs).toBeCloseTo(400, 5);
    bucket.empty();
    expect(bucket.waitMs).toBeCloseTo(400, 5);
    await clock.advance(60_000);
    expect(bucket.waitMs).toBe(0);
    bucket.empty();
    expect(bucket.waitMs).toBeCloseTo(100, 5);
  });
});
