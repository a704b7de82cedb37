import { beforeEach, describe, expect, it } from "vitest";
import type { Identity } from "../../src/aws/identity.ts";
import { isExpired } from "../../src/parameters/cache/cache-entry.ts";
import { referenceKey } from "../../src/parameters/read/reference.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { heldBytes } from "../support/heap.ts";
import { type ObserverRig, observerRig, parameterOf, pathOf, subscription } from "../support/observer.ts";
import { permitFor } from "../support/permits.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
let rig: ObserverRig;
let identity: Identity;

const expiration = (at: number) => ({
  Type: "Expiration",
  Version: "1.0",
  Attributes: { Timestamp: new Date(at).toISOString() },
});
const noChange = (hours: number) => ({
  Type: "NoChangeNotification",
  Version: "1.0",
  Attributes: { After: String(hours), Unit: "Hours" },
});
const entryOf = (name: string) => rig.observer.entry(parameterOf(identity, name))!;
const policiesOf = (name: string) => entryOf(name).state.metadata?.policies;

/** Puts a parameter, makes a SyncedSecret depend on it, and waits for its description. */
async function watched(name: string, ...policies: (object | string)[]): Promise<void> {
  rig.aws.put(name, "v");
  rig.aws.policies(name, ...policies);
  rig.observer.depend(`ns${name}`, [subscription(parameterOf(identity, name))]);
  await rig.observer.look([parameterOf(identity, name)], "bulk");
  await rig.clock.advance(2_000);
}

beforeEach(() => {
  rig = observerRig();
  identity = rig.aws.identity();
});

describe("descriptions", () => {
  it("wait for a sync in progress, for a minute at most", async () => {
    rig.isBusy = true;
    await watched("/d/p");
    await rig.clock.advance(20_000);
    expect(rig.aws.descriptions).toEqual([]);
    rig.isBusy = false;
    await rig.clock.advance(1_000);
    expect(rig.aws.descriptions).toHaveLength(1);
    rig.isBusy = true;
    await watched("/d/q");
    await rig.clock.advance(55_000);
    expect(rig.aws.descriptions).toHaveLength(1);
    await rig.clock.advance(10_000);
    expect(rig.aws.descriptions).toHaveLength(2);
  });

  it("come in calls of fifty after the first look, then once an hour, and notify nobody of keys", async () => {
    const names = Array.from({ length: 120 }, (_, n) => `/d/p${n}`);
    for (const name of names) {
      rig.aws.put(name, "v");
      rig.observer.depend(`ns${name}`, [subscription(parameterOf(identity, name))]);
    }
    await rig.observer.look(
      names.map((name) => parameterOf(identity, name)),
      "bulk",
    );
    await rig.clock.advance(30_000);
    expect(rig.aws.descriptions.map((call) => call.length).sort()).toEqual([20, 50, 50]);
    rig.aws.descriptions.length = 0;
    await rig.clock.advance(10 * hour);
    expect(rig.aws.descriptions.length).toBeGreaterThanOrEqual(28);
    expect(rig.aws.descriptions.length).toBeLessThanOrEqual(33);
    expect(new Set(rig.aws.descriptions.flat()).size).toBe(120);
    expect(rig.told).toEqual([]);
    expect(entryOf("/d/p7").state.metadata).toBe(entryOf("/d/p8").state.metadata);
    expect(entryOf("/d/p7").state.metadata).toEqual({ keyId: "alias/aws/ssm" });
  });

  it("are repeated after another version and after an announced change", async () => {
    await watched("/a");
    rig.aws.descriptions.length = 0;
    rig.aws.put("/a", "2");
    await rig.clock.advance(6 * minute);
    expect(rig.aws.descriptions).toEqual([["a", "/a"]]);
    await rig.observer.announced(identity, "123456789012", "/a");
    await rig.clock.advance(2_000);
    expect(rig.aws.descriptions).toHaveLength(2);
  });

  it("cost under 80 bytes for a parameter without policies", async () => {
    const count = 5_000;
    const add = async (prefix: string) => {
      for (let n = 0; n < count; n++) {
        rig.aws.put(`/${prefix}/p${n}`, "v");
        rig.observer.depend(`ns/${prefix}${n}`, [subscription(parameterOf(identity, `/${prefix}/p${n}`))]);
      }
      await rig.observer.look(
        Array.from({ length: count }, (_, n) => parameterOf(identity, `/${prefix}/p${n}`)),
        "bulk",
      );
    };
    await add("m");
    const before = await heldBytes();
    await rig.clock.advance(5 * minute);
    rig.aws.descriptions.length = 0;
    rig.aws.calls.length = 0;
    expect(policiesOf("/m/p4999")).toBeUndefined();
    expect(entryOf("/m/p4999").state.metadata).toBeDefined();
    expect(((await heldBytes()) - before) / count).toBeLessThan(80);
  }, 60_000);

  it("are retried once an hour in one call while AWS denies them, and resume when AWS allows them", async () => {
    rig.aws.describeFault = () => {
      throw new Failure("AccessDenied", "wait", "somebody may not ssm:DescribeParameters");
    };
    for (let n = 0; n < 120; n++) await watched(`/d${n}`, expiration(rig.clock.now() + 100 * day));
    expect(rig.aws.descriptions).toHaveLength(1);
    expect(rig.observer.expiries.visibilityOf(identity.key)).toMatchObject({ reason: "AccessDenied" });
    rig.aws.descriptions.length = 0;
    await rig.clock.advance(10 * hour);
    expect(rig.aws.descriptions.length).toBeLessThanOrEqual(10);
    expect(rig.seen).toHaveLength(1);
    rig.aws.describeFault = undefined;
    await rig.clock.advance(70 * minute);
    expect(rig.seen).toHaveLength(2);
    expect(rig.observer.expiries.visibilityOf(identity.key)).toBe("seen");
    for (let n = 0; n < 120; n++) expect(policiesOf(`/d${n}`)).toBeDefined();
  });

  it("are retried with backoff after a failure, which does not count as a denial", async () => {
    rig.aws.describeFault = () => {
      throw new Failure("Unreachable", "retry", "no answer");
    };
    await watched("/a", expiration(rig.clock.now() + 100 * day));
    await rig.clock.advance(hour);
    expect(rig.aws.descriptions.length).toBeGreaterThan(3);
    expect(rig.aws.descriptions.length).toBeLessThan(12);
    expect(rig.seen).toEqual([]);
    rig.aws.describeFault = undefined;
    await rig.clock.advance(hour + 10 * minute);
    expect(policiesOf("/a")).toBeDefined();
  });
});

describe("an expiry", () => {
  it("notifies its dependent at its instant, after a look at that instant", async () => {
    const at = rig.clock.now() + hour + 123;
    await watched("/a", expiration(at));
    expect(rig.told.splice(0)).toEqual([{ dependent: "ns/a", lane: "bulk" }]);
    await rig.clock.advance(at - rig.clock.now() - 1);
    rig.aws.descriptions.length = 0;
    expect(isExpired(entryOf("/a").state)).toBe(false);
    await rig.clock.advance(1);
    expect(rig.aws.descriptions).toEqual([["a", "/a"]]);
    expect(isExpired(entryOf("/a").state)).toBe(true);
    expect(rig.told).toContainEqual({ dependent: "ns/a", lane: "event" });
  });

  it("causes one DescribeParameters call for 40 parameters at one instant", async () => {
    const at = rig.clock.now() + hour;
    for (let n = 0; n < 40; n++) {
      rig.aws.put(`/x/p${n}`, "v");
      rig.aws.policies(`/x/p${n}`, expiration(at));
      rig.observer.depend(`ns/s${n}`, [subscription(parameterOf(identity, `/x/p${n}`))]);
      await rig.observer.look([parameterOf(identity, `/x/p${n}`)], "bulk");
    }
    await rig.clock.advance(at - 1 - rig.clock.now());
    rig.aws.descriptions.length = 0;
    await rig.clock.advance(1);
    expect(rig.aws.descriptions.map((call) => call.length)).toEqual([40]);
  });

  it("does not happen if the Expiration was moved or the parameter was replaced meanwhile", async () => {
    const at = rig.clock.now() + 10 * minute;
    await watched("/moved", expiration(at));
    await watched("/replaced", expiration(at));
    rig.aws.policies("/moved", expiration(at + day));
    rig.aws.delete("/replaced");
    rig.aws.put("/replaced", "new");
    await rig.clock.advance(at - rig.clock.now());
    expect(isExpired(entryOf("/moved").state)).toBe(false);
    expect(isExpired(entryOf("/replaced").state)).toBe(false);
    await rig.clock.advance(day);
    expect(isExpired(entryOf("/moved").state)).toBe(true);
  });

  it("ignores a description older than the parameter's latest version, seen or not", async () => {
    const at = rig.clock.now() + 10 * minute;
    for (const name of ["/seen", "/unseen"]) await watched(name, expiration(at));
    const { describeParameters } = identity.ssm;
    const stale = await describeParameters(await permitFor("describe"), { names: ["/seen", "/unseen"] });
    identity.ssm.describeParameters = (permit) => permit.use(async () => stale);
    await rig.clock.advance(at - 5_000 - rig.clock.now());
    for (const name of ["/seen", "/unseen"]) {
      rig.aws.put(name, "new");
      rig.aws.policies(name, expiration(at + day));
    }
    await rig.observer.look([parameterOf(identity, "/seen")], "event");
    await rig.clock.advance(5_500);
    expect(isExpired(entryOf("/seen").state)).toBe(false);
    expect(isExpired(entryOf("/unseen").state)).toBe(false);
    identity.ssm.describeParameters = describeParameters;
    await rig.clock.advance(10 * minute);
    for (const name of ["/seen", "/unseen"]) expect(policiesOf(name)?.expiresAt).toBe(at + day);
    await rig.clock.advance(day);
    expect(isExpired(entryOf("/seen").state)).toBe(true);
    expect(isExpired(entryOf("/unseen").state)).toBe(true);
  });

  it("needs both clocks: does not happen until it has passed by the local clock and AWS's", async () => {
    const at = rig.clock.now() + 10 * minute;
    await watched("/ahead", expiration(at));
    const { describeParameters } = identity.ssm;
    identity.ssm.describeParameters = async (...call) => ({
      ...(await describeParameters(...call)),
      clockAheadMs: -hour,
    });
    await rig.clock.advance(hour);
    expect(isExpired(entryOf("/ahead").state)).toBe(false);
    rig.aws.delete("/ahead");
    await rig.clock.advance(minute);
    expect(isExpired(entryOf("/ahead").state)).toBe(false);
    const expiresAt = rig.clock.now() + 4 * hour;
    identity.ssm.describeParameters = async (...call) => ({
      ...(await describeParameters(...call)),
      clockAheadMs: 5 * hour,
    });
    await watched("/behind", expiration(expiresAt));
    await rig.clock.advance(3 * hour);
    expect(isExpired(entryOf("/behind").state)).toBe(false);
    await rig.clock.advance(hour);
    expect(isExpired(entryOf("/behind").state)).toBe(true);
  });

  it("happens after two answers a minute apart if the local clock is four minutes behind", async () => {
    const { describeParameters } = identity.ssm;
    identity.ssm.describeParameters = async (...call) => ({
      ...(await describeParameters(...call)),
      clockAheadMs: 4 * minute,
    });
    await watched("/behind", expiration(rig.clock.now() + 3 * minute));
    expect(isExpired(entryOf("/behind").state)).toBe(false);
    await rig.clock.advance(50_000);
    expect(isExpired(entryOf("/behind").state)).toBe(false);
    await rig.clock.advance(12_000);
    expect(isExpired(entryOf("/behind").state)).toBe(true);
  });

  it("happens within a minute after the wall clock jumped past it", async () => {
    const at = rig.clock.now() + 5 * hour;
    await watched("/a", expiration(at));
    rig.clock.setAhead(5 * hour);
    await rig.clock.advance(minute);
    expect(isExpired(entryOf("/a").state)).toBe(true);
  });

  it("takes one call to confirm for 40 parameters that AWS deleted at one instant", async () => {
    const at = rig.clock.now() + 10 * minute;
    for (let n = 0; n < 40; n++) await watched(`/m/p${n}`, expiration(at));
    rig.clock.setTimer(() => rig.aws.parameters.clear(), at - 1 - rig.clock.now());
    rig.aws.fault = () => new Promise((resolve) => void rig.clock.setTimer(resolve, 500));
    await rig.clock.advance(at - rig.clock.now() + 900);
    for (let n = 0; n < 40; n++) expect(isExpired(entryOf(`/m/p${n}`).state)).toBe(true);
  });

  it("ends when the next version has a later Expiration", async () => {
    const at = rig.clock.now() + 10 * minute;
    await watched("/a", expiration(at));
    await rig.clock.advance(10 * minute);
    expect(isExpired(entryOf("/a").state)).toBe(true);
    rig.aws.put("/a", "2");
    rig.aws.policies("/a", expiration(at + day));
    await rig.clock.advance(6 * minute);
    expect(isExpired(entryOf("/a").state)).toBe(false);
    expect(policiesOf("/a")?.expiresAt).toBe(at + day);
  });

  it.each(["AccessDenied", "Throttled", "Unreachable"] as const)(
    "does not happen while AWS answers %s, and happens after a later look",
    async (reason) => {
      const at = rig.clock.now() + 10 * minute;
      await watched("/a", expiration(at));
      rig.aws.describeFault = () => {
        throw new Failure(reason, reason === "AccessDenied" ? "wait" : "retry", "no");
      };
      await rig.clock.advance(30 * minute);
      expect(isExpired(entryOf("/a").state)).toBe(false);
      rig.aws.describeFault = undefined;
      await rig.clock.advance(2 * hour);
      expect(isExpired(entryOf("/a").state)).toBe(true);
    },
  );

  it.each(["not yet deleted", "deleted by AWS"])(
    "of 500 parameters at one instant is confirmed in calls of ten (%s)",
    async (state) => {
      rig = observerRig({ limit: 20 });
      identity = rig.aws.identity();
      const at = rig.clock.now() + hour;
      const names = Array.from({ length: 500 }, (_, n) => `/x/p${n}`);
      for (const name of names) {
        rig.aws.put(name, "v");
        rig.aws.policies(name, expiration(at));
        rig.observer.depend(`ns${name}`, [subscription(parameterOf(identity, name), 10 * hour)]);
      }
      void rig.observer.look(
        names.map((name) => parameterOf(identity, name)),
        "bulk",
      );
      await rig.clock.advance(at - 1 - rig.clock.now());
      if (state !== "not yet deleted") rig.aws.parameters.clear();
      rig.aws.calls.length = 0;
      rig.aws.descriptions.length = 0;
      await rig.clock.advance(6_000);
      for (const name of names) expect(isExpired(entryOf(name).state)).toBe(true);
      expect(rig.aws.calls.map(({ operation, decrypt }) => `${operation} ${decrypt}`)).toEqual(
        Array.from({ length: 50 }, () => "GetParameters false"),
      );
      expect(rig.aws.descriptions).toHaveLength(10);
    },
  );

  it("is confirmed for each parameter separately, if others in the call are denied or replaced", async () => {
    const at = rig.clock.now() + 10 * minute;
    const names = ["/a", "/b", "/denied", "/replaced", "/gone"];
    for (const name of names) await watched(name, expiration(at));
    const { describeParameters } = identity.ssm;
    const before = await describeParameters(await permitFor("describe"), { names });
    const found = before.found.filter(({ name }) => name !== "/gone");
    identity.ssm.describeParameters = (permit) => permit.use(async () => ({ ...before, found }));
    await rig.clock.advance(at - 1_500 - rig.clock.now());
    rig.aws.put("/replaced", "new");
    rig.aws.delete("/gone");
    rig.aws.fault = ({ names }) => {
      if (names.includes("/denied")) throw new Failure("AccessDenied", "wait", "somebody may not ssm:GetParameters");
    };
    await rig.clock.advance(2_000);
    const expired = names.filter((name) => isExpired(entryOf(name).state));
    // For a denied parameter there is no second source.
    expect(expired).toEqual(["/a", "/b", "/denied", "/gone"]);
  });

  it("happens if AWS has already deleted the parameter and GetParameters confirms it", async () => {
    const at = rig.clock.now() + 10 * minute;
    await watched("/a", expiration(at));
    rig.clock.setTimer(() => rig.aws.delete("/a"), at - 1 - rig.clock.now());
    await rig.clock.advance(10 * minute);
    expect(isExpired(entryOf("/a").state)).toBe(true);
    expect(rig.aws.calls.at(-1)).toEqual({ operation: "GetParameters", names: ["/a"], decrypt: false });
  });

  it("does not happen to a parameter that was deleted before its Expiration", async () => {
    const at = rig.clock.now() + 20 * minute;
    await watched("/a", expiration(at));
    rig.aws.delete("/a");
    await rig.clock.advance(hour);
    expect(isExpired(entryOf("/a").state)).toBe(false);
    expect(entryOf("/a").state.missing?.stage).toBe("gone");
  });

  it("happens to each member of a path separately", async () => {
    const at = rig.clock.now() + 10 * minute;
    for (const name of ["/p/a", "/p/b"]) rig.aws.put(name, "v");
    rig.aws.policies("/p/a", expiration(at));
    const path = pathOf(identity, "/p");
    rig.observer.depend("ns/one", [subscription(path)]);
    await rig.observer.look([path], "bulk");
    await rig.clock.advance(10 * minute);
    const { members } = rig.observer.entry(path)!;
    expect([...members].map(([name, state]) => [name, isExpired(state)])).toEqual([
      ["/p/a", true],
      ["/p/b", false],
    ]);
  });

  it("recorded in a status causes a look for its own resource, and is not believed without it", async () => {
    rig.aws.put("/a", "v");
    const reference = parameterOf(identity, "/a");
    rig.observer.depend("ns/one", [subscription(reference)]);
    await rig.observer.settle([reference], "bulk", { all: false, past: pastOf("/a") });
    expect(rig.aws.descriptions).toHaveLength(1);
    expect(isExpired(entryOf("/a").state)).toBe(false);
    expect(policiesOf("/a")).toBeUndefined();
  });
});

/** A status that records an expired parameter. */
function pastOf(name: string): Map<string, Set<string>> {
  return new Map([[referenceKey(parameterOf(identity, name)), new Set([name])]]);
}

it("expiries recorded in 300 statuses take fewer than 60 calls at a start, though they arrive one by one", async () => {
  const count = 300;
  for (let n = 0; n < count; n++) {
    rig.aws.put(`/s/p${n}`, "v");
    rig.aws.policies(`/s/p${n}`, expiration(rig.clock.now() - day));
  }
  for (let n = 0; n < count; n++) {
    const name = `/s/p${n}`;
    rig.observer.depend(`ns/s${n}`, [subscription(parameterOf(identity, name))]);
    void rig.observer.settle([parameterOf(identity, name)], "bulk", { all: false, past: pastOf(name) });
    await rig.clock.advance(1);
  }
  await rig.clock.advance(minute);
  for (let n = 0; n < count; n++) expect(isExpired(entryOf(`/s/p${n}`).state)).toBe(true);
  expect(rig.aws.descriptions.length).toBeLessThan(60);
});

describe("for a dependent that acts on expiries", () => {
  const acting = (name: string) => ({ ...subscription(parameterOf(identity, name)), actsOnExpiry: true });

  it("describes a reappeared parameter before it notifies the dependent", async () => {
    rig.aws.put("/a", "v");
    rig.observer.depend("ns/one", [acting("/a")]);
    await rig.observer.look([parameterOf(identity, "/a")], "bulk");
    rig.aws.delete("/a");
    await rig.clock.advance(15 * minute);
    expect(entryOf("/a").state.missing?.stage).toBe("gone");
    rig.aws.put("/a", "v2");
    rig.aws.policies("/a", expiration(rig.clock.now() - minute));
    rig.told.length = 0;
    const look = rig.observer.look([parameterOf(identity, "/a")], "bulk");
    await look;
    expect(rig.told).toHaveLength(1);
    expect(isExpired(entryOf("/a").state)).toBe(true);
  });

  it("describes only the new member of a path before it notifies the dependent", async () => {
    for (const name of ["/p/a", "/p/b"]) rig.aws.put(name, "v");
    const path = pathOf(identity, "/p");
    rig.observer.depend("ns/one", [{ ...subscription(path), actsOnExpiry: true }]);
    await rig.observer.look([path], "bulk");
    await rig.clock.advance(2_000);
    rig.aws.descriptions.length = 0;
    rig.aws.put("/p/c", "v");
    rig.aws.policies("/p/c", expiration(rig.clock.now() - minute));
    await rig.observer.look([path], "bulk");
    expect(rig.aws.descriptions).toEqual([["/p/c"]]);
    expect(isExpired(rig.observer.entry(path)!.members.get("/p/c")!)).toBe(true);
  });

  it("waits two seconds for a description, and notifies the dependent when it arrives later", async () => {
    let answer: (() => void) | undefined;
    rig.aws.put("/a", "v");
    rig.aws.policies("/a", expiration(rig.clock.now() - minute));
    rig.aws.describeFault = () => new Promise((resolve) => (answer = resolve));
    rig.observer.depend("ns/one", [acting("/a")]);
    let isOver = false;
    void rig.observer.settle([parameterOf(identity, "/a")], "interactive", { all: true }).then(() => (isOver = true));
    await rig.clock.advance(1_900);
    expect(isOver).toBe(false);
    await rig.clock.advance(200);
    expect(isOver).toBe(true);
    expect(rig.told).toEqual([]);
    answer!();
    await rig.clock.advance(10);
    expect(rig.told).toEqual([{ dependent: "ns/one", lane: "event" }]);
  });

  it("describes nothing before the first look unless requested", async () => {
    rig.aws.put("/a", "v");
    rig.observer.depend("ns/one", [subscription(parameterOf(identity, "/a"))]);
    await rig.observer.settle([parameterOf(identity, "/a")], "interactive", { all: false });
    expect(rig.aws.descriptions).toEqual([]);
  });
});

describe("a warning of a policy", () => {
  it("notifies the dependent a day before the expiry, without a call", async () => {
    const at = rig.clock.now() + 3 * day;
    await watched("/a", expiration(at));
    rig.told.length = 0;
    await rig.clock.advance(2 * day - 10_000);
    expect(rig.told).toEqual([]);
    await rig.clock.advance(10_000);
    expect(rig.told).toEqual([{ dependent: "ns/a", lane: "bulk" }]);
  });

  it("notifies the dependent when the parameter was unchanged for too long", async () => {
    await watched("/a", noChange(2));
    rig.told.length = 0;
    await rig.clock.advance(2 * hour);
    expect(rig.told).toEqual([{ dependent: "ns/a", lane: "bulk" }]);
  });
});

it("removed entries leave no expiry timers behind", async () => {
  for (let n = 0; n < 200; n++) {
    await watched(`/a${n}`, expiration(rig.clock.now() + 1_000 * day));
    rig.observer.depend(`ns/a${n}`, []);
  }
  await rig.clock.advance(6 * minute);
  expect(rig.clock.pending).toBe(0);
});
