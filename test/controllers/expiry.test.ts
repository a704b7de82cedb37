import { afterEach, describe, expect, it } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { costsOf, nothing } from "./costs.ts";
import { one, refused, steady } from "./trials.ts";
import { makeWorld, type World } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "expiry");
const { aws } = world;
const second = 1_000;
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const iso = (at: number) => new Date(at).toISOString();
const expiration = (at: number) => ({ Type: "Expiration", Version: "1.0", Attributes: { Timestamp: iso(at) } });
const notice = (Before: string, Unit = "Hours") => ({
  Type: "ExpirationNotification",
  Version: "1.0",
  Attributes: { Before, Unit },
});
const noChange = (After: string) => ({
  Type: "NoChangeNotification",
  Version: "1.0",
  Attributes: { After, Unit: "Hours" },
});

async function put(name: string, value: string, ...policies: object[]): Promise<void> {
  await putIn(world, name, value, ...policies);
}
async function putIn({ aws }: World, name: string, value: string, ...policies: object[]): Promise<void> {
  const tier = { tier: "Advanced", policies: JSON.stringify(policies) } as const;
  await aws.putParameter({ name, value, type: "SecureString", ...tier });
}
const conditionOf = async (name: string, type: string, from = world) =>
  (await from.synced(name)).status?.conditions?.find((condition) => condition.type === type);
const connectionCondition = async () => {
  const text = await world.kubectl(["get", "clusterawsconnection", world.namespace, "-o", "json"]);
  const { status } = JSON.parse(text) as { status: { conditions: { type: string; message: string }[] } };
  return status.conditions.find(({ type }) => type === "ExpiryUnknown");
};
const expirations = async () => (await world.metrics.expiration.get()).values;
/** Advances to an instant minus the leading steps, and runs what is due. */
const until = async (at: number) => world.pass(at - world.clock.now(), 1);
const eventsOf = async (from: World, name: string, reason: string) => {
  await from.engine.recorder.flush();
  const list = JSON.parse(await from.kubectl(["get", "events.v1.events.k8s.io", "-o", "json"])) as {
    items: { regarding: { name: string }; reason: string; note: string; type: string }[];
  };
  return list.items.filter((event) => event.regarding.name === name && event.reason === reason);
};

afterEach(() => {
  aws.allowAll();
  aws.clearFaults();
});

describe("an expiring parameter", () => {
  it("is in the status with its instant and key, and in the metric, until it is gone", async () => {
    const at = world.clock.now() + 20 * day;
    await put("/seen/a", "v", expiration(at));
    await aws.putParameter({ name: "/seen/b", value: "v" });
    await world.apply("seen", { data: [one("A", "/seen/a"), one("B", "/seen/b")] });
    await world.sync();
    await world.pass(5 * second);
    const { status } = await world.synced("seen");
    expect(status?.sources).toMatchObject([
      { name: "/seen/a", expiresAt: iso(at), keyId: "alias/aws/ssm" },
      { name: "/seen/b" },
    ]);
    expect(status?.sources?.[1]).not.toHaveProperty("expiresAt");
    expect(status?.nextExpiryTime).toBe(iso(at));
    expect(await world.ready("seen")).toMatchObject({ status: "True" });
    const labels = { namespace: world.namespace, name: "seen" };
    expect(await expirations()).toEqual([{ labels, value: at / 1_000 }]);
    await world.deleteSynced("seen");
    await world.sync();
    expect(await expirations()).toEqual([]);
  });

  it("costs nothing at a restart without changes, and stays reported", async () => {
    await put("/restarted", "v", expiration(world.clock.now() + 20 * day), noChange("1"));
    await world.apply("restarted", { data: [one("A", "/restarted")], refresh: { whenExpired: "DeleteKeys" } });
    await world.sync();
    await world.pass(2 * hour);
    expect(await conditionOf("restarted", "RotationDue")).toMatchObject({ status: "True" });
    const before = (await world.synced("restarted")).status;
    const costs = await costsOf(cluster, world);
    await world.restart();
    await world.sync();
    expect(await costs()).toMatchObject({ ...nothing, looks: 0 });
    await world.pass(2 * hour, 20);
    expect(await costs()).toMatchObject({ ...nothing, looks: expect.any(Number) });
    expect((await world.synced("restarted")).status).toEqual(before);
    await world.deleteSynced("restarted");
  });
});

describe("at its expiry", () => {
  it("five in one minute act within a second, each at its own instant and not before", async () => {
    const start = world.clock.now() + hour;
    const instants = [0, 12, 24, 36, 48].map((seconds) => start + seconds * second);
    for (const [n, at] of instants.entries()) {
      await put(`/five/p${n}`, "v", expiration(at));
      await aws.putParameter({ name: `/five/stays${n}`, value: "stays" });
      const data = [one("GOES", `/five/p${n}`), one("STAYS", `/five/stays${n}`)];
      await world.apply(`five${n}`, { data, refresh: { whenExpired: "DeleteKeys" } });
    }
    await world.sync();
    for (const [n, at] of instants.entries()) {
      await until(at - 1);
      expect(await world.data(`five${n}`)).toEqual({ GOES: "v", STAYS: "stays" });
      await until(at + second);
      expect(await world.data(`five${n}`)).toEqual({ STAYS: "stays" });
      expect((await world.ready(`five${n}`)).message).toContain(
        `left out because they are deleted or expired: /five/p${n}`,
      );
    }
  });

  it("Retain keeps the Secret, and reports since when and what to do, whether or not AWS has deleted the parameter", async () => {
    const at = world.clock.now() + hour;
    await put("/retain", "good", expiration(at));
    await world.apply("retain", { data: [one("A", "/retain")] });
    await world.sync();
    const good = await world.secret("retain");
    await until(at);
    const says = ["data[0] (A): /retain at ", "put versions with a later Expiration"];
    const message = await refused(world, "retain", "Expired", says);
    expect(message).not.toContain("good");
    await aws.deleteParameter("/retain");
    await world.pass(hour);
    expect(await refused(world, "retain", "Expired")).toBe(message);
    expect(await world.secret("retain")).toEqual(good);
    await steady(world, "retain");
    await put("/retain", "renewed", expiration(world.clock.now() + 20 * day));
    await world.pass(11 * minute);
    expect(await world.ready("retain")).toMatchObject({ status: "True", reason: "Synced" });
    expect(await world.data("retain")).toEqual({ A: "renewed" });
  });

  it("DeleteKeys removes the keys, across a restart too, and a renewed parameter restores them", async () => {
    const at = world.clock.now() + hour;
    await put("/keys/a", "a", expiration(at));
    await put("/keys/b", "b");
    const dataFrom = [{ path: { name: "/keys" } }];
    await world.apply("keys", { dataFrom, data: [one("ONE", "/keys/a")], refresh: { whenExpired: "DeleteKeys" } });
    await world.sync();
    expect(await world.data("keys")).toEqual({ a: "a", b: "b", ONE: "a" });
    await until(at);
    expect(await world.data("keys")).toEqual({ b: "b" });
    await world.pass(20 * minute);
    await steady(world, "keys");
    expect(await world.data("keys"), "it is still there, and expired").toEqual({ b: "b" });
    await aws.deleteParameter("/keys/a");
    await world.pass(20 * minute);
    expect(await world.data("keys")).toEqual({ b: "b" });
    await put("/keys/a", "new", expiration(world.clock.now() + 20 * day));
    await world.pass(11 * minute);
    expect(await world.data("keys")).toEqual({ a: "new", b: "b", ONE: "new" });
  });

  it("DeleteSecret removes the Secret, and it is not recreated before the parameter is renewed", async () => {
    const at = world.clock.now() + hour;
    await put("/gone/a", "a", expiration(at));
    await put("/gone/b", "b");
    await world.apply("gone", { dataFrom: [{ path: { name: "/gone" } }], refresh: { whenExpired: "DeleteSecret" } });
    await world.sync();
    await until(at);
    expect(await world.secret("gone")).toBeUndefined();
    await refused(world, "gone", "Expired", ["/gone/a", "the Secret is deleted"]);
    await world.restart();
    await world.pass(11 * minute);
    expect(await world.secret("gone"), "it is still there, and expired").toBeUndefined();
    await aws.deleteParameter("/gone/a");
    await world.restart();
    await world.pass(20 * minute);
    expect(await world.secret("gone"), "AWS has deleted it").toBeUndefined();
    await refused(world, "gone", "Expired", ["/gone/a"]);
    await put("/gone/a", "new");
    await world.pass(11 * minute);
    expect(await world.data("gone")).toEqual({ a: "new", b: "b" });
  });

  it("an expiry during downtime is handled after the restart", async () => {
    const at = world.clock.now() + hour;
    const policies = ["Retain", "DeleteKeys", "DeleteSecret"] as const;
    for (const whenExpired of policies) {
      const name = `slept-${whenExpired.toLowerCase()}`;
      await put(`/${name}`, "v", expiration(at));
      await put(`/${name}-stays`, "stays");
      await world.apply(name, { data: [one("A", `/${name}`), one("B", `/${name}-stays`)], refresh: { whenExpired } });
    }
    await world.sync();
    await world.pass(5 * second);
    world.engine.observer.stop();
    await world.clock.advance(2 * hour);
    await aws.deleteParameter("/slept-deletekeys");
    await world.restart();
    await world.sync();
    await world.pass(second, 1);
    expect(await world.secret("slept-deletesecret")).toBeUndefined();
    // A parameter that AWS deleted meanwhile is missing after two looks, the grace apart.
    expect(await world.data("slept-deletekeys")).toEqual({ A: "v", B: "stays" });
    await world.pass(6 * minute, 6);
    expect(await world.data("slept-retain")).toEqual({ A: "v", B: "stays" });
    await refused(world, "slept-retain", "Expired");
    expect(await world.data("slept-deletekeys")).toEqual({ B: "stays" });
    expect(await world.secret("slept-deletesecret")).toBeUndefined();
  });

  it("nothing happens if the policy was extended, or if AWS denies, throttles or fails the look", async () => {
    const at = world.clock.now() + hour;
    await put("/not", "v", expiration(at));
    await world.apply("not", { data: [one("A", "/not")], refresh: { whenExpired: "DeleteSecret" } });
    await world.sync();
    await world.pass(5 * second);
    const secret = await world.secret("not");
    for (const fault of ["throttle", "500", "denied"] as const) {
      if (fault === "denied") aws.deny({ action: "ssm:DescribeParameters" });
      else aws.fault({ operation: "DescribeParameters", kind: fault });
      if (world.clock.now() < at) await until(at);
      await world.pass(5 * minute);
      expect(await world.secret("not"), fault).toEqual(secret);
      expect(await world.ready("not")).toMatchObject({ status: "True" });
      aws.clearFaults();
    }
    aws.allowAll();
    await world.pass(2 * hour);
    expect(await world.secret("not"), "once it is seen").toBeUndefined();

    const later = world.clock.now() + hour;
    await put("/moved", "v", expiration(later));
    await world.apply("moved", { data: [one("A", "/moved")], refresh: { whenExpired: "DeleteSecret" } });
    await world.sync();
    await world.pass(5 * second);
    await until(later - second);
    await put("/moved", "v2", expiration(later + day));
    await until(later + second);
    expect(await world.data("moved")).toMatchObject({ A: expect.stringMatching(/^v/) });
  });

  it("nothing happens or is reported under Once", async () => {
    const at = world.clock.now() + hour;
    await put("/once", "v", expiration(at));
    await world.apply("once", { data: [one("A", "/once")], refresh: { policy: "Once", whenExpired: "DeleteSecret" } });
    await world.sync();
    await world.pass(2 * hour);
    expect(await world.data("once")).toEqual({ A: "v" });
    expect((await world.synced("once")).status).not.toHaveProperty("nextExpiryTime");
  });
});

describe("a warning", async () => {
  // A long poll interval: days pass in this test.
  const calm = await makeWorld(cluster, "expiry-warns", {}, { pollInterval: "24h" });

  it("comes a day before an expiry, or at its notification, as one event, and ends with a renewal", async () => {
    const at = calm.clock.now() + 3 * day;
    await putIn(calm, "/warn/default", "v", expiration(at));
    await putIn(calm, "/warn/early", "v", expiration(at), notice("30"), notice("2", "Days"));
    await calm.apply("warn", { data: [one("A", "/warn/default"), one("B", "/warn/early")] });
    await calm.sync();
    await calm.pass(5 * second);
    expect(await conditionOf("warn", "ExpiringSoon", calm)).toBeUndefined();
    await calm.pass(at - 2 * day + second - calm.clock.now(), 1);
    const first = await conditionOf("warn", "ExpiringSoon", calm);
    expect(first).toMatchObject({ status: "True", reason: "Expiring" });
    expect(first?.message).toContain("data[1] (B): /warn/early expires at");
    expect(first?.message).not.toContain("/warn/default");
    expect(await calm.ready("warn")).toMatchObject({ status: "True" });
    await calm.pass(at - day + second - calm.clock.now(), 1);
    expect((await conditionOf("warn", "ExpiringSoon", calm))?.message).toContain("/warn/default expires at");
    expect((await eventsOf(calm, "warn", "Expiring")).map(({ type }) => type)).toEqual(["Warning", "Warning"]);
    await steady(calm, "warn");
    for (const name of ["/warn/default", "/warn/early"]) await putIn(calm, name, "w", expiration(at + 30 * day));
    await calm.pass(26 * hour, 4);
    expect(await conditionOf("warn", "ExpiringSoon", calm)).toBeUndefined();
  });

  it("comes when a parameter has not changed for the time in its policy, and ends with a change", async () => {
    // The emulator dates its parameters by the real clock.
    const ahead = Math.ceil((calm.clock.now() - Date.now()) / hour);
    await putIn(calm, "/still", "v", noChange(`${ahead + 5}`), noChange(`${ahead + 50}`));
    await calm.apply("still", { data: [one("A", "/still")] });
    await calm.sync();
    await calm.pass(4 * hour);
    expect(await conditionOf("still", "RotationDue", calm)).toBeUndefined();
    await calm.pass(2 * day);
    expect(await conditionOf("still", "RotationDue", calm)).toMatchObject({
      status: "True",
      reason: "NoChange",
      message: expect.stringContaining("data[0] (A): /still has not changed since"),
    });
    expect(await eventsOf(calm, "still", "NoChange")).toHaveLength(1);
  });

  it("reports a policy that is not JSON, and breaks nothing", async () => {
    calm.aws.fault({ operation: "DescribeParameters", kind: "policyText", text: "{sesame" });
    await putIn(calm, "/unread", "v", expiration(calm.clock.now() + hour));
    await calm.apply("unread", { data: [one("A", "/unread")], refresh: { whenExpired: "DeleteSecret" } });
    await calm.sync();
    await calm.pass(5 * second);
    const said = await conditionOf("unread", "ExpiryUnknown", calm);
    expect(said).toMatchObject({ status: "True", reason: "InvalidPolicy" });
    expect(said?.message).toBe("data[0] (A): a policy of /unread cannot be parsed and is ignored");
    expect(await calm.ready("unread")).toMatchObject({ status: "True" });
    expect(await calm.data("unread")).toEqual({ A: "v" });
    await calm.deleteSynced("unread");
  });
});

it("reports a denied DescribeParameters once on the connection, and on SyncedSecrets that use expiries", async () => {
  aws.deny({ action: "ssm:DescribeParameters" });
  await world.restart();
  await put("/denied", "v", expiration(world.clock.now() + 20 * day));
  await world.apply("denied", { data: [one("A", "/denied")], refresh: { whenExpired: "DeleteKeys" } });
  await world.apply("denied-too", { data: [one("A", "/denied")] });
  await world.sync();
  await world.pass(5 * second);
  const said = await connectionCondition();
  expect(said).toMatchObject({ status: "True", reason: "AccessDenied" });
  expect(said?.message).toMatch(
    /SecureStrings: arn:aws:iam::123456789012:\S+ may not ssm:DescribeParameters on \* in eu-west-1/,
  );
  expect(await conditionOf("denied", "ExpiryUnknown")).toMatchObject({ reason: "AccessDenied" });
  expect(await conditionOf("denied-too", "ExpiryUnknown")).toBeUndefined();
  for (const name of ["denied", "denied-too"]) expect(await world.ready(name)).toMatchObject({ status: "True" });
  aws.resetCalls();
  await world.pass(3 * hour);
  expect(await connectionCondition(), "it is stable").toEqual(said);
  expect(aws.count({ operation: "DescribeParameters" })).toBeLessThanOrEqual(3);
  await world.restart();
  await world.pass(minute, 1);
  expect(await connectionCondition(), "over a restart").toEqual(said);
  aws.allowAll();
  await world.pass(3 * hour);
  expect(await connectionCondition()).toBeUndefined();
  expect(await conditionOf("denied", "ExpiryUnknown")).toBeUndefined();
  expect((await world.synced("denied")).status?.nextExpiryTime).toBeDefined();
});
