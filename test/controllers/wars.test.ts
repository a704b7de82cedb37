import { describe, expect, it } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { until } from "../support/operator.ts";
import { makeWorld, type World } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "wars");
const { aws } = world;
const minute = 60_000;

const one = (key: string, name: string) => ({ key, parameter: { name } });
const b64 = (text: string) => Buffer.from(text).toString("base64");
const reads = () => aws.count({ service: "ssm", operation: "GetParameters" });

async function settled(name: string, extra: object = {}): Promise<void> {
  await aws.putParameter({ name: `/${name}`, value: "a" });
  await world.apply(name, { data: [one("A", `/${name}`)], ...extra });
  await world.sync();
  expect(await world.data(name)).toEqual({ A: "a" });
}

/** Repeats an action on a Secret once a second, for 20 seconds. @returns the number of repairs */
async function war(name: string, what: (at: number) => Promise<unknown>): Promise<number> {
  const before = (await world.metrics.secretWrites.get()).values.reduce((sum, { value }) => sum + value, 0);
  for (let at = 0; at < 20; at++) {
    await what(at);
    await world.clock.advance(1_000);
    await world.sync();
  }
  const after = (await world.metrics.secretWrites.get()).values.reduce((sum, { value }) => sum + value, 0);
  expect((await world.ready(name)).message).toContain("others change it again and again");
  return after - before;
}

async function peace(name: string, of: World): Promise<void> {
  await of.pass(10 * minute, 5);
  expect(await of.data(name)).toEqual({ A: "a" });
  expect((await of.ready(name)).message).toBe(`Secret ${name} is current with 1 key`);
  expect((await of.ready(name)).status).toBe("True");
}

describe("repairs a Secret ever more rarely while others keep changing it, and soon again afterwards", () => {
  const patch = (name: string, body: object) =>
    world.kubectl(["patch", "secret", name, "--type=merge", "-p", JSON.stringify(body)]);

  it.each<[string, (name: string, at: number) => Promise<unknown>]>([
    ["edits", (name, at) => patch(name, { data: { A: b64(`edit-${at}`) } })],
    ["deletions", (name) => world.kubectl(["delete", "secret", name, "--ignore-not-found"])],
    ["labels", (name) => patch(name, { metadata: { labels: { "keyferry.io/synced-secret": null } } }).catch(() => {})],
    ["annotations", (name) => patch(name, { metadata: { annotations: { "keyferry.io/revision": null } } })],
    ["owners", (name) => patch(name, { metadata: { ownerReferences: null } })],
  ])(
    "%s",
    async (what, change) => {
      await settled(what);
      const before = reads();
      const repairs = await war(what, (at) => change(what, at));
      expect(repairs).toBeGreaterThan(2);
      expect(repairs).toBeLessThan(10);
      expect(reads() - before).toBeLessThan(12);
      await peace(what, world);
      await change(what, 99);
      await world.sync();
      expect(await world.data(what)).toEqual({ A: "a" });
    },
    120_000,
  );
});

describe("merged keys are removed", () => {
  const target = (name: string) => ({ name, creationPolicy: "Merge" as const });
  const given = async (secret: string, to: string) => {
    await world.kubectl(["create", "secret", "generic", secret, "--from-literal=THEIRS=t"]);
    await world.kubectl(["annotate", "secret", secret, `keyferry.io/allow-merge=${to}`]);
  };
  const merged = async (name: string) => {
    await aws.putParameter({ name: `/${name}`, value: "m" });
    for (const at of ["a", "b"]) await given(`${name}-${at}`, name);
    await world.apply(name, { data: [one("MINE", `/${name}`)], target: target(`${name}-a`) });
    await world.sync();
    await world.pass(minute, 2);
    expect(await world.data(`${name}-a`)).toEqual({ THEIRS: "t", MINE: "m" });
  };
  const isClean = async (...secrets: string[]) => {
    await world.pass(minute, 2);
    for (const secret of secrets) {
      await until(
        async () => (await world.data(secret))?.MINE === undefined,
        5_000,
        () => `the sweep of ${secret}`,
      );
      expect(await world.data(secret)).toEqual({ THEIRS: "t" });
    }
  };

  it.each<[string, object]>([
    ["another target.name", { target: target("x-b") }],
    ["another policy", { target: { creationPolicy: "Owner" } }],
    ["another name and policy", { target: { name: "elsewhere", creationPolicy: "Orphan" } }],
  ])("after %s and a deletion, before either was reconciled", async (what, spec) => {
    const name = `gone-${what.split(" ").at(-1)!}-${what.length}`;
    await merged(name);
    await world.apply(name, { data: [one("MINE", `/${name}`)], ...spec });
    await world.fill();
    await world.deleteSynced(name);
    await world.sync();
    await isClean(`${name}-a`);
  });

  it("after a deletion while its write is in flight", async () => {
    const name = "busy";
    await merged(name);
    await world.apply(name, { data: [one("MINE", `/${name}`)], target: target("busy-b") });
    const apply = world.client.apply.bind(world.client);
    world.client.apply = async (resource, object, options) => {
      if (object.kind === "Secret") {
        world.client.apply = apply;
        await world.deleteSynced(name);
        await world.fill();
      }
      return apply(resource, object, options);
    };
    await world.sync();
    await isClean("busy-a", "busy-b");
  });

  it("after two changes of the target without a status write", async () => {
    const name = "twice";
    await merged(name);
    await given("twice-c", name);
    const apply = world.client.apply.bind(world.client);
    await world.apply(name, { data: [one("MINE", `/${name}`)], target: target("twice-b") });
    world.client.apply = async (resource, object, options) => {
      if (options.subresource === "status") throw new Error("the process ends here");
      return apply(resource, object, options);
    };
    await world.sync().catch(() => {});
    world.client.apply = apply;
    await world.apply(name, { data: [one("MINE", `/${name}`)], target: target("twice-c") });
    await world.restart();
    await world.sync();
    await isClean("twice-a", "twice-b");
    expect(await world.data("twice-c")).toEqual({ THEIRS: "t", MINE: "m" });
    await world.apply(name, { data: [one("MINE", `/${name}`)], target: target("twice-a") });
    await world.sync();
    await isClean("twice-b", "twice-c");
    expect(await world.data("twice-a")).toEqual({ THEIRS: "t", MINE: "m" });
  });
});

describe("a SyncedSecret that waits for another's target", () => {
  it.each(["is renamed away", "takes its Secret away"])("takes it at once when that one %s", async (how) => {
    const [first, second] = how.startsWith("is") ? ["p1", "p2"] : ["q1", "q2"];
    await settled(first, { refresh: { whenMissing: "DeleteSecret" } });
    await aws.putParameter({ name: `/${second}`, value: "second" });
    await world.apply(second, { data: [one("A", `/${second}`)], target: { name: first } });
    await world.sync();
    expect(await world.ready(second)).toMatchObject({ reason: "SecretConflict" });
    if (first === "p1") {
      await world.apply(first, { data: [one("A", `/${first}`)], target: { name: "p1-moved" } });
      await world.sync();
    } else {
      await aws.deleteParameter(`/${first}`);
      await world.pass(20 * minute, 4);
    }
    await world.clock.advance(1_000);
    await world.sync();
    expect(await world.data(first)).toEqual({ A: "second" });
    expect((await world.ready(second)).status).toBe("True");
  });
});

it("in a namespace being deleted nothing is tried, and the status reports it without an event", async () => {
  const gone = await makeWorld(cluster, "terminating");
  await gone.aws.putParameter({ name: "/x", value: "x" });
  await gone.apply("x", { data: [one("A", "/x")] });
  const finalizers = ["example.com/stay"];
  await gone.kubectl([
    "patch",
    "namespace",
    gone.namespace,
    "--type=merge",
    "-p",
    JSON.stringify({ metadata: { finalizers } }),
  ]);
  await gone.kubectl(["patch", "kss", "x", "--type=merge", "-p", JSON.stringify({ metadata: { finalizers } })]);
  await gone.kubectl(["delete", "namespace", gone.namespace, "--wait=false"]);
  await gone.sync();
  const calls = gone.aws.count({ service: "ssm" });
  await gone.pass(20 * minute, 4);
  expect(gone.aws.count({ service: "ssm" })).toBe(calls);
  const said = (await gone.synced("x")).status?.conditions?.find(({ type }) => type === "Ready");
  if (said) expect(said.message).toContain("its namespace is being deleted");
  for (const kind of ["kss/x", `namespace/${gone.namespace}`])
    await gone.kubectl(["patch", kind, "--type=merge", "-p", JSON.stringify({ metadata: { finalizers: null } })]);
});
