import { describe, expect, it } from "vitest";
import { AuditReader } from "../cluster/audit.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "forged");
const { aws } = world;

const one = (key: string, name: string) => ({ key, parameter: { name } });
const b64 = (text: string) => Buffer.from(text).toString("base64");

async function settled(name: string, extra: object = {}): Promise<void> {
  await aws.putParameter({ name: `/${name}/a`, value: "a" });
  await world.apply(name, { data: [one("A", `/${name}/a`)], ...extra });
  await world.sync();
  expect(await world.data(name)).toEqual({ A: "a" });
}

type Ssa = { metadata: object; data: object };

/** Applies with the operator's own field manager. */
const forge = (name: string, { metadata, data }: Ssa, manager = "keyferry") => {
  const body = { apiVersion: "v1", kind: "Secret", metadata: { name, ...metadata }, data };
  const args = ["apply", "--server-side", `--field-manager=${manager}`, "--force-conflicts", "-f", "-"];
  return world.kubectl(args, JSON.stringify(body));
};

/** The operator's apply with other data. */
async function copied(name: string, data: object): Promise<Ssa> {
  const { annotations, labels, ownerReferences } = (await world.secret(name))!.metadata;
  return { metadata: { annotations, labels, ...(ownerReferences ? { ownerReferences } : {}) }, data };
}

/** Waits until managedFields, whose times are in seconds, can distinguish two applies. */
const anotherSecond = () => new Promise<void>((resolve) => setTimeout(resolve, 1_100));

const sourcesMetadata = async (name: string) => {
  await world.engine.recorder.flush();
  const list = JSON.parse(await world.kubectl(["get", "events.v1.events.k8s.io", "-o", "json"])) as {
    items: { regarding: { name: string }; reason: string; note: string }[];
  };
  return list.items.filter(({ regarding }) => regarding.name === name).map(({ reason, note }) => `${reason}: ${note}`);
};

/** Counts this operator's requests to the API server, without lists of caches, and calls to AWS. */
async function costOf(work: () => Promise<void>): Promise<{ kube: number; aws: number }> {
  aws.resetCalls();
  const audit = await AuditReader.from(cluster.auditLogPath);
  await work();
  const isOurs = ({ userAgent }: { userAgent: string }) => userAgent.includes(`keyferry-test/${world.namespace}`);
  const requests = (await audit.take()).filter((event) => isOurs(event) && event.verb !== "list");
  return { kube: requests.length, aws: aws.count() };
}

describe("a forged owner reference or label", () => {
  it("causes no request and no reconcile", async () => {
    await settled("owner");
    const { uid } = (await world.synced("owner")).metadata;
    const reference = (name: string, id: string) => ({
      apiVersion: "keyferry.io/v1alpha1",
      kind: "SyncedSecret",
      name,
      uid: id,
      controller: true,
    });
    const forged = (name: string, owner: object) => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name, labels: { "keyferry.io/synced-secret": "true" }, ownerReferences: [owner] },
      data: { A: b64("theirs") },
    });
    const items = [
      forged("forged-uid", reference("owner", "00000000-0000-4000-8000-000000000000")),
      forged("forged-name", reference("nobody", "00000000-0000-4000-8000-000000000001")),
      forged("forged-live", reference("owner", uid!)),
    ];
    let reconciled = 0;
    const handle = world.engine.syncedSecrets.handle.bind(world.engine.syncedSecrets);
    world.engine.syncedSecrets.handle = async (key) => {
      reconciled++;
      return handle(key);
    };
    const cost = await costOf(async () => {
      for (const item of items) await world.kubectl(["create", "-f", "-"], JSON.stringify(item));
      await world.sync();
      for (const { metadata } of items) {
        await world.kubectl(["label", "secret", metadata.name, "x=y"]).catch(() => {});
        await world.sync();
      }
    });
    expect(cost).toEqual({ kube: 0, aws: 0 });
    expect(reconciled).toBe(0);
    // With the right uid it would be taken for a former target, and deleted.
    expect(await world.data("forged-live")).toEqual({ A: "theirs" });
    world.engine.syncedSecrets.handle = handle;
  });
});

describe("a foreign apply with the operator's field manager is repaired", () => {
  it.each<[string, (name: string) => Promise<void>]>([
    ["while the operator runs", () => anotherSecond()],
    ["in the second of the operator's own apply", async () => {}],
    [
      "while the operator is down",
      async () => {
        await anotherSecond();
        await world.restart();
      },
    ],
  ])("%s", async (when, before) => {
    const name = `apply-${when.split(" ").at(-1)!}`;
    await settled(name);
    await before(name);
    await forge(name, await copied(name, { A: b64("forged") }));
    await world.sync();
    expect(await world.data(name)).toEqual({ A: "a" });
    expect(await sourcesMetadata(name)).toEqual([
      `Repaired: Secret ${name} was edited by an apply of another client as field manager keyferry, and was repaired`,
    ]);
    aws.resetCalls();
    await world.restart();
    await world.sync();
    expect(aws.count({ operation: "GetParameters" })).toBe(0);
    expect(await world.data(name)).toEqual({ A: "a" });
  });

  it("also with additional keys, which are removed, and a matching digest of keys", async () => {
    await settled("more");
    await anotherSecond();
    const { keysDigest } = await import("../../src/controllers/syncedsecret/plan/digest.ts");
    const forged = await copied("more", { A: b64("forged"), Z: b64("z") });
    Object.assign((forged.metadata as { annotations: object }).annotations, {
      "keyferry.io/key-digest": keysDigest(["A", "Z"]),
    });
    await forge("more", forged);
    await world.sync();
    expect(await world.data("more")).toEqual({ A: "a" });
  });

  it("under Orphan and Once too", async () => {
    await settled("orphan", { target: { creationPolicy: "Orphan" }, refresh: { policy: "Once" } });
    await anotherSecond();
    await forge("orphan", await copied("orphan", { A: b64("forged") }));
    await world.sync();
    expect(await world.data("orphan")).toEqual({ A: "a" });
  });

  it("under Merge, where the field manager carries the uid", async () => {
    await world.kubectl(["create", "secret", "generic", "merged", "--from-literal=THEIRS=t"]);
    await world.kubectl(["annotate", "secret", "merged", "keyferry.io/allow-merge=merged"]);
    await aws.putParameter({ name: "/merged", value: "m" });
    await world.apply("merged", { data: [one("A", "/merged")], target: { creationPolicy: "Merge" } });
    await world.sync();
    await world.pass(60_000);
    expect(await world.data("merged")).toEqual({ THEIRS: "t", A: "m" });
    await anotherSecond();
    const { uid } = (await world.synced("merged")).metadata;
    await forge("merged", await copied("merged", { A: b64("forged") }), `keyferry-${uid}`);
    await world.sync();
    expect(await world.data("merged")).toEqual({ THEIRS: "t", A: "m" });
  });
});

it("foreign edits of metadata, even after a restart, cost no decryption and no write", async () => {
  await settled("edited");
  await anotherSecond();
  await world.kubectl(["label", "secret", "edited", "team=shop"]);
  const cost = await costOf(async () => {
    await world.sync();
    await world.restart();
    await world.sync();
  });
  expect(cost.kube).toBe(1);
  expect(aws.count({ operation: "GetParameters" })).toBe(0);
});

it("a status without a record, from an earlier release, is accepted and not written again", async () => {
  await settled("earlier");
  const patch = JSON.stringify({ status: { applied: null } });
  await world.kubectl(["patch", "kss", "earlier", "--subresource=status", "--type=merge", "-p", patch]);
  await world.restart();
  await world.sync();
  expect((await world.synced("earlier")).status!.applied).toBeUndefined();
  await anotherSecond();
  await forge("earlier", await copied("earlier", { A: b64("forged") }));
  await world.sync();
  expect(await world.data("earlier")).toEqual({ A: "a" });
  expect((await world.synced("earlier")).status!.applied).toMatchObject({ time: expect.any(String) });
});

describe("a Secret without its owner", () => {
  const withoutOwner = (name: string) =>
    world.kubectl([
      "patch",
      "secret",
      name,
      "--type=merge",
      "-p",
      JSON.stringify({ metadata: { ownerReferences: null } }),
    ]);

  it("gets it back, with the label, if the annotation with the uid is our own", async () => {
    await settled("restored");
    await withoutOwner("restored");
    await world.kubectl(["label", "secret", "restored", "keyferry.io/synced-secret-"]);
    await world.sync();
    const { ownerReferences, labels } = (await world.secret("restored"))!.metadata;
    expect(ownerReferences).toHaveLength(1);
    expect(labels).toMatchObject({ "keyferry.io/synced-secret": "true" });
    expect(await world.ready("restored")).toMatchObject({ status: "True" });
  });

  it("is repaired after kubectl replace from a backup without uid, owner and managed fields", async () => {
    await settled("replaced");
    const { annotations, labels } = (await world.secret("replaced"))!.metadata;
    await aws.putParameter({ name: "/replaced/a", value: "newer", overwrite: true });
    await world.pass(600_000, 2);
    expect(await world.data("replaced")).toEqual({ A: "newer" });
    const backup = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "replaced", annotations, labels },
      data: { A: b64("a") },
    };
    await world.kubectl(["replace", "-f", "-"], JSON.stringify(backup));
    await world.sync();
    expect(await world.data("replaced")).toEqual({ A: "newer" });
    expect((await world.secret("replaced"))!.metadata.ownerReferences).toHaveLength(1);
  });

  it.each(["copied annotations only", "a mark of another uid"])(
    "is not taken with %s: the one command is named",
    async (what) => {
      const name = what.startsWith("copied") ? "copied" : "another";
      await aws.putParameter({ name: `/${name}/a`, value: "a" });
      await world.apply(name, { data: [one("A", `/${name}/a`)] });
      const { uid } = (await world.synced(name)).metadata;
      const mark = what.startsWith("copied") ? uid! : "00000000-0000-4000-8000-000000000000";
      const metadata = { name, annotations: { "keyferry.io/owner-uid": mark } };
      const body = { apiVersion: "v1", kind: "Secret", metadata, data: { A: b64("theirs") } };
      if (mark === uid) await world.kubectl(["create", "-f", "-"], JSON.stringify(body));
      else await forge(name, { metadata, data: body.data });
      await world.sync();
      await world.pass(60_000);
      expect(await world.data(name)).toEqual({ A: "theirs" });
      const { reason, message } = await world.ready(name);
      expect(reason).toBe("SecretConflict");
      expect(message).toContain(`kubectl annotate secret ${name} keyferry.io/adopt=${name}`);
      await world.kubectl(["annotate", "secret", name, `keyferry.io/adopt=${name}`]);
      await world.pass(60_000);
      expect(await world.data(name)).toEqual({ A: "a" });
    },
  );

  it("that another controller owns is never taken over, and the message names the first step", async () => {
    const owner = {
      apiVersion: "external-secrets.io/v1",
      kind: "ExternalSecret",
      name: "shop",
      uid: "u-1",
      controller: true,
    };
    const body = { apiVersion: "v1", kind: "Secret", metadata: { name: "external", ownerReferences: [owner] } };
    await world.kubectl(["create", "-f", "-"], JSON.stringify(body));
    await aws.putParameter({ name: "/external", value: "a" });
    await world.apply("external", { data: [one("A", "/external")] });
    await world.sync();
    await world.pass(60_000);
    expect((await world.ready("external")).message).toContain(
      "its controller is ExternalSecret shop: remove that owner reference, then run kubectl annotate secret external keyferry.io/adopt=external",
    );
  });
});

it("a foreign key added to our Secret stays, and the event of a repair names it", async () => {
  await settled("added");
  const patch = { data: { A: b64("edited"), THEIRS: b64("t") } };
  await world.kubectl(["patch", "secret", "added", "--type=merge", "-p", JSON.stringify(patch)]);
  await world.sync();
  expect(await world.data("added")).toEqual({ A: "a", THEIRS: "t" });
  expect(await sourcesMetadata("added")).toEqual([
    "Repaired: Secret added was edited by kubectl-patch, and was repaired; keys that others have added stay: THEIRS",
  ]);
});
