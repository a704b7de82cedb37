import { beforeEach, describe, expect, it } from "vitest";
import { sharedCluster } from "../../cluster/shared.ts";
import { secretsManager } from "../secrets-manager.ts";
import { makeWorld } from "../world.ts";
import { envOf, Workloads } from "./workloads.ts";

const allow = { namespaces: { selector: {} }, parameters: ["/*", "/aws/reference/secretsmanager/*"] };
const world = await makeWorld(await sharedCluster(), "revert", { maxConcurrentRollouts: 100 }, { allow });
const { aws } = world;
const workloads = new Workloads(world.client, world.namespace);
const revert = { mode: "Auto", onFailure: "Revert" };
const hour = 3_600_000;

let serial = 0;
let name = "";
beforeEach(() => {
  name = `r${serial++}`;
});

const put = (value: string, of = name) => aws.putParameter({ name: `/${of}`, value });
const annotationsOf = async () => (await world.secret(name))!.metadata.annotations!;
const status = async () => (await world.synced(name)).status!;
const condition = async (type: string) => (await status()).conditions!.find((one) => one.type === type);
const isCounted = async () => (await world.metrics.heldBack.get()).values.some(({ labels }) => labels.name === name);
const annotate = (annotation: string) => world.kubectl(["annotate", "--overwrite", "kss", name, annotation]);

/** Time passes, and everything that is due happens. */
async function pass(ms: number): Promise<void> {
  while (await world.rollOut()) await world.sync();
  await world.pass(ms, 1);
  while (await world.rollOut()) await world.sync();
}

/** A SyncedSecret that reverts, and a Deployment that uses a key of it, of which the operator knows. */
async function used(spec: object, key = "A"): Promise<void> {
  await world.apply(name, { rollout: revert, ...spec } as never);
  await world.sync();
  await workloads.create(name, envOf(name, key));
  await pass(1_000);
}

/** The restart begins. */
async function restarted(): Promise<void> {
  await pass(10_000);
  await workloads.begin(name);
}

/** A SyncedSecret of one parameter and a Deployment that uses it. */
async function made(rollout: object = revert, more: object = {}): Promise<void> {
  await put("one");
  await used({ data: [{ key: "A", parameter: { name: `/${name}` } }], rollout, ...more });
  expect(await condition("RolledOut")).toMatchObject({ status: "True" });
}

/** Another second begins: times of the API server have whole seconds, and its clock cannot be stepped. */
const anotherSecond = () => new Promise((resolve) => setTimeout(resolve, 1_010 - (Date.now() % 1_000)));

/** A new value reaches the Secret, and the restart begins. */
async function changed(value: string): Promise<void> {
  await anotherSecond();
  await put(value);
  await world.pass(600_000, 2);
  expect(await world.data(name)).toEqual({ A: value });
  await restarted();
}

async function rolledOut(value: string): Promise<void> {
  await changed(value);
  await workloads.rollOut(name);
  await pass(60_000);
  expect(await condition("RolledOut")).toMatchObject({ status: "True" });
}

/** The status is lost, and the operator begins anew. */
async function loseStatus(): Promise<void> {
  const lost = ["patch", "kss", name, "--subresource", "status", "--type", "merge", "--patch", '{"status":null}'];
  await world.kubectl(lost);
  await world.restart();
  await world.sync();
}

async function failed(): Promise<void> {
  await workloads.exceedDeadline(name);
  await pass(3_000);
}

describe("rollout.onFailure: Revert", () => {
  it("sets the Secret and the workload back to the first version, and holds the failed one back", async () => {
    await made();
    const [good] = [await annotationsOf()];
    await changed("two");
    const bad = (await status()).revision!;
    await failed();
    expect(await world.data(name)).toEqual({ A: "one" });
    expect(await workloads.marks(name), "the template is the first one again").toEqual([]);
    const now = await annotationsOf();
    expect(now["keyferry.io/revision"]).toBe(good!["keyferry.io/revision"]);
    expect(now["keyferry.io/restart-revision"]).toBeUndefined();
    expect(await condition("Ready")).toMatchObject({ status: "True" });
    expect(await condition("HeldBack")).toMatchObject({
      status: "True",
      reason: "RolloutFailed",
      message: `Deployment ${name} has passed the deadline of its rollout; held back until a source changes: /${name} version 2, last good 1: to apply it all the same, kubectl annotate --overwrite kss ${name} keyferry.io/approve=${bad}`,
    });
    expect((await status()).heldBack).toMatchObject({
      revision: bad,
      changes: [{ name: `/${name}`, from: 1, to: 2 }],
    });
    expect(await isCounted()).toBe(true);
    await workloads.rollOut(name);
    await pass(60_000);
    expect(await condition("RolledOut")).toMatchObject({ status: "True" });
  });

  it("sets it back to the last version whose rollout succeeded", async () => {
    await made();
    await rolledOut("two");
    const good = await annotationsOf();
    const [mark] = await workloads.marks(name);
    await changed("three");
    expect(await workloads.marks(name)).not.toEqual([mark]);
    await failed();
    expect(await world.data(name)).toEqual({ A: "two" });
    expect(await workloads.marks(name)).toEqual([mark]);
    expect((await annotationsOf())["keyferry.io/restart-revision"]).toBe(good["keyferry.io/restart-revision"]);
  });

  it("stays there at polls, after a restart of the operator and without a decryption", async () => {
    await made();
    await changed("two");
    await failed();
    await workloads.rollOut(name);
    await pass(60_000);
    const { generation } = (await workloads.get(name)).metadata;
    const before = await condition("HeldBack");
    aws.resetCalls();
    for (const step of ["poll", "restart", "poll"]) {
      if (step === "restart") {
        await world.restart();
        await world.sync();
        expect(await condition("HeldBack"), "before the first poll").toEqual(before);
      }
      await pass(hour);
      expect(await world.data(name)).toEqual({ A: "one" });
      expect(await condition("HeldBack")).toEqual(before);
    }
    expect(aws.log().filter(({ decrypt }) => decrypt)).toEqual([]);
    expect((await workloads.get(name)).metadata.generation).toBe(generation);
  });

  it("replaces pods that started by themselves with the failed version", async () => {
    await made({ ...revert, first: [{ kind: "Deployment", name }] });
    await workloads.create(`${name}-other`, envOf(name));
    await changed("two");
    await workloads.replacePods(`${name}-other`);
    await failed();
    expect(await world.data(name)).toEqual({ A: "one" });
    expect(await workloads.marks(name)).toEqual([]);
    const bad = (await status()).heldBack!.revision;
    expect(await workloads.marks(`${name}-other`)).toEqual([`back.${bad}`]);
    for (const one of [name, `${name}-other`]) await workloads.rollOut(one);
    await pass(60_000);
    expect(await condition("RolledOut")).toMatchObject({ status: "True" });
    await changed("three");
    await workloads.rollOut(name);
    for (let minutes = 0; minutes < 20; minutes += 5) await pass(300_000);
    const { revision } = await status();
    expect(await workloads.marks(`${name}-other`)).toEqual([revision]);
  });

  it("tries a newer version at once", async () => {
    await made();
    await changed("two");
    await failed();
    await rolledOut("three");
    expect(await condition("HeldBack")).toBeUndefined();
    expect(await status()).not.toHaveProperty("heldBack");
    expect(await isCounted()).toBe(false);
    await changed("four");
    await failed();
    expect(await world.data(name)).toEqual({ A: "three" });
  });

  it("applies a version that is held back when an approval names it, and does not take it back again", async () => {
    await made();
    await changed("two");
    await failed();
    await workloads.rollOut(name);
    await annotate(`keyferry.io/approve=${(await status()).heldBack!.revision}`);
    await world.sync();
    expect(await world.data(name)).toEqual({ A: "two" });
    await pass(60_000);
    await workloads.begin(name);
    await failed();
    await pass(hour);
    expect(await world.data(name)).toEqual({ A: "two" });
    expect(await condition("RolledOut")).toMatchObject({ status: "False", reason: "DeadlineExceeded" });
  });

  it("wants another approval for a version that had been approved before it failed", async () => {
    await made(revert, { refresh: { approval: "Manual" } });
    await put("two");
    await world.pass(600_000, 2);
    const { pendingRevision } = await status();
    await annotate(`keyferry.io/approve=${pendingRevision}`);
    await world.sync();
    await restarted();
    await failed();
    await pass(hour);
    expect(await world.data(name)).toEqual({ A: "one" });
    expect((await status()).heldBack!.revision).toBe(`again.${pendingRevision}`);
    await annotate(`keyferry.io/approve=again.${pendingRevision}`);
    await world.sync();
    expect(await world.data(name)).toEqual({ A: "two" });
  });

  it("repairs the Secret with the last good version, also if it was deleted", async () => {
    await made();
    await changed("two");
    await failed();
    await workloads.rollOut(name);
    await pass(60_000);
    await world.kubectl(["patch", "secret", name, "--type", "merge", "--patch", '{"data":{"A":"aGFja2Vk"}}']);
    await world.sync();
    expect(await world.data(name)).toEqual({ A: "one" });
    expect(await condition("HeldBack")).toMatchObject({ status: "True" });
    await world.kubectl(["delete", "secret", name]);
    await world.sync();
    expect(await world.data(name)).toEqual({ A: "one" });
    await pass(hour);
    expect(await world.data(name)).toEqual({ A: "one" });
    expect(await condition("HeldBack")).toMatchObject({ status: "True" });
  });

  it("waits for no window, no interval and no other workload", async () => {
    const opens = new Date(world.clock.now());
    const schedule = `${opens.getUTCMinutes()} ${opens.getUTCHours()} * * *`;
    const windows = [{ schedule, duration: "1h" }];
    await made({ ...revert, windows, minInterval: "24h", order: "OneByOne" });
    await changed("two");
    await world.pass(2 * hour, 2);
    await failed();
    expect(await world.data(name)).toEqual({ A: "one" });
    expect(await workloads.marks(name)).toEqual([]);
  });

  it("is done by the next leader, too", async () => {
    await made();
    await changed("two");
    await workloads.exceedDeadline(name);
    await world.restart();
    await world.sync();
    await pass(3_000);
    expect(await world.data(name)).toEqual({ A: "one" });
    expect(await workloads.marks(name)).toEqual([]);
  });

  it("takes a change of the spec at once", async () => {
    await made();
    await changed("two");
    await failed();
    await workloads.rollOut(name);
    const data = [{ key: "B", parameter: { name: `/${name}` } }];
    await world.apply(name, { data, rollout: revert } as never);
    await world.sync();
    expect(await world.data(name)).toEqual({ B: "two" });
    expect(await condition("HeldBack")).toBeUndefined();
  });

  it("reads a source by number that follows a label, and lets it go when the label goes back", async () => {
    const label = (version: number) => aws.labelParameterVersion(`/${name}`, ["live"], version);
    await put("one");
    await put("two");
    await label(1);
    const data = [{ key: "A", parameter: { name: `/${name}`, label: "live" } }];
    await used({ data });
    await label(2);
    await world.pass(600_000, 2);
    await restarted();
    await failed();
    expect(await world.data(name)).toEqual({ A: "one" });
    await pass(hour);
    expect(await condition("HeldBack")).toMatchObject({ status: "True" });
    await label(1);
    await pass(hour);
    expect(await condition("HeldBack")).toBeUndefined();
    expect(await world.data(name)).toEqual({ A: "one" });
  });

  it("takes the members of a path back to those of the last good revision", async () => {
    await put("one", `${name}/a`);
    await used({ dataFrom: [{ path: { name: `/${name}` } }] }, "a");
    await put("two", `${name}/a`);
    await put("new", `${name}/b`);
    await world.pass(600_000, 2);
    expect(await world.data(name)).toEqual({ a: "two", b: "new" });
    await restarted();
    await failed();
    expect(await world.data(name)).toEqual({ a: "one" });
    await pass(hour);
    expect(await world.data(name)).toEqual({ a: "one" });
  });
});

describe("rollout.onFailure: Revert does not set back", () => {
  it("for a workload that was not available before its restart", async () => {
    await made();
    await put("two");
    await workloads.patch(name, { spec: { template: { metadata: { annotations: { edit: "1" } } } } });
    await workloads.begin(name);
    await workloads.exceedDeadline(name);
    await world.pass(600_000, 2);
    await pass(60_000);
    expect(await workloads.marks(name)).toHaveLength(1);
    await workloads.begin(name);
    await failed();
    expect(await world.data(name)).toEqual({ A: "two" });
    expect(await condition("RolledOut")).toMatchObject({ reason: "DeadlineExceeded" });
  });

  it("for a workload whose template somebody else has changed since", async () => {
    await made();
    await changed("two");
    await workloads.patch(name, { spec: { template: { metadata: { annotations: { edit: "1" } } } } });
    await workloads.begin(name);
    await failed();
    expect(await world.data(name)).toEqual({ A: "two" });
  });

  it("and is a pause if AWS no longer has the last good version", async () => {
    await made();
    await aws.deleteParameter(`/${name}`);
    await put("two");
    await world.pass(600_000, 2);
    expect(await world.data(name)).toEqual({ A: "two" });
    await restarted();
    await failed();
    expect(await world.data(name)).toEqual({ A: "two" });
    expect(await condition("Ready")).toMatchObject({ status: "True" });
    expect(await condition("HeldBack")).toMatchObject({
      status: "False",
      reason: "RevertFailed",
      message: expect.stringContaining(`AWS no longer keeps version 1 of /${name}`),
    });
    aws.resetCalls();
    await pass(hour);
    expect(
      aws.log().filter(({ decrypt }) => decrypt),
      "one attempt is enough",
    ).toEqual([]);
  });

  it.each([
    ["answers", () => aws.fault({ kind: "503" }), () => aws.clearFaults()],
    ["allows it", () => aws.deny({ parameter: "/*" }), () => aws.allowAll()],
  ])("until AWS %s, and then it does", async (_, begin, end) => {
    await made();
    await changed("two");
    begin();
    await failed();
    await world.pass(60_000, 6);
    expect(await world.data(name)).toEqual({ A: "two" });
    end();
    await world.pass(hour, 60);
    expect(await world.data(name)).toEqual({ A: "one" });
    expect(await condition("HeldBack")).toMatchObject({ status: "True" });
  });

  it("and tries the version once more after the status was lost, and then pauses", async () => {
    await made();
    await changed("two");
    await failed();
    await workloads.rollOut(name);
    await pass(60_000);
    await loseStatus();
    await pass(hour);
    expect(await world.data(name)).toEqual({ A: "two" });
    await restarted();
    await failed();
    expect(await world.data(name)).toEqual({ A: "two" });
    expect(await condition("HeldBack")).toMatchObject({ status: "False", reason: "RevertFailed" });
  });

  it("and is a pause if the spec has changed together with the bytes", async () => {
    await made();
    await world.apply(name, { data: [{ key: "A", value: "two" }], rollout: revert } as never).catch(() => {});
    await put("two");
    const data = [{ key: "A", parameter: { name: `/${name}` } }];
    await world.apply(name, { data, target: { labels: { a: "b" } }, rollout: revert } as never);
    await world.sync();
    await world.pass(600_000, 2);
    await restarted();
    await failed();
    expect(await world.data(name)).toEqual({ A: "two" });
    expect(await condition("HeldBack")).toMatchObject({
      status: "False",
      message: expect.stringContaining("no last good version of the current spec is known"),
    });
  });

  it("and is a pause for a reference to Secrets Manager", async () => {
    const ask = (target: string, body: object) => secretsManager(aws.url, target, body);
    await ask("CreateSecret", { Name: name, SecretString: "one" });
    const data = [{ key: "A", parameter: { name: `/aws/reference/secretsmanager/${name}` } }];
    await used({ data });
    await ask("PutSecretValue", { SecretId: name, SecretString: "two" });
    await world.pass(660_000, 11);
    expect(await world.data(name)).toEqual({ A: "two" });
    await restarted();
    await failed();
    expect(await world.data(name)).toEqual({ A: "two" });
    expect(await condition("HeldBack")).toMatchObject({
      status: "False",
      message: expect.stringContaining("a reference to Secrets Manager is not set back"),
    });
  });

  it("more sources than a status lists", async () => {
    for (let index = 0; index < 101; index++) await put("one", `${name}/k${index}`);
    await world.apply(name, { dataFrom: [{ path: { name: `/${name}` } }], rollout: revert } as never);
    await world.sync();
    expect(await world.ready(name)).toMatchObject({ status: "False", reason: "InvalidData" });
  });
});

describe("rollout.onFailure: Revert, in less usual orders", () => {
  const held = async () => expect(await condition("HeldBack")).toMatchObject({ status: "True" });

  it("a broken image of a person sets no Secret back", async () => {
    await made();
    await workloads.patch(name, { spec: { template: { metadata: { annotations: { edit: "broken" } } } } });
    await workloads.begin(name);
    await workloads.exceedDeadline(name);
    await pass(60_000);
    await changed("two");
    await failed();
    expect(await world.data(name)).toEqual({ A: "two" });
    expect(await condition("RolledOut")).toMatchObject({ reason: "DeadlineExceeded" });
  });

  it("a bad change on top of a restart under way is taken back", async () => {
    await made();
    await changed("two");
    await changed("three");
    await failed();
    expect(await world.data(name)).toEqual({ A: "one" });
  });

  it.each([
    ["removes what is recorded", { "keyferry.io/held-back-revision": null }],
    ["removes all annotations", null],
    ["changes what is recorded", { "keyferry.io/held-back-revision": "x", "keyferry.io/last-good-revision": "x" }],
  ])("an edit that %s does not end the hold", async (_, annotations) => {
    await made();
    await changed("two");
    await failed();
    await workloads.rollOut(name);
    await pass(60_000);
    const before = await annotationsOf();
    const patch = JSON.stringify({ metadata: { annotations } });
    await world.kubectl(["patch", "secret", name, "--type", "merge", "--patch", patch]);
    await world.sync();
    await pass(hour);
    expect(await world.data(name)).toEqual({ A: "one" });
    await held();
    const after = await annotationsOf();
    for (const kind of ["last-good", "held-back"]) {
      const [now, then] = [after, before].map((all) => all[`keyferry.io/${kind}-revision`]!.split(" ").slice(0, 2));
      expect(now).toEqual(then);
    }
  });

  it("a value that has expired does not return", async () => {
    const at = world.clock.now() + hour;
    const Attributes = { Timestamp: new Date(at).toISOString() };
    const policies = JSON.stringify([{ Type: "Expiration", Version: "1.0", Attributes }]);
    await aws.putParameter({ name: `/${name}/a`, value: "one", tier: "Advanced", policies });
    await put("bee", `${name}/b`);
    const refresh = { whenExpired: "DeleteKeys" };
    await used({ dataFrom: [{ path: { name: `/${name}` } }], refresh }, "b");
    await anotherSecond();
    await world.pass(at - world.clock.now(), 1);
    expect(await world.data(name)).toEqual({ b: "bee" });
    await restarted();
    await failed();
    await pass(60_000);
    expect(await world.data(name)).toEqual({ b: "bee" });
    expect(await condition("HeldBack")).toMatchObject({
      status: "False",
      message: expect.stringContaining(`/${name}/a has expired since`),
    });
  });

  it("keys that are retained stay", async () => {
    await put("one", `${name}/a`);
    await put("bee", `${name}/b`);
    await used({ dataFrom: [{ path: { name: `/${name}` } }] }, "a");
    await aws.deleteParameter(`/${name}/b`);
    await loseStatus();
    await pass(hour);
    expect(await world.data(name)).toEqual({ a: "one", b: "bee" });
    await anotherSecond();
    await put("two", `${name}/a`);
    await world.pass(600_000, 2);
    expect(await world.data(name)).toEqual({ a: "two", b: "bee" });
    await restarted();
    await failed();
    expect(await world.data(name)).toEqual({ a: "one", b: "bee" });
  });

  it("a failure that nobody has seen for an hour counts only if it lasts", async () => {
    await made();
    await changed("two");
    await workloads.exceedDeadline(name);
    aws.fault({ kind: "503" });
    await pass(3_000);
    expect((await status()).failedRollout).toBeDefined();
    await workloads.rollOut(name);
    aws.clearFaults();
    await world.restart();
    world.clock.setAhead(hour);
    await world.sync();
    await pass(60_000);
    expect(await world.data(name)).toEqual({ A: "two" });
    expect((await status()).failedRollout).toBeUndefined();
  });

  it("a failure that was repaired while suspended is forgotten", async () => {
    await made();
    await changed("two");
    aws.fault({ kind: "503" });
    await failed();
    const suspend = (is: boolean) =>
      world.kubectl(["patch", "kss", name, "--type", "merge", "--patch", JSON.stringify({ spec: { suspend: is } })]);
    await suspend(true);
    aws.clearFaults();
    await pass(3_000);
    expect((await status()).failedRollout).toBeUndefined();
    await workloads.rollOut(name);
    await suspend(false);
    await pass(3_000);
    expect(await world.data(name)).toEqual({ A: "two" });
  });

  it("a Secret that is deleted before it is set back is set back all the same", async () => {
    await made();
    await rolledOut("two");
    await changed("three");
    await world.kubectl(["delete", "secret", name]);
    await world.sync();
    expect(await world.data(name)).toEqual({ A: "three" });
    await pass(10_000);
    await failed();
    expect(await world.data(name)).toEqual({ A: "two" });
    await held();
  });

  it("a newer version that cannot be made does not keep the failed one", async () => {
    await aws.putParameter({ name: `/${name}`, value: '{"a":"one"}' });
    const data = [{ key: "A", parameter: { name: `/${name}` }, jmesPath: "a" }];
    await used({ data });
    await anotherSecond();
    await put('{"a":"two"}');
    await world.pass(600_000, 2);
    expect(await world.data(name)).toEqual({ A: "two" });
    await restarted();
    await put("no JSON");
    await world.pass(600_000, 2);
    expect(await world.ready(name)).toMatchObject({ reason: "InvalidData" });
    await failed();
    expect(await world.data(name)).toEqual({ A: "one" });
  });

  it("a version that waits for a window does not hide the one that is held back", async () => {
    const opens = new Date(world.clock.now());
    const schedule = `${opens.getUTCMinutes()} ${opens.getUTCHours()} * * *`;
    await made(revert, { refresh: { windows: [{ schedule, duration: "2h" }] } });
    await changed("two");
    await world.pass(3 * hour, 3);
    await put("three");
    await world.pass(600_000, 2);
    expect(await condition("ChangePending")).toMatchObject({ status: "True" });
    await failed();
    expect(await world.data(name)).toEqual({ A: "one" });
    await world.pass(hour, 2);
    expect(await condition("ChangePending")).toMatchObject({ status: "True" });
    expect(await condition("HeldBack")).toMatchObject({
      status: "True",
      message: expect.stringContaining(`/${name} version 2, last good 1`),
    });
    await world.pass(24 * hour, 24);
    expect(await world.data(name)).toEqual({ A: "three" });
    expect(await condition("HeldBack")).toBeUndefined();
  });
});
