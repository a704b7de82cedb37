import { describe, expect, it } from "vitest";
import type { LeaseState } from "../../src/kube/leases/lease-observer.ts";
import { secrets } from "../../src/kube/resource.ts";
import { AuditReader } from "../cluster/audit.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { until } from "../support/operator.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "drift");
const { aws } = world;
const minute = 60_000;

const one = (key: string, name: string) => ({ key, parameter: { name } });

/** Creates a SyncedSecret of two keys, and syncs it. */
async function settled(name: string, extra: object = {}): Promise<void> {
  await aws.putParameter({ name: `/${name}/a`, value: "a" });
  await aws.putParameter({ name: `/${name}/b`, type: "SecureString", value: "b" });
  await world.apply(name, { data: [one("A", `/${name}/a`), one("B", `/${name}/b`)], ...extra });
  await world.sync();
  expect(await world.data(name)).toEqual({ A: "a", B: "b" });
}

const patch = (name: string, body: object) =>
  world.kubectl(["patch", "secret", name, "--type", "merge", "--patch", JSON.stringify(body)]);
const b64 = (text: string) => Buffer.from(text).toString("base64");
const events = async (name: string) => {
  await world.engine.recorder.flush();
  const list = JSON.parse(await world.kubectl(["get", "events.v1.events.k8s.io", "-o", "json"])) as {
    items: { regarding: { name: string }; reason: string; note: string }[];
  };
  return list.items.filter(({ regarding }) => regarding.name === name);
};

describe("drift of a Secret is repaired", () => {
  it("after a key was edited, with one event", async () => {
    await settled("edited");
    await patch("edited", { data: { A: b64("hacked") } });
    await world.sync();
    expect(await world.data("edited")).toEqual({ A: "a", B: "b" });
    expect((await events("edited")).map(({ note }) => note)).toEqual([
      "Secret edited was edited by kubectl-patch, and was repaired",
    ]);
  });

  it("after a key was removed", async () => {
    await settled("removed");
    await patch("removed", { data: { B: null } });
    await world.sync();
    expect(await world.data("removed")).toEqual({ A: "a", B: "b" });
  });

  it("after a key of a path was removed while the operator was down", async () => {
    for (const key of ["a", "b"]) await aws.putParameter({ name: `/down/${key}`, value: key });
    await world.apply("down", { dataFrom: [{ path: { name: "/down" } }] });
    await world.sync();
    await patch("down", { data: { b: null } });
    await world.restart();
    await world.sync();
    expect(await world.data("down")).toEqual({ a: "a", b: "b" });
  });

  it("after its label was removed", async () => {
    await settled("label");
    await world.kubectl(["label", "secret", "label", "keyferry.io/synced-secret-"]);
    await world.sync();
    expect((await world.secret("label"))!.metadata.labels).toMatchObject({ "keyferry.io/synced-secret": "true" });
  });

  it("after its label was removed while the operator was down", async () => {
    await settled("labeldown");
    await world.kubectl(["label", "secret", "labeldown", "keyferry.io/synced-secret-"]);
    await world.restart();
    await world.sync();
    expect((await world.secret("labeldown"))!.metadata.labels).toMatchObject({ "keyferry.io/synced-secret": "true" });
  });

  it.each(["keyferry.io/revision", "keyferry.io/key-digest", "team"])(
    "after its annotation %s was removed",
    async (key) => {
      const name = `ann-${key.replace("keyferry.io/", "")}`;
      await settled(name, { target: { annotations: { team: "shop" } } });
      await world.kubectl(["annotate", "secret", name, `${key}-`]);
      await world.sync();
      expect((await world.secret(name))!.metadata.annotations).toHaveProperty([key]);
    },
  );

  it("after its owner reference was removed", async () => {
    await settled("owner");
    await patch("owner", { metadata: { ownerReferences: null } });
    await world.sync();
    expect(await world.ready("owner")).toMatchObject({ status: "True" });
    expect((await world.secret("owner"))!.metadata.ownerReferences).toHaveLength(1);
  });

  it("after its managedFields were cleared, and a key dropped later is removed", async () => {
    await settled("wiped");
    await patch("wiped", { metadata: { managedFields: [{}] } });
    await world.sync();
    const managers = (await world.secret("wiped"))!.metadata.managedFields!.map(({ manager }) => manager);
    expect(managers).not.toContain("before-first-apply");
    await world.apply("wiped", { data: [one("A", "/wiped/a")] });
    await world.sync();
    expect(await world.data("wiped")).toEqual({ A: "a" });
  });

  it("after it was deleted", async () => {
    await settled("deleted");
    await world.kubectl(["delete", "secret", "deleted"]);
    await world.sync();
    expect(await world.data("deleted")).toEqual({ A: "a", B: "b" });
  });

  it("but not if a co-owner has the same value: nothing is decrypted or written", async () => {
    await settled("coowner");
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "coowner" }, data: { A: b64("a") } };
    await world.kubectl(["apply", "--server-side", "--field-manager", "other", "-f", "-"], JSON.stringify(secret));
    aws.resetCalls();
    const audit = await AuditReader.from(cluster.auditLogPath);
    await world.sync();
    expect(aws.count()).toBe(0);
    const writes = (await audit.take()).filter(
      ({ userAgent, verb }) => userAgent.includes(world.namespace) && verb === "patch",
    );
    expect(writes).toEqual([]);
  });

  it("but not if a source is missing: the edit stays, and the condition reports it", async () => {
    await settled("gone");
    await aws.deleteParameter("/gone/b");
    await patch("gone", { data: { B: b64("edited") } });
    await world.sync();
    expect((await world.data("gone"))!.B).toBe("edited");
    expect(await world.ready("gone")).toMatchObject({ status: "False", reason: "SourceGone" });
    await aws.putParameter({ name: "/gone/b", value: "again" });
    await world.pass(10 * minute);
    expect((await world.data("gone"))!.B).toBe("again");
  });
});

describe("a foreign Secret", () => {
  const stranger = (name: string, key: string) =>
    world.kubectl(["create", "secret", "generic", name, `--from-literal=${key}=theirs`]);

  it.each([
    ["equal keys", "A"],
    ["other keys", "Z"],
  ])("that exists is never changed: %s", async (_, key) => {
    const name = `stranger-${key.toLowerCase()}`;
    await stranger(name, key);
    await aws.putParameter({ name: `/${name}`, value: "ours" });
    await world.apply(name, { data: [one("A", `/${name}`)] });
    await world.sync();
    await world.pass(minute);
    expect(await world.data(name)).toEqual({ [key]: "theirs" });
    expect(await world.ready(name)).toMatchObject({ status: "False", reason: "SecretConflict" });
  });

  it.each([
    ["equal keys", "A"],
    ["other keys", "Z"],
  ])("that is created between the look and the write is never changed: %s", async (_, key) => {
    const name = `race-${key.toLowerCase()}`;
    await aws.putParameter({ name: `/${name}`, value: "ours" });
    await world.apply(name, { data: [one("A", `/${name}`)] });
    await world.fill();
    const apply = world.client.apply.bind(world.client);
    world.client.apply = async (resource, object, options) => {
      if (resource === secrets && object.metadata.name === name) {
        world.client.apply = apply;
        await stranger(name, key);
      }
      return apply(resource, object, options);
    };
    await world.work();
    await world.pass(minute);
    expect(await world.data(name)).toEqual({ [key]: "theirs" });
    expect(await world.ready(name)).toMatchObject({ status: "False", reason: "SecretConflict" });
  });

  it("with a copied label and copied annotations stays foreign", async () => {
    await settled("original");
    const copy = (await world.secret("original"))!;
    const metadata = { name: "copy", labels: copy.metadata.labels, annotations: copy.metadata.annotations };
    await world.kubectl(
      ["create", "-f", "-"],
      JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata, data: { A: b64("theirs") } }),
    );
    await world.apply("copy", { data: [one("A", "/original/a")] });
    await world.sync();
    expect(await world.data("copy")).toEqual({ A: "theirs" });
    expect((await world.ready("copy")).reason).toBe("SecretConflict");
  });

  it("includes the Secret of another SyncedSecret with the same target", async () => {
    await settled("shared");
    await world.apply("second", { data: [one("C", "/shared/a")], target: { name: "shared" } });
    await world.sync();
    expect(await world.data("shared")).toEqual({ A: "a", B: "b" });
    const ready = await world.ready("second");
    expect(ready.reason).toBe("SecretConflict");
    expect(ready.message).toContain("SyncedSecret shared");
    expect((await world.ready("shared")).status).toBe("True");
  });

  it("is taken over once it has the adopt annotation", async () => {
    await stranger("adopted", "A");
    await world.kubectl(["annotate", "secret", "adopted", "keyferry.io/adopt=adopted"]);
    await aws.putParameter({ name: "/adopted", value: "ours" });
    await world.apply("adopted", { data: [one("A", "/adopted")] });
    await world.sync();
    await world.pass(minute);
    expect(await world.data("adopted")).toEqual({ A: "ours" });
    expect((await world.ready("adopted")).status).toBe("True");
  });
});

describe("creation policies", () => {
  it("Merge writes its keys into a Secret that allows it, and removes them when the SyncedSecret is deleted", async () => {
    await world.kubectl(["create", "secret", "generic", "merge-target", "--from-literal=THEIRS=t"]);
    await aws.putParameter({ name: "/merge", value: "m" });
    for (const name of ["merge-one", "merge-two"]) {
      await world.apply(name, {
        data: [one(name.toUpperCase(), "/merge")],
        target: { name: "merge-target", creationPolicy: "Merge" },
      });
    }
    await world.sync();
    expect((await world.ready("merge-one")).reason).toBe("SecretConflict");
    expect(await world.data("merge-target")).toEqual({ THEIRS: "t" });
    await world.kubectl(["annotate", "secret", "merge-target", "keyferry.io/allow-merge=merge-one"]);
    await world.pass(minute);
    expect(await world.data("merge-target")).toEqual({ THEIRS: "t", "MERGE-ONE": "m" });
    expect((await world.ready("merge-one")).status).toBe("True");
    expect((await world.ready("merge-two")).status).toBe("False");
    await world.deleteSynced("merge-one");
    await world.sync();
    await until(async () => !(await world.data("merge-target"))!["MERGE-ONE"], 5_000, "the sweep");
    expect(await world.data("merge-target")).toEqual({ THEIRS: "t" });
  });

  it("Merge reports a key that another manager claims, with the manager's name", async () => {
    await world.kubectl([
      "create",
      "secret",
      "generic",
      "claimed",
      "--from-literal=A=t",
      "--field-manager",
      "somebody",
    ]);
    await world.kubectl(["annotate", "secret", "claimed", "keyferry.io/allow-merge=claimed"]);
    await aws.putParameter({ name: "/claimed", value: "m" });
    await world.apply("claimed", { data: [one("A", "/claimed")], target: { creationPolicy: "Merge" } });
    await world.sync();
    const ready = await world.ready("claimed");
    expect(ready.reason).toBe("SecretConflict");
    expect(ready.message).toContain("somebody");
    expect(await world.data("claimed")).toEqual({ A: "t" });
  });

  it("Orphan leaves the Secret behind, and a new SyncedSecret must adopt it", async () => {
    await settled("orphan", { target: { creationPolicy: "Orphan" } });
    expect((await world.secret("orphan"))!.metadata.ownerReferences).toBeUndefined();
    await patch("orphan", { data: { A: b64("hacked") } });
    await world.sync();
    expect(await world.data("orphan")).toEqual({ A: "a", B: "b" });
    await world.deleteSynced("orphan");
    await world.sync();
    expect(await world.data("orphan")).toEqual({ A: "a", B: "b" });
    await world.apply("orphan", { data: [one("A", "/orphan/a")], target: { creationPolicy: "Orphan" } });
    await world.sync();
    expect((await world.ready("orphan")).reason).toBe("SecretConflict");
  });

  it("Owner lets the garbage collector remove the Secret, and a recreated SyncedSecret creates a new one", async () => {
    await settled("again");
    const before = (await world.secret("again"))!.metadata.uid;
    await world.deleteSynced("again");
    await world.apply("again", { data: [one("A", "/again/a")] });
    await world.sync();
    await until(
      async () => {
        await world.clock.advance(30_000);
        await world.sync();
        const secret = await world.secret("again");
        return secret !== undefined && secret.metadata.uid !== before;
      },
      20_000,
      "the new Secret",
    );
    expect(await world.data("again")).toEqual({ A: "a" });
    expect((await world.ready("again")).status).toBe("True");
  });
});

it("read-only leaves a writer's status unchanged, and reports its own result in log and metrics", async () => {
  await settled("owned");
  await world.restart({ readOnly: true });
  await world.sync();
  const before = await world.synced("owned");
  await patch("owned", { data: { A: b64("edited") } });
  await world.apply("owned-new", { data: [one("V", "/owned/new")] });
  await world.pass(10 * 60_000);
  expect((await world.synced("owned")).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  const said = world.lines.filter((line) => line.includes("belongs to another operator") && line.includes("/owned"));
  expect(said).toHaveLength(1);
  expect(said[0]).toContain('"ready":"False","reason":"Pending"');
  expect(await world.metrics.registry.metrics()).toContain(
    `keyferry_syncedsecret_ready{namespace="${world.namespace}",name="owned"} 0`,
  );
  // A SyncedSecret without a writer's status gets one, and it is updated.
  expect((await world.ready("owned-new")).reason).toBe("ParameterNotFound");
  await aws.putParameter({ name: "/owned/new", value: "v" });
  await world.pass(10 * 60_000);
  expect((await world.ready("owned-new")).message).toContain("read-only");

  await world.restart({ readOnly: false });
  await world.sync();
  expect((await world.ready("owned-new")).status).toBe("True");
  const written = await world.synced("owned-new");
  await world.restart({ readOnly: true });
  await aws.deleteParameter("/owned/new");
  await world.pass(10 * 60_000);
  expect((await world.synced("owned-new")).metadata.resourceVersion).toBe(written.metadata.resourceVersion);
  await world.restart({ readOnly: false });
});

it("read-only writes no status while a leader holds the Lease, and all of them once the Lease is free", async () => {
  await settled("led");
  const leader: { state: LeaseState; listeners: (() => void)[] } = { state: "held", listeners: [] };
  world.leader = {
    get state() {
      return leader.state;
    },
    onFree: (listener) => void leader.listeners.push(listener),
  };
  await world.restart({ readOnly: true });
  await world.apply("led-new", { data: [one("V", "/led/a")] });
  await patch("led", { data: { A: b64("edited") } });
  const before = await world.synced("led");
  await world.pass(10 * minute);
  expect((await world.synced("led")).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  expect((await world.synced("led-new")).status).toEqual({ observedGeneration: -1 });
  leader.state = "free";
  for (const listener of leader.listeners) listener();
  await world.sync();
  for (const name of ["led", "led-new"]) expect((await world.ready(name)).message).toContain("read-only");
  world.leader = undefined;
  await world.restart({ readOnly: false });
});

it("read-only checks and reports everything, and writes no Secret", async () => {
  await settled("frozen");
  await world.restart({ readOnly: true });
  await patch("frozen", { data: { A: b64("edited") } });
  await aws.putParameter({ name: "/frozen/new", value: "v" });
  await world.apply("frozen-new", { data: [one("V", "/frozen/new")] });
  await world.sync();
  expect((await world.data("frozen"))!.A).toBe("edited");
  expect(await world.secret("frozen-new")).toBeUndefined();
  expect((await world.ready("frozen-new")).message).toContain("read-only");
  await world.restart({ readOnly: false });
  await world.sync();
  expect((await world.data("frozen"))!.A).toBe("a");
  expect(await world.data("frozen-new")).toEqual({ V: "v" });
});
