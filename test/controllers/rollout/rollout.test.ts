import { describe, expect, it } from "vitest";
import type { RolloutKind } from "../../../src/api/rollout-kinds.ts";
import { cronJobs, type KubeObject } from "../../../src/kube/resource.ts";
import { AuditReader } from "../../cluster/audit.ts";
import { sharedCluster } from "../../cluster/shared.ts";
import { until } from "../../support/operator.ts";
import { makeWorld } from "../world.ts";
import { envOf, Workloads } from "./workloads.ts";

const cluster = await sharedCluster();
// Rollouts that a test leaves behind take no slot of the next one.
const world = await makeWorld(cluster, "rollout", { maxConcurrentRollouts: 100 });
const { aws } = world;
const workloads = new Workloads(world.client, world.namespace);

const put = (name: string, value: string) => aws.putParameter({ name: `/${name}`, value });
const restartRevision = async (name: string) =>
  (await world.secret(name))!.metadata.annotations!["keyferry.io/restart-revision"];
const rolledOut = async (name: string) => {
  const { status } = await world.synced(name);
  return status?.conditions?.find(({ type }) => type === "RolledOut");
};

/** Time passes, and everything that is due happens. */
async function pass(ms: number): Promise<void> {
  while (await world.rollOut()) await world.sync();
  await world.pass(ms, 1);
  while (await world.rollOut()) await world.sync();
}

/** Syncs a SyncedSecret of one parameter that asks for rollouts. */
async function made(name: string, rollout: object = { mode: "Auto" }): Promise<void> {
  await put(name, "one");
  await world.apply(name, { data: [{ key: "A", parameter: { name: `/${name}` } }], rollout } as never);
  await world.sync();
}

/** A new value reaches the Secret. */
async function changed(name: string, value: string): Promise<void> {
  await put(name, value);
  await world.pass(600_000, 2);
  expect(await world.data(name)).toEqual({ A: value });
}

it("restarts a Deployment that uses a changed Secret by env, once, and nothing at the first sync", async () => {
  await made("env");
  await workloads.create("env", envOf("env"));
  await pass(60_000);
  expect(await workloads.marks("env")).toEqual([]);
  expect(await restartRevision("env")).toBeUndefined();
  expect(await rolledOut("env")).toMatchObject({ status: "True" });
  const first = (await world.synced("env")).status!.revision;
  expect((await world.synced("env")).status!.rolledOutRevision).toBe(first);

  await changed("env", "two");
  const second = (await world.synced("env")).status!.revision!;
  expect(await restartRevision("env")).toBe(second);
  await pass(10_000);
  expect(await workloads.marks("env")).toEqual([second]);
  expect(await rolledOut("env")).toMatchObject({ status: "False", reason: "Progressing" });

  await workloads.rollOut("env");
  await pass(10_000);
  expect(await rolledOut("env")).toMatchObject({ status: "True", reason: "RolledOut" });
  const { status } = await world.synced("env");
  expect(status).toMatchObject({
    rolledOutRevision: second,
    workloads: [{ kind: "Deployment", name: "env", uses: ["Env"], state: "Current", restartedFor: second }],
  });
  const { generation } = (await workloads.get("env")).metadata;
  await pass(3_600_000);
  await world.restart();
  await world.sync();
  await pass(3_600_000);
  expect((await workloads.get("env")).metadata.generation).toBe(generation);
});

/** A SyncedSecret with a Deployment that uses it, and a first change that is rolled out. */
async function rolledOutOnce(name: string, rollout: object = { mode: "Auto" }): Promise<void> {
  await made(name, rollout);
  await workloads.create(name, envOf(name));
  await pass(1_000);
  await changed(name, "two");
  await pass(60_000);
  await workloads.rollOut(name);
  await pass(60_000);
  expect(await rolledOut(name)).toMatchObject({ status: "True" });
}

/** The number of changes of a workload's spec. */
const generation = async (name: string, kind: RolloutKind = "Deployment") =>
  (await workloads.get(name, kind)).metadata.generation!;

const workloadsOf = async (name: string) =>
  ((await world.synced(name)).status?.workloads ?? []).map(({ kind, name: of, state }) => `${kind} ${of} ${state}`);

describe("finds workloads that use the Secret", () => {
  const volume = (source: object) => ({ volumes: [{ name: "v", ...source }] });
  const inPod = (more: object) => ({
    template: {
      metadata: { labels: { app: "" } },
      spec: { containers: [{ name: "app", image: "registry.example/app:1" }], ...more },
    },
  });
  const uses: [name: string, of: (secret: string) => object][] = [
    ["secret volume", (secret) => volume({ secret: { secretName: secret } })],
    ["projected volume", (secret) => volume({ projected: { sources: [{ secret: { name: secret } }] } })],
    [
      "init container",
      (secret) => ({ initContainers: [{ name: "i", image: "i", envFrom: [{ secretRef: { name: secret } }] }] }),
    ],
  ];
  it.each(uses)("by a %s", async (what, of) => {
    const name = what.replace(" ", "-");
    await made(name);
    const more = inPod(of(name));
    more.template.metadata.labels.app = name;
    await workloads.create(name, {}, "Deployment", more);
    await pass(1_000);
    await changed(name, "two");
    await pass(60_000);
    expect(await workloads.marks(name)).toHaveLength(1);
  });

  it.each(["StatefulSet", "DaemonSet"] as const)("in a %s", async (kind) => {
    const name = kind.toLowerCase();
    await made(name);
    await workloads.create(name, { envFrom: [{ secretRef: { name } }] }, kind);
    await pass(1_000);
    await changed(name, "two");
    await pass(60_000);
    expect(await workloads.marks(name, kind)).toHaveLength(1);
    await workloads.rollOut(name, kind);
    await pass(60_000);
    expect(await rolledOut(name)).toMatchObject({ status: "True" });
  });

  it("and lists those that need no restart", async () => {
    await made("pull");
    const spec = {
      containers: [{ name: "app", image: "registry.example/app:1" }],
      imagePullSecrets: [{ name: "pull" }],
    };
    await workloads.create("pull", {}, "Deployment", { template: { metadata: { labels: { app: "pull" } }, spec } });
    const job = {
      template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i", ...envOf("pull") }] } },
    };
    const cron = { apiVersion: "batch/v1", kind: "CronJob", metadata: { name: "pull", namespace: world.namespace } };
    await world.client.create(cronJobs, {
      ...cron,
      spec: { schedule: "@daily", jobTemplate: { spec: job } },
    } as KubeObject);
    await pass(1_000);
    const before = await generation("pull");
    await changed("pull", "two");
    await pass(60_000);
    expect(await generation("pull")).toBe(before);
    expect(await workloadsOf("pull")).toEqual(["CronJob pull NoRestartNeeded", "Deployment pull NoRestartNeeded"]);
    expect(await rolledOut("pull")).toMatchObject({ status: "True" });
  });

  it("only in the SyncedSecret's own namespace and list, with mode Listed", async () => {
    await made("listed", { mode: "Listed", targets: [{ kind: "Deployment", name: "other" }] });
    await workloads.create("listed", envOf("listed"));
    await pass(1_000);
    expect(await rolledOut("listed")).toMatchObject({ status: "False", reason: "WorkloadNotFound" });
    await workloads.create("other", {});
    await changed("listed", "two");
    await pass(60_000);
    expect(await workloads.marks("listed")).toEqual([]);
    expect(await workloads.marks("other")).toHaveLength(1);
  });

  it("without the pods that have ended", async () => {
    await made("ended");
    await workloads.create("ended", envOf("ended"));
    await workloads.endPods("ended");
    await pass(1_000);
    await changed("ended", "two");
    await pass(60_000);
    expect(await workloads.marks("ended")).toEqual([]);
    expect(await workloadsOf("ended")).toEqual(["Deployment ended Current"]);
  });

  it("but leaves one alone that another controller owns", async () => {
    await made("owned");
    await workloads.create("owned", envOf("owned"));
    const owner = { apiVersion: "apps.example/v1", kind: "App", name: "shop", uid: "1", controller: true };
    await workloads.patch("owned", { metadata: { ownerReferences: [owner] } });
    await pass(1_000);
    await changed("owned", "two");
    await pass(60_000);
    expect(await workloads.marks("owned")).toEqual([]);
    expect(await workloadsOf("owned")).toEqual(["Deployment owned Owned"]);
  });
});

describe("restarts once", () => {
  it("and not for equal bytes in a new version", async () => {
    await rolledOutOnce("equal");
    const before = await generation("equal");
    const revision = await restartRevision("equal");
    await put("equal", "two");
    await pass(300_000);
    expect((await world.synced("equal")).status!.revision).not.toBe(revision);
    expect(await restartRevision("equal")).toBe(revision);
    await pass(3_600_000);
    expect(await generation("equal")).toBe(before);
  });

  it("and not for equal bytes that are written again, if the workload is younger than the change", async () => {
    await made("young");
    await changed("young", "two");
    const revision = await restartRevision("young");
    // Times of the API server are in seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await workloads.create("young", envOf("young"));
    await pass(700_000);
    expect(await rolledOut("young")).toMatchObject({ status: "True" });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const data = [{ key: "A", parameter: { name: "/young" } }];
    await world.apply("young", { data, rollout: { mode: "Auto" }, target: { labels: { team: "shop" } } } as never);
    await world.sync();
    expect((await world.secret("young"))!.metadata.labels).toMatchObject({ team: "shop" });
    expect(await restartRevision("young")).toBe(revision);
    await pass(700_000);
    expect(await workloads.marks("young")).toEqual([]);
    expect(await workloadsOf("young")).toEqual(["Deployment young Current"]);
    await changed("young", "three");
    await pass(60_000);
    expect(await workloads.marks("young")).toHaveLength(1);
  });

  it("after a change while no operator ran", async () => {
    await rolledOutOnce("down");
    const before = await generation("down");
    await put("down", "three");
    await world.restart();
    await world.sync();
    await pass(300_000);
    await pass(60_000);
    expect(await world.data("down")).toEqual({ A: "three" });
    expect(await generation("down")).toBe(before + 1);
    await world.restart();
    await world.sync();
    await pass(60_000);
    expect(await generation("down")).toBe(before + 1);
  });

  it("when several Secrets change together", async () => {
    for (const name of ["pair-a", "pair-b"]) await made(name);
    await workloads.create("pair", { env: [...envOf("pair-a").env, { ...envOf("pair-b").env[0], name: "B" }] });
    await pass(1_000);
    const before = await generation("pair");
    await put("pair-a", "two");
    await put("pair-b", "two");
    await pass(300_000);
    await pass(60_000);
    expect(await workloads.marks("pair")).toHaveLength(2);
    expect(await generation("pair")).toBe(before + 1);
  });

  it("in each minInterval", async () => {
    await rolledOutOnce("interval", { mode: "Auto", minInterval: "24h" });
    const before = await generation("interval");
    for (const value of ["three", "four", "five"]) await changed("interval", value);
    await pass(60_000);
    expect(await generation("interval")).toBe(before);
    expect(await rolledOut("interval")).toMatchObject({ reason: "Progressing" });
    await pass(24 * 3_600_000);
    expect(await generation("interval")).toBe(before + 1);
  });
});

describe("respects", () => {
  it("a paused Deployment, until it is resumed", async () => {
    await made("paused");
    await workloads.create("paused", envOf("paused"));
    await workloads.patch("paused", { spec: { paused: true } });
    await pass(1_000);
    await changed("paused", "two");
    await pass(60_000);
    expect(await workloads.marks("paused")).toEqual([]);
    expect(await rolledOut("paused")).toMatchObject({ status: "False", reason: "WorkloadPaused" });
    await workloads.patch("paused", { spec: { paused: false } });
    await workloads.rollOut("paused");
    await pass(60_000);
    expect(await workloads.marks("paused")).toHaveLength(1);
  });

  it("a rollout of somebody else, until it has ended", async () => {
    await made("busy");
    await workloads.create("busy", envOf("busy"));
    await pass(1_000);
    await workloads.patch("busy", { spec: { template: { metadata: { annotations: { team: "shop" } } } } });
    await workloads.begin("busy");
    await changed("busy", "two");
    await pass(60_000);
    expect(await workloads.marks("busy")).toEqual([]);
    expect(await workloadsOf("busy")).toEqual(["Deployment busy Waiting"]);
  });

  it("a person who takes the restart back twice", async () => {
    await rolledOutOnce("undone");
    const revision = await restartRevision("undone");
    for (const left of [1, 0]) {
      await workloads.undo("undone");
      await workloads.rollOut("undone");
      await pass(700_000);
      expect(await workloads.marks("undone")).toHaveLength(left);
      await workloads.rollOut("undone");
      await pass(60_000);
    }
    expect(await rolledOut("undone")).toMatchObject({ status: "False", reason: "RestartUndone" });
    await world.restart();
    await world.sync();
    await pass(700_000);
    expect(await workloads.marks("undone")).toEqual([]);
    await changed("undone", "three");
    await pass(60_000);
    expect(await workloads.marks("undone")).toHaveLength(1);
    expect(await restartRevision("undone")).not.toBe(revision);
  });
});

it("waits for a window", async () => {
  const opens = new Date(world.clock.now() + 5 * 3_600_000);
  const schedule = `${opens.getUTCMinutes()} ${opens.getUTCHours()} * * *`;
  await made("window", { mode: "Auto", windows: [{ schedule, duration: "1h" }] });
  await workloads.create("window", envOf("window"));
  await pass(1_000);
  await changed("window", "two");
  await pass(60_000);
  expect(await workloads.marks("window")).toEqual([]);
  const at = `${opens.toISOString().slice(0, 16)}:00Z`;
  expect(await rolledOut("window")).toMatchObject({
    status: "False",
    reason: "OutsideWindow",
    message: `waiting for a window of rollout.windows (at ${at}): Deployment window`,
  });
  await pass(5 * 3_600_000);
  expect(await workloads.marks("window")).toHaveLength(1);
});

describe("goes step by step", () => {
  /** A SyncedSecret that three Deployments use; the first is `<name>-canary`. */
  async function three(name: string, rollout: object): Promise<string[]> {
    const names = ["canary", "x", "y"].map((part) => `${name}-${part}`);
    await made(name, { mode: "Auto", ...rollout });
    for (const one of names) await workloads.create(one, envOf(name));
    await pass(1_000);
    return names;
  }
  const marked = async (names: readonly string[]) => {
    const found = await Promise.all(
      names.map(async (name) => ((await workloads.marks(name)).length > 0 ? [name] : [])),
    );
    return found.flat();
  };
  const firstOf = (name: string) => [{ kind: "Deployment", name: `${name}-canary` }];

  it("by rollout.first, whose workloads must be available for rollout.bake", async () => {
    const names = await three("bake", { first: firstOf("bake"), bake: "30m" });
    await changed("bake", "two");
    await pass(60_000);
    expect(await marked(names)).toEqual(["bake-canary"]);
    await pass(3_600_000);
    expect(await marked(names)).toEqual(["bake-canary"]);
    await workloads.rollOut("bake-canary");
    await pass(60_000);
    await pass(1_000_000);
    expect(await marked(names)).toEqual(["bake-canary"]);
    await pass(1_000_000);
    expect(await marked(names)).toEqual(names);
  });

  it("by rollout.first, and stops where it is missing, paused or has no replicas", async () => {
    const names = await three("unready", { first: firstOf("unready"), bake: "0s" });
    await workloads.patch("unready-canary", { spec: { replicas: 0 } });
    await workloads.rollOut("unready-canary");
    await changed("unready", "two");
    await pass(60_000);
    expect(await rolledOut("unready")).toMatchObject({ status: "False", reason: "FirstNotReady" });
    await workloads.delete("unready-canary");
    await pass(60_000);
    expect(await rolledOut("unready")).toMatchObject({ status: "False", reason: "FirstNotReady" });
    expect(await marked(names.slice(1))).toEqual([]);
  });

  it("by rollout.order OneByOne", async () => {
    const names = await three("one", { order: "OneByOne" });
    await changed("one", "two");
    for (const count of [1, 2, 3]) {
      await pass(60_000);
      await pass(60_000);
      const restarted = await marked(names);
      expect(restarted).toHaveLength(count);
      for (const name of restarted) await workloads.rollOut(name);
    }
  });

  it.each([
    ["Pause", 1],
    ["Continue", 3],
  ])("and with rollout.onFailure %s restarts %i of three after a failure", async (onFailure, count) => {
    const name = `fail-${onFailure.toLowerCase()}`;
    const names = await three(name, { order: "OneByOne", onFailure });
    await changed(name, "bad");
    await pass(60_000);
    for (let round = 0; round < 3; round++) {
      for (const one of await marked(names)) {
        await workloads.begin(one);
        await workloads.exceedDeadline(one);
      }
      await pass(60_000);
    }
    expect(await marked(names)).toHaveLength(count);
    expect(await rolledOut(name)).toMatchObject({ status: "False", reason: "DeadlineExceeded" });
    await changed(name, "good");
    await pass(120_000);
    await pass(120_000);
    expect(await marked(names), "a newer version is tried").not.toHaveLength(0);
    const revision = await restartRevision(name);
    const tried = await Promise.all(names.map((one) => workloads.marks(one)));
    expect(tried.flat()).toContain(revision);
  });
});

it("tells of a window that cannot be understood", async () => {
  await made("badwindow", { mode: "Auto", windows: [{ schedule: "61 2 * * *", duration: "1h" }] });
  await pass(1_000);
  expect(await rolledOut("badwindow")).toMatchObject({ status: "False", reason: "InvalidWindow" });
});

it("tells of a rollout that has passed its deadline, and tries a newer version", async () => {
  await rolledOutOnce("failed");
  await changed("failed", "bad");
  await pass(60_000);
  await workloads.begin("failed");
  await workloads.exceedDeadline("failed");
  await pass(60_000);
  expect(await rolledOut("failed")).toMatchObject({ status: "False", reason: "DeadlineExceeded" });
  const before = await generation("failed");
  await changed("failed", "good");
  await pass(120_000);
  expect(await generation("failed")).toBe(before + 1);
});

it("tells of a StatefulSet that has passed rollout.progressDeadline", async () => {
  await made("late", { mode: "Auto", progressDeadline: "30m" });
  await workloads.create("late", envOf("late"), "StatefulSet");
  await pass(1_000);
  await changed("late", "two");
  await pass(60_000);
  await workloads.begin("late", "StatefulSet");
  await pass(60_000);
  expect(await rolledOut("late")).toMatchObject({ reason: "Progressing" });
  await pass(1_800_000);
  expect(await rolledOut("late")).toMatchObject({ reason: "DeadlineExceeded" });
});

describe("with a limit", async () => {
  const limited = await makeWorld(cluster, "limit", { maxConcurrentRollouts: 2 });
  const own = new Workloads(limited.client, limited.namespace);
  const names = [1, 2, 3, 4, 5].map((number) => `many-${number}`);
  const rollOut = async (ms: number) => {
    while (await limited.rollOut()) await limited.sync();
    await limited.pass(ms, 1);
    while (await limited.rollOut()) await limited.sync();
  };
  const change = (value: string) => limited.aws.putParameter({ name: "/many", value });
  const restarted = async () => {
    const found = await Promise.all(names.map((name) => own.marks(name)));
    return found.filter((marks) => marks.length > 0).length;
  };
  const condition = async () =>
    (await limited.synced("many")).status?.conditions?.find(({ type }) => type === "RolledOut");

  it("restarts at most so many at once, also after a hand-over", async () => {
    await change("one");
    const data = [{ key: "A", parameter: { name: "/many" } }];
    await limited.apply("many", { data, rollout: { mode: "Auto" } });
    await limited.sync();
    for (const name of names) await own.create(name, envOf("many"));
    await rollOut(1_000);
    await change("two");
    await rollOut(300_000);
    await rollOut(60_000);
    expect(await restarted()).toBe(2);
    await limited.restart();
    await limited.sync();
    await rollOut(60_000);
    expect(await restarted()).toBe(2);
    for (const expected of [4, 5]) {
      for (const name of names) await own.rollOut(name);
      await rollOut(60_000);
      expect(await restarted()).toBe(expected);
    }
  });

  it("of 0, or without a kind, restarts nothing", async () => {
    await limited.restart({ maxConcurrentRollouts: 0 });
    await limited.sync();
    const before = await own.marks("many-1");
    await change("three");
    await rollOut(300_000);
    await rollOut(60_000);
    expect(await own.marks("many-1")).toEqual(before);
    await limited.restart({ maxConcurrentRollouts: 5, rolloutKinds: [] });
    await limited.sync();
    await rollOut(60_000);
    expect(await condition()).toMatchObject({ status: "False", reason: "RolloutsOff" });
  });
});

it("tries a refused restart again after five minutes, and keeps no slot for it", async () => {
  const strict = await makeWorld(cluster, "refused", { maxConcurrentRollouts: 1 });
  const own = new Workloads(strict.client, strict.namespace);
  const rollOut = async (ms: number) => {
    while (await strict.rollOut()) await strict.sync();
    await strict.pass(ms, 1);
    while (await strict.rollOut()) await strict.sync();
  };
  const names = ["denied", "later"];
  for (const name of names) {
    await strict.aws.putParameter({ name: `/${name}`, value: "one" });
    await strict.apply(name, { data: [{ key: "A", parameter: { name: `/${name}` } }], rollout: { mode: "Auto" } });
    await own.create(name, envOf(name));
  }
  await strict.sync();
  await rollOut(1_000);
  const lift = await denyUpdates(strict, "denied");
  for (const name of names) await strict.aws.putParameter({ name: `/${name}`, value: "two" });
  const audit = await AuditReader.from(cluster.auditLogPath!);
  await rollOut(300_000);
  for (let round = 0; round < 4; round++) await rollOut(15_000);
  const { status } = await strict.synced("denied");
  expect(status!.conditions).toContainEqual(
    expect.objectContaining({ type: "RolledOut", status: "False", reason: "NotAllowed" }),
  );
  const patches = (await audit.take()).filter(
    ({ verb, resource, namespace, name }) =>
      verb === "patch" && resource === "deployments" && namespace === strict.namespace && name === "denied",
  );
  expect(patches.map(({ code }) => code)).toEqual([422]);
  expect(await own.marks("later")).toHaveLength(1);
  await own.rollOut("later");
  await lift();
  await rollOut(300_000);
  await rollOut(15_000);
  expect(await own.marks("denied")).toHaveLength(1);
});

/** Adds an admission policy against changes of a Deployment. @returns what removes the policy */
async function denyUpdates(of: typeof world, name: string): Promise<() => Promise<void>> {
  const metadata = { name: `deployments.${of.namespace}` };
  const admission = { apiVersion: "admissionregistration.k8s.io/v1", metadata };
  const rule = { apiGroups: ["apps"], apiVersions: ["v1"], operations: ["UPDATE"], resources: ["deployments"] };
  const policy = {
    ...{ ...admission, kind: "ValidatingAdmissionPolicy" },
    spec: {
      matchConstraints: { resourceRules: [rule] },
      validations: [{ expression: `object.metadata.name != '${name}'` }],
    },
  };
  const here = { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": of.namespace } } };
  const binding = {
    ...{ ...admission, kind: "ValidatingAdmissionPolicyBinding" },
    spec: { policyName: metadata.name, validationActions: ["Deny"], matchResources: here },
  };
  const isDenied = () =>
    of.kubectl(["annotate", "deployment", name, "probe=1", "--overwrite", "--dry-run=server"]).then(
      () => false,
      () => true,
    );
  for (const object of [policy, binding]) await of.kubectl(["apply", "-f", "-"], JSON.stringify(object));
  await until(isDenied, 20_000, "the admission policy");
  return async () => {
    for (const { kind } of [binding, policy]) await of.kubectl(["delete", kind, metadata.name]);
    await until(async () => !(await isDenied()), 20_000, "the end of the admission policy");
  };
}

it("clears the status when the rollout is turned off, and asks the API server for nothing then", async () => {
  await rolledOutOnce("off");
  await world.apply("off", { data: [{ key: "A", parameter: { name: "/off" } }] });
  await world.sync();
  await pass(1_000);
  const { status } = await world.synced("off");
  expect(status?.workloads).toBeUndefined();
  expect(status?.rolledOutRevision).toBeUndefined();
  expect(await rolledOut("off")).toBeUndefined();
});

it("sends events about the SyncedSecret and the workload", async () => {
  await rolledOutOnce("events");
  await world.engine.recorder.flush();
  const { items } = JSON.parse(await world.kubectl(["get", "events.v1.events.k8s.io", "-o", "json"])) as {
    items: { regarding: { kind: string; name: string }; reason: string; note: string }[];
  };
  const of = items.filter(({ regarding, reason }) => regarding.name === "events" && reason === "WorkloadRestarted");
  expect(of.map(({ regarding }) => regarding.kind).sort()).toEqual(["Deployment", "SyncedSecret"]);
  expect(of[0]!.note).toBe("Secret events has changed: Deployment events was restarted");
});

it("sends not one request more without a rollout", async () => {
  const plain = await makeWorld(cluster, "norollout");
  await plain.aws.putParameter({ name: "/plain", value: "one" });
  await plain.apply("plain", { data: [{ key: "A", parameter: { name: "/plain" } }] });
  await plain.sync();
  await plain.rollOut();
  const audit = await AuditReader.from(cluster.auditLogPath!);
  await plain.aws.putParameter({ name: "/plain", value: "two" });
  await plain.pass(300_000, 1);
  while (await plain.rollOut()) await plain.sync();
  const requests = (await audit.take()).filter(({ userAgent }) => userAgent === `keyferry-test/${plain.namespace}`);
  const others = requests.filter(
    ({ verb, resource }) => verb !== "list" && !(verb === "get" && resource === "secrets"),
  );
  const reads = requests.filter(({ verb, name }) => verb === "get" && name === "plain");
  expect(reads).toEqual([]);
  expect(others.map(({ verb, resource }) => `${verb} ${resource}`).sort()).toEqual([
    "patch secrets",
    "patch syncedsecrets/status",
  ]);
  const lists = new Set(requests.filter(({ verb }) => verb === "list").map(({ resource }) => resource));
  expect([...lists].filter((resource) => !/secrets|connections|namespaces/.test(resource))).toEqual([]);
});
