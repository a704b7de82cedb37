import { beforeEach, describe, expect, it } from "vitest";
import type { Identity } from "../../src/aws/identity.ts";
import { isExpired } from "../../src/parameters/cache-entry.ts";
import { referenceKey } from "../../src/parameters/reference.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { heldBytes } from "../support/heap.ts";
import { type ObserverRig, observerRig, parameterOf, pathOf, subscription } from "../support/observer.ts";

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

/** A parameter that somebody depends on, described. */
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
  it("come after what is being synced, but wait for a minute at most", async () => {
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

  it("are asked for fifty a call after the first look, then once an hour, and tell nobody of keys alone", async () => {
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

  it("are asked for again when there is another version, and when AWS announces a change", async () => {
    await watched("/a");
    rig.aws.descriptions.length = 0;
    rig.aws.put("/a", "2");
    await rig.clock.advance(6 * minute);
    expect(rig.aws.descriptions).toEqual([["a", "/a"]]);
    await rig.observer.announced(identity, "123456789012", "/a");
    await rig.clock.advance(2_000);
    expect(rig.aws.descriptions).toHaveLength(2);
  });

  it("cost a parameter without policies nothing but a place for them", async () => {
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

  it("that AWS denies are asked for once an hour by one call, and are seen again by themselves", async () => {
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

  it("that fail are tried again, rarer and rarer, and are no denial", async () => {
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
  it("is told at its instant, not before, after a look at that instant", async () => {
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

  it("is one call for many at one instant", async () => {
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

  it("that was moved meanwhile is none, and neither is that of a parameter that was replaced", async () => {
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

  it("that a description tells which is older than what has been seen, or is there, does not count", async () => {
    const at = rig.clock.now() + 10 * minute;
    for (const name of ["/seen", "/unseen"]) await watched(name, expiration(at));
    const { describeParameters } = identity.ssm;
    const stale = await describeParameters({ names: ["/seen", "/unseen"] });
    identity.ssm.describeParameters = async () => stale;
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

  it("needs both clocks: none is acted on while ours, or AWS's, says that it has not passed", async () => {
    const at = rig.clock.now() + 10 * minute;
    await watched("/ahead", expiration(at));
    const { describeParameters } = identity.ssm;
    identity.ssm.describeParameters = async (query) => ({ ...(await describeParameters(query)), clockAheadMs: -hour });
    await rig.clock.advance(hour);
    expect(isExpired(entryOf("/ahead").state)).toBe(false);
    rig.aws.delete("/ahead");
    await rig.clock.advance(minute);
    expect(isExpired(entryOf("/ahead").state)).toBe(false);
    const expiresAt = rig.clock.now() + 4 * hour;
    identity.ssm.describeParameters = async (query) => ({
      ...(await describeParameters(query)),
      clockAheadMs: 5 * hour,
    });
    await watched("/behind", expiration(expiresAt));
    await rig.clock.advance(3 * hour);
    expect(isExpired(entryOf("/behind").state)).toBe(false);
    await rig.clock.advance(hour);
    expect(isExpired(entryOf("/behind").state)).toBe(true);
  });

  it("is believed by two answers a minute apart where our clock is behind by minutes", async () => {
    const { describeParameters } = identity.ssm;
    identity.ssm.describeParameters = async (query) => ({
      ...(await describeParameters(query)),
      clockAheadMs: 4 * minute,
    });
    await watched("/behind", expiration(rig.clock.now() + 3 * minute));
    expect(isExpired(entryOf("/behind").state)).toBe(false);
    await rig.clock.advance(50_000);
    expect(isExpired(entryOf("/behind").state)).toBe(false);
    await rig.clock.advance(12_000);
    expect(isExpired(entryOf("/behind").state)).toBe(true);
  });

  it("is told within a minute of its instant by a clock that was set, as after a machine's sleep", async () => {
    const at = rig.clock.now() + 5 * hour;
    await watched("/a", expiration(at));
    rig.clock.setAhead(5 * hour);
    await rig.clock.advance(minute);
    expect(isExpired(entryOf("/a").state)).toBe(true);
  });

  it("is told within the time of one call where AWS has deleted many at one instant", async () => {
    const at = rig.clock.now() + 10 * minute;
    for (let n = 0; n < 40; n++) await watched(`/m/p${n}`, expiration(at));
    rig.clock.setTimer(() => rig.aws.parameters.clear(), at - 1 - rig.clock.now());
    rig.aws.fault = () => new Promise((resolve) => void rig.clock.setTimer(resolve, 500));
    await rig.clock.advance(at - rig.clock.now() + 900);
    for (let n = 0; n < 40; n++) expect(isExpired(entryOf(`/m/p${n}`).state)).toBe(true);
  });

  it("is over with the next version that expires later", async () => {
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
    "is not believed on %s, and is looked at again",
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

  it.each(["past, and still there", "carried out by AWS"])(
    "of 500 parameters at one instant is confirmed by a call for ten of them (%s)",
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
      if (state !== "past, and still there") rig.aws.parameters.clear();
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

  it("is confirmed of each by itself, where others of its call are denied or have been replaced", async () => {
    const at = rig.clock.now() + 10 * minute;
    const names = ["/a", "/b", "/denied", "/replaced", "/gone"];
    for (const name of names) await watched(name, expiration(at));
    const { describeParameters } = identity.ssm;
    const before = await describeParameters({ names });
    const found = before.found.filter(({ name }) => name !== "/gone");
    identity.ssm.describeParameters = async () => ({ ...before, found });
    await rig.clock.advance(at - 1_500 - rig.clock.now());
    rig.aws.put("/replaced", "new");
    rig.aws.delete("/gone");
    rig.aws.fault = ({ names }) => {
      if (names.includes("/denied")) throw new Failure("AccessDenied", "wait", "somebody may not ssm:GetParameters");
    };
    await rig.clock.advance(2_000);
    const expired = names.filter((name) => isExpired(entryOf(name).state));
    // Who may list parameters only has no other word on one.
    expect(expired).toEqual(["/a", "/b", "/denied", "/gone"]);
  });

  it("that AWS has carried out by then counts, by the word of GetParameters", async () => {
    const at = rig.clock.now() + 10 * minute;
    await watched("/a", expiration(at));
    rig.clock.setTimer(() => rig.aws.delete("/a"), at - 1 - rig.clock.now());
    await rig.clock.advance(10 * minute);
    expect(isExpired(entryOf("/a").state)).toBe(true);
    expect(rig.aws.calls.at(-1)).toEqual({ operation: "GetParameters", names: ["/a"], decrypt: false });
  });

  it("does not count for what somebody deleted before", async () => {
    const at = rig.clock.now() + 20 * minute;
    await watched("/a", expiration(at));
    rig.aws.delete("/a");
    await rig.clock.advance(hour);
    expect(isExpired(entryOf("/a").state)).toBe(false);
    expect(entryOf("/a").state.missing?.stage).toBe("gone");
  });

  it("is seen of the members of a path, each by itself", async () => {
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

  it("that a status tells of is looked at for its own resource where it has passed, and is only a word until then", async () => {
    rig.aws.put("/a", "v");
    const reference = parameterOf(identity, "/a");
    rig.observer.depend("ns/one", [subscription(reference)]);
    await rig.observer.settle([reference], "bulk", { all: false, past: pastOf("/a") });
    expect(rig.aws.descriptions).toHaveLength(1);
    expect(isExpired(entryOf("/a").state)).toBe(false);
    expect(policiesOf("/a")).toBeUndefined();
  });
});

/** What a status says to have expired. */
function pastOf(name: string): Map<string, Set<string>> {
  return new Map([[referenceKey(parameterOf(identity, name)), new Set([name])]]);
}

it("what statuses tell to have expired is looked at in few calls at a start, one by one though it comes", async () => {
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

describe("where something is done about expiries", () => {
  const acting = (name: string) => ({ ...subscription(parameterOf(identity, name)), actsOnExpiry: true });

  it("what comes back after it had gone is looked at before anybody is told", async () => {
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

  it("a member that is new is looked at before anybody is told, and others are not", async () => {
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

  it("a look that takes too long is not waited for, and what it shows is told", async () => {
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

  it("nothing is described before a first look that nobody asks of it", async () => {
    rig.aws.put("/a", "v");
    rig.observer.depend("ns/one", [subscription(parameterOf(identity, "/a"))]);
    await rig.observer.settle([parameterOf(identity, "/a")], "interactive", { all: false });
    expect(rig.aws.descriptions).toEqual([]);
  });
});

describe("a warning", () => {
  it("is told of a day before the expiry, without a call", async () => {
    const at = rig.clock.now() + 3 * day;
    await watched("/a", expiration(at));
    rig.told.length = 0;
    await rig.clock.advance(2 * day - 10_000);
    expect(rig.told).toEqual([]);
    await rig.clock.advance(10_000);
    expect(rig.told).toEqual([{ dependent: "ns/a", lane: "bulk" }]);
  });

  it("is told of when nothing has changed for too long", async () => {
    await watched("/a", noChange(2));
    rig.told.length = 0;
    await rig.clock.advance(2 * hour);
    expect(rig.told).toEqual([{ dependent: "ns/a", lane: "bulk" }]);
  });
});

it("entries that come and go with expiries far away leave nothing behind", async () => {
  for (let n = 0; n < 200; n++) {
    await watched(`/a${n}`, expiration(rig.clock.now() + 1_000 * day));
    rig.observer.depend(`ns/a${n}`, []);
  }
  await rig.clock.advance(6 * minute);
  expect(rig.clock.pending).toBe(0);
});
