import { describe, expect, it } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { makeWorld } from "./world.ts";

const world = await makeWorld(await sharedCluster(), "pending");
const { aws } = world;
const hour = 3_600_000;

const put = (name: string, value: string) => aws.putParameter({ name: `/${name}`, value });
const pending = async (name: string) => {
  const { status } = await world.synced(name);
  return status?.conditions?.find(({ type }) => type === "ChangePending");
};

/** Windows that open once a day, from some hours after now on. */
function windowsIn(hours: number) {
  const opens = new Date(world.clock.now() + hours * hour);
  return [{ schedule: `${opens.getUTCMinutes()} ${opens.getUTCHours()} * * *`, duration: "2h" }];
}

async function made(name: string, refresh: object, more: object = {}): Promise<void> {
  await put(name, "one");
  await world.apply(name, { data: [{ key: "A", parameter: { name: `/${name}` } }], refresh, ...more } as never);
  await world.sync();
  expect(await world.data(name), "a first sync does not wait").toEqual({ A: "one" });
}

/** A new version that AWS has and that the operator has seen. */
async function seen(name: string, value: string): Promise<void> {
  await put(name, value);
  await world.pass(600_000, 2);
}

const annotate = (name: string, annotation: string) =>
  world.kubectl(["annotate", "--overwrite", "kss", name, annotation]);

describe("refresh.windows", () => {
  it("shows a change outside, without a decryption, and applies it when a window opens", async () => {
    await made("window", { windows: windowsIn(6) });
    aws.resetCalls();
    await seen("window", "two");
    expect(await world.data("window")).toEqual({ A: "one" });
    expect(aws.log().filter(({ decrypt }) => decrypt)).toEqual([]);
    expect(await world.ready("window")).toMatchObject({ status: "True", reason: "Synced" });
    expect(await pending("window")).toMatchObject({
      status: "True",
      reason: "OutsideWindow",
      message: expect.stringMatching(/^waits for a window of refresh\.windows, at .*: \/window from version 1 to 2$/),
    });
    const { status } = await world.synced("window");
    expect(status).toMatchObject({ pendingChanges: [{ name: "/window", from: 1, to: 2 }] });
    expect(status!.pendingRevision).not.toBe(status!.revision);
    await world.pass(6 * hour, 6);
    expect(await world.data("window")).toEqual({ A: "two" });
    expect(await pending("window")).toBeUndefined();
    expect((await world.synced("window")).status!.pendingRevision).toBeUndefined();
  });

  it("repairs the Secret meanwhile, with the versions that were applied", async () => {
    await made("repair", { windows: windowsIn(6) });
    await seen("repair", "two");
    await world.kubectl(["patch", "secret", "repair", "--type", "merge", "--patch", '{"data":{"A":"aGFja2Vk"}}']);
    await world.sync();
    expect(await world.data("repair")).toEqual({ A: "one" });
    expect(await pending("repair")).toMatchObject({ reason: "OutsideWindow" });
  });

  it("makes a Secret that was deleted again, with the versions that were applied", async () => {
    await made("deleted", { windows: windowsIn(6) });
    await seen("deleted", "two");
    await world.kubectl(["delete", "secret", "deleted"]);
    await world.sync();
    expect(await world.data("deleted")).toEqual({ A: "one" });
    expect(await pending("deleted")).toMatchObject({ reason: "OutsideWindow" });
  });

  it("refuses more sources than a status lists", async () => {
    for (let index = 0; index < 101; index++) await put(`many/k${index}`, "one");
    const spec = { dataFrom: [{ path: { name: "/many" } }], refresh: { approval: "Manual" } };
    await world.apply("many", spec as never);
    await world.sync();
    expect(await world.ready("many")).toMatchObject({ status: "False", reason: "InvalidData" });
    expect(await world.secret("many")).toBeUndefined();
  });

  it("does not wait with a change of the spec, or with a refresh that a person asks for", async () => {
    for (const name of ["spec", "refresh"]) await made(name, { windows: windowsIn(6) });
    for (const name of ["spec", "refresh"]) await seen(name, "two");
    await world.apply("spec", {
      data: [{ key: "B", parameter: { name: "/spec" } }],
      refresh: { windows: windowsIn(6) },
    } as never);
    await annotate("refresh", "keyferry.io/refresh=now");
    await world.sync();
    expect(await world.data("spec")).toEqual({ B: "two" });
    expect(await world.data("refresh")).toEqual({ A: "two" });
  });

  it("holds the change back over a restart of the operator", async () => {
    await made("restart", { windows: windowsIn(6) });
    await seen("restart", "two");
    await world.restart();
    await world.sync();
    await world.pass(600_000, 2);
    expect(await world.data("restart")).toEqual({ A: "one" });
    expect(await pending("restart")).toMatchObject({ reason: "OutsideWindow" });
  });

  it("applies at once what whenExpired demands, unless windowOverride is None", async () => {
    for (const [name, windowOverride] of [
      ["expire", "Expiry"],
      ["stay", "None"],
    ] as const) {
      await put(`${name}/b`, "b");
      const timestamp = new Date(world.clock.now() + 2 * hour).toISOString();
      const policies = JSON.stringify([{ Type: "Expiration", Version: "1.0", Attributes: { Timestamp: timestamp } }]);
      await aws.putParameter({ name: `/${name}/a`, value: "a", tier: "Advanced", policies });
      const data = ["a", "b"].map((key) => ({ key, parameter: { name: `/${name}/${key}` } }));
      const refresh = { windows: windowsIn(12), whenExpired: "DeleteKeys", windowOverride };
      await world.apply(name, { data, refresh } as never);
    }
    await world.sync();
    await world.pass(3 * hour, 6);
    expect(await world.data("expire")).toEqual({ b: "b" });
    expect(await world.data("stay")).toEqual({ a: "a", b: "b" });
    expect(await pending("stay")).toMatchObject({ reason: "OutsideWindow" });
  });

  it("holds back a deletion by whenMissing too", async () => {
    await made("missing", { windows: windowsIn(12), whenMissing: "DeleteSecret" });
    await aws.deleteParameter("/missing");
    await world.pass(2 * hour, 6);
    expect(await world.data("missing")).toEqual({ A: "one" });
    expect(await pending("missing")).toMatchObject({ reason: "OutsideWindow" });
    await world.pass(10.5 * hour, 8);
    expect(await world.data("missing")).toBeUndefined();
  });
});

describe("refresh.approval: Manual", () => {
  const revisionOf = async (name: string) => (await world.synced(name)).status!.pendingRevision!;

  it("applies what the annotation names, and nothing else", async () => {
    await made("manual", { approval: "Manual" });
    await seen("manual", "two");
    expect(await pending("manual")).toMatchObject({ reason: "ApprovalRequired" });
    const second = await revisionOf("manual");
    await seen("manual", "three");
    await annotate("manual", `keyferry.io/approve=${second}`);
    await world.sync();
    expect(await world.data("manual")).toEqual({ A: "one" });
    expect((await pending("manual"))!.message).toMatch(/names another revision$/);
    const third = await revisionOf("manual");
    expect(third).not.toBe(second);
    await annotate("manual", `keyferry.io/approve=${third}`);
    await world.sync();
    expect(await world.data("manual")).toEqual({ A: "three" });
    expect(await pending("manual")).toBeUndefined();
    await seen("manual", "four");
    expect(await world.data("manual")).toEqual({ A: "three" });
  });

  it("waits for a window, too, once it is approved", async () => {
    await made("both", { approval: "Manual", windows: windowsIn(6) });
    await seen("both", "two");
    await annotate("both", `keyferry.io/approve=${await revisionOf("both")}`);
    await world.sync();
    expect(await pending("both")).toMatchObject({ reason: "OutsideWindow" });
    await world.pass(6 * hour, 6);
    expect(await world.data("both")).toEqual({ A: "two" });
  });
});

it("keeps a change pending while AWS does not answer", async () => {
  await made("outage", { windows: windowsIn(6) });
  await seen("outage", "two");
  aws.fault({ operation: "GetParameters", kind: "throttle" });
  await world.pass(1.5 * hour, 4);
  aws.clearFaults();
  expect(await pending("outage")).toMatchObject({ reason: "OutsideWindow" });
});
