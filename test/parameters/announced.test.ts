import { beforeEach, describe, expect, it } from "vitest";
import type { Identity } from "../../src/aws/identity.ts";
import type { Reference } from "../../src/parameters/read/reference.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { type ObserverRig, observerRig, parameterOf, pathOf, subscription } from "../support/observer.ts";

const minute = 60_000;
const account = "123456789012";
let rig: ObserverRig;
let identity: Identity;

beforeEach(() => {
  rig = observerRig();
  identity = rig.aws.identity();
});

const parameter = (name: string, selector = "") => parameterOf(identity, name, selector);
/** @returns the dependents, if AWS serves something else than before; otherwise none */
const announce = async (name: string, from = account): Promise<readonly string[]> => {
  const { changed, dependants } = await rig.observer.announced(identity, from, name);
  return changed ? dependants : [];
};

/** Makes `ns/<index>` depend on each reference, looks at all, and clears the recorded calls. */
async function observe(...references: Reference[]): Promise<void> {
  const { observer, aws } = rig;
  for (const [i, reference] of references.entries()) observer.depend(`ns/${i}`, [subscription(reference)]);
  await observer.look(references, "bulk");
  aws.calls.length = 0;
}

describe("an announced change", () => {
  it("causes one look without decryption and notifies the dependents in the event lane", async () => {
    rig.aws.put("/a", "1");
    await observe(parameter("/a"));
    rig.aws.put("/a", "2");
    expect(await announce("/a")).toEqual(["ns/0"]);
    expect(rig.aws.calls).toEqual([{ operation: "GetParameters", names: ["/a"], decrypt: false }]);
    expect(rig.told).toEqual([{ dependent: "ns/0", lane: "event" }]);
  });

  it("causes a look at every selector of the name, with or without a leading slash", async () => {
    for (const name of ["/plain", "bare"]) {
      rig.aws.put(name, "1");
      rig.aws.label(name, "prod", 1);
    }
    await observe(parameter("/plain"), parameter("/plain", ":prod"), parameter("/plain", ":1"), parameter("bare"));
    await announce("plain");
    expect(rig.aws.calls.flatMap(({ names }) => names).sort()).toEqual(["/plain", "/plain:1", "/plain:prod"]);
    rig.aws.calls.length = 0;
    await rig.clock.advance(1_000);
    await announce("/bare");
    expect(rig.aws.calls.flatMap(({ names }) => names)).toEqual(["bare"]);
  });

  it("causes a look at an ARN of the same account and region only", async () => {
    const arn = (region: string, of: string) => `arn:aws:ssm:${region}:${of}:parameter/a/b`;
    const theirs = arn("eu-west-1", "999999999999");
    await observe(parameter(arn("eu-west-1", account)), parameter(arn("us-east-1", account)), parameter(theirs));
    const looked = async (from: string) => {
      const before = ["eu-west-1", "us-east-1"].map((region) => parameter(arn(region, account)));
      const all = [...before, parameter(theirs)];
      await rig.clock.advance(10_000);
      const now = rig.clock.monotonic();
      await announce("/a/b", from);
      return all.map((reference) => rig.observer.entry(reference)!.hintedAt === now);
    };
    expect(await looked(account)).toEqual([true, false, false]);
    expect(await looked("999999999999")).toEqual([false, false, true]);
  });

  it("causes a look at the paths above the parameter only", async () => {
    rig.aws.put("/app/a/x", "1");
    const paths = ["/app", "/app/a/", "/", "/app/a/x", "/ap", "/other"].map((path) => pathOf(identity, path));
    await observe(...paths);
    const now = rig.clock.monotonic();
    await announce("/app/a/x");
    const hinted = paths.filter((path) => rig.observer.entry(path)!.hintedAt === now).map(({ path }) => path);
    expect(hinted).toEqual(["/app", "/app/a/", "/"]);
  });

  it("causes no look for another identity", async () => {
    rig.aws.put("/a", "1");
    const other = rig.aws.identity("other", "eu-west-1", account);
    await observe(parameterOf(other, "/a"));
    expect(await announce("/a")).toEqual([]);
    expect(rig.aws.calls).toEqual([]);
  });

  it("causes at most five looks when announced fifty times in a second, and sees the last version", async () => {
    rig.aws.put("/a", "0");
    await observe(parameter("/a"));
    const all: Promise<unknown>[] = [];
    for (let i = 1; i <= 50; i++) {
      rig.aws.put("/a", String(i));
      all.push(announce("/a"));
      await rig.clock.advance(20);
    }
    await rig.clock.advance(1_000);
    await Promise.all(all);
    expect(rig.aws.calls.length).toBeLessThanOrEqual(5);
    expect(rig.observer.entry(parameter("/a"))!.state.stamp?.version).toBe(51);
  });

  it("causes one more look after the one in flight", async () => {
    rig.aws.put("/a", "1");
    await observe(parameter("/a"));
    const gates: (() => void)[] = [];
    rig.aws.fault = () => new Promise((resolve) => gates.push(resolve));
    const first = announce("/a");
    await rig.clock.advance(10);
    const second = announce("/a");
    const third = announce("/a");
    await rig.clock.advance(1_000);
    expect(rig.aws.calls).toHaveLength(1);
    gates.pop()!();
    await rig.clock.advance(1);
    expect(rig.aws.calls).toHaveLength(2);
    rig.aws.put("/a", "2");
    gates.pop()!();
    expect(await first).toEqual([]);
    expect(await second).toEqual(["ns/0"]);
    expect(await third).toEqual(["ns/0"]);
  });

  it.each([
    ["fails", new Failure("Unreachable", "retry", "no answer")],
    ["sees no change", undefined],
  ])("causes another look after 5 s if the first look %s", async (_, failure) => {
    rig.aws.put("/a", "1");
    await observe(parameter("/a"));
    rig.aws.fault = () => {
      if (failure) throw failure;
    };
    expect(await announce("/a")).toEqual([]);
    rig.aws.fault = undefined;
    rig.aws.put("/a", "2");
    rig.aws.calls.length = 0;
    await rig.clock.advance(4_900);
    expect(rig.aws.calls).toEqual([]);
    await rig.clock.advance(200);
    expect(rig.aws.calls).toHaveLength(1);
    expect(rig.told.map(({ dependent }) => dependent)).toEqual(["ns/0"]);
  });

  it("notifies twenty or more dependents in the bulk lane, so that they do not delay interactive work", async () => {
    rig.aws.put("/a", "1");
    for (let i = 0; i < 20; i++) rig.observer.depend(`ns/${i}`, [subscription(parameter("/a"))]);
    await rig.observer.look([parameter("/a")], "bulk");
    rig.aws.put("/a", "2");
    expect(await announce("/a")).toHaveLength(20);
    expect(new Set(rig.told.map(({ lane }) => lane))).toEqual(new Set(["bulk"]));
    rig.observer.depend("ns/0", []);
    rig.told.length = 0;
    rig.aws.put("/a", "3");
    await rig.clock.advance(1_000);
    expect(await announce("/a")).toHaveLength(19);
    expect(new Set(rig.told.map(({ lane }) => lane))).toEqual(new Set(["event"]));
  });

  it("leaves no timer and no entry when the last dependent goes during the look", async () => {
    rig.aws.put("/a", "1");
    await observe(parameter("/a"));
    rig.aws.fault = () => new Promise((resolve) => rig.clock.setTimer(resolve, 100));
    void announce("/a");
    void announce("/a");
    await rig.clock.advance(50);
    rig.observer.depend("ns/0", []);
    await rig.clock.advance(10 * minute);
    expect(rig.clock.pending).toBe(0);
    expect(rig.observer.entry(parameter("/a"))).toBeUndefined();
  });
});

describe("polls of announced references", () => {
  it("have ten times the interval, until replan restores the base interval", async () => {
    rig.announces = () => true;
    rig.aws.put("/a", "1");
    await observe(parameter("/a"));
    await rig.clock.advance(50 * minute);
    rig.aws.calls.length = 0;
    await rig.clock.advance(500 * minute);
    expect(rig.aws.calls.length).toBeGreaterThanOrEqual(9);
    expect(rig.aws.calls.length).toBeLessThanOrEqual(11);
    rig.announces = () => false;
    rig.observer.replan(identity.key);
    rig.aws.calls.length = 0;
    await rig.clock.advance(5 * minute);
    expect(rig.aws.calls).toHaveLength(1);
    await rig.clock.advance(50 * minute);
    expect(rig.aws.calls.length).toBeGreaterThanOrEqual(10);
  });

  it("are never postponed by replan, which leaves other identities alone", async () => {
    const other = rig.aws.identity("other");
    for (const name of ["/a", "/b"]) rig.aws.put(name, "1");
    await observe(parameter("/a"), parameterOf(other, "/b"));
    const dueOf = (reference: Reference) => rig.observer.entry(reference)!.dueAt;
    const [mine, theirs] = [dueOf(parameter("/a")), dueOf(parameterOf(other, "/b"))];
    rig.announces = () => true;
    rig.observer.replan(identity.key);
    expect([dueOf(parameter("/a")), dueOf(parameterOf(other, "/b"))]).toEqual([mine, theirs]);
    await rig.clock.advance(5 * minute);
    const [far, theirsThen] = [dueOf(parameter("/a")), dueOf(parameterOf(other, "/b"))];
    rig.announces = () => false;
    rig.observer.replan(identity.key);
    expect(dueOf(parameter("/a"))).toBeLessThan(far);
    expect(dueOf(parameterOf(other, "/b"))).toBe(theirsThen);
  });

  it("keep the base interval while AWS is unreachable", async () => {
    rig.announces = () => true;
    rig.aws.put("/a", "1");
    await observe(parameter("/a"));
    rig.aws.fault = () => {
      throw new Failure("Unreachable", "retry", "no answer");
    };
    await rig.clock.advance(50 * minute);
    rig.aws.calls.length = 0;
    await rig.clock.advance(60 * minute);
    expect(rig.aws.calls.length).toBeGreaterThan(6);
  });

  it("report a missed announcement when they find a change", async () => {
    rig.announces = () => true;
    rig.aws.put("/a", "1");
    await observe(parameter("/a"));
    rig.aws.put("/a", "2");
    await rig.clock.advance(50 * minute);
    expect(rig.missed).toEqual([parameter("/a")]);
  });

  it("report a missed announcement of a deleted parameter and of a new member of a path", async () => {
    rig.announces = () => true;
    for (const name of ["/a", "/app/x"]) rig.aws.put(name, "1");
    await observe(parameter("/a"), pathOf(identity, "/app"));
    rig.aws.delete("/a");
    rig.aws.put("/app/y", "1");
    await rig.clock.advance(50 * minute);
    expect(rig.missed).toHaveLength(2);
  });

  it("report nothing for unannounced references, or for changes announced within the last minute", async () => {
    rig.announces = (reference) => reference.kind === "parameter" && reference.name !== "/quiet";
    for (const name of ["/a", "/quiet"]) rig.aws.put(name, "1");
    await observe(parameter("/a"), parameter("/quiet"));
    // The announcement arrives before the change is visible; the repeated look finds it.
    await announce("/a");
    rig.aws.put("/a", "2");
    rig.aws.put("/quiet", "2");
    await rig.clock.advance(50 * minute);
    expect(rig.told.map(({ dependent }) => dependent).sort()).toEqual(["ns/0", "ns/1"]);
    expect(rig.missed).toEqual([]);
  });

  it("report nothing when an announced deletion is confirmed, or when AWS begins to deny", async () => {
    rig.announces = () => true;
    for (const name of ["/a", "/b"]) rig.aws.put(name, "1");
    await observe(parameter("/a"), parameter("/b"));
    rig.aws.delete("/a");
    await announce("/a");
    await rig.clock.advance(20 * minute);
    expect(rig.observer.entry(parameter("/a"))!.state.missing?.stage).toBe("gone");
    rig.aws.fault = () => {
      throw new Failure("AccessDenied", "wait", "denied");
    };
    await rig.clock.advance(60 * minute);
    expect(rig.observer.entry(parameter("/b"))!.failure).toBeDefined();
    expect(rig.missed).toEqual([]);
  });
});

describe("a change with 1,000 dependents", () => {
  it("costs one look, one read and 1,000 notifications, and its values are dropped at the end", async () => {
    rig.aws.put("/a", "1");
    for (let i = 0; i < 1_000; i++) rig.observer.depend(`ns${i}/s`, [subscription(parameter("/a"))]);
    await rig.observer.look([parameter("/a")], "bulk");
    rig.aws.calls.length = 0;
    rig.aws.put("/a", "2");
    const told = await announce("/a");
    expect(new Set(told).size).toBe(1_000);
    expect(rig.told).toHaveLength(1_000);
    const read = (key: string) => rig.observer.values(parameter("/a"), "bulk", { namespace: key.split("/")[0]! });
    const early = told.slice(0, 300).map(read);
    await Promise.all(early);
    const reads = [...early, ...told.slice(300).map(read)];
    for (const values of await Promise.all(reads)) {
      expect(values.state === "values" && values.values.get("/a")?.version).toBe(2);
    }
    expect(rig.aws.calls.map(({ decrypt }) => decrypt)).toEqual([false, true]);
    expect(rig.told).toHaveLength(1_000);
    expect(rig.observer.valuesHeld).toBe(1);
    rig.observer.dropValues();
    expect(rig.observer.valuesHeld).toBe(0);
  });
});
