import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { documents, keysOf, openStage, readyCount, type Stage, synced } from "../e2e/stage.ts";
import { chart } from "../helm/chart.ts";
import { definitions, Release } from "../helm/release.ts";
import { until } from "../support/operator.ts";
import { Pods } from "./pods.ts";
import { snapshotOf, versionsOf } from "./snapshot.ts";
import { present } from "./versions.ts";

/** Uninstalling, with the API server's own garbage collector and namespace controller. `make upgrade` runs all. */
const isCampaign = Boolean(process.env.CAMPAIGNS);

const targets = { owner: {}, orphan: { creationPolicy: "Orphan" }, merge: { creationPolicy: "Merge" } } as const;
const secrets = Object.keys(targets);
/** The garbage collector would have acted by then. */
const settledMs = 3_000;

/** The chart with its operator, and one SyncedSecret of each creation policy in `shop` and in `other`, Ready. */
async function installed(): Promise<{ stage: Stage; release: Release; pods: Pods }> {
  const stage = await openStage();
  const { cluster, aws } = stage;
  const release = new Release(cluster, "keyferry-system");
  const pods = new Pods(stage, release);
  await cluster.run(["create", "namespace", release.namespace]);
  await release.install({ allowInsecureEndpoints: true }, chart, "--take-ownership");
  await stage.connect();
  for (const namespace of ["shop", "other"]) {
    await cluster.run(["create", "namespace", namespace]);
    await aws.putParameter({ name: `/${namespace}/p`, type: "SecureString", value: "v" });
    const metadata = { name: "merge", namespace, annotations: { "keyferry.io/allow-merge": "merge" } };
    const mergedInto = { apiVersion: "v1", kind: "Secret", metadata, stringData: { theirs: "kept" } };
    const all = Object.entries(targets).map(([name, target]) =>
      synced(namespace, name, { ...keysOf([`/${namespace}/p`]), target }),
    );
    await cluster.run(["apply", "-f", "-"], documents([mergedInto, ...all]));
  }
  await pods.roll(present);
  for (const namespace of ["shop", "other"]) {
    await until(async () => (await readyCount(cluster, namespace)) === secrets.length, 30_000, "the first sync");
  }
  return { stage, release, pods };
}

const isGone = async ({ cluster }: Stage, ...what: string[]) =>
  (await cluster.kubectl(["get", ...what])).stderr.includes("NotFound");

describe("uninstalled with the documented commands", () => {
  let stage: Stage;
  let release: Release;
  let pods: Pods;
  beforeAll(async () => {
    ({ stage, release, pods } = await installed());
  }, 240_000);
  afterAll(async () => {
    await pods?.stop();
    await stage?.close();
  });

  it("helm uninstall keeps every Secret, SyncedSecret and definition, and nothing has a finalizer", async () => {
    const { cluster } = stage;
    const before = await snapshotOf(cluster, "shop");
    await pods.stop();
    await release.uninstall();
    expect(await release.objects()).toEqual([]);
    expect(await release.definitions()).toEqual(definitions);
    const { secrets: now, syncedSecrets } = await snapshotOf(cluster, "shop");
    expect(versionsOf(now, secrets)).toEqual(versionsOf(before.secrets, secrets));
    const all = [...now.values(), ...syncedSecrets.values()];
    expect(all.filter(({ metadata }) => metadata.finalizers?.length)).toEqual([]);
  });

  it("a namespace can be deleted while no operator runs", async () => {
    await stage.cluster.run(["delete", "namespace", "other", "--timeout", "30s"]);
    expect(await isGone(stage, "namespace", "other")).toBe(true);
  });

  it("SyncedSecrets deleted with --cascade=orphan leave their Secrets, also after their definitions", async () => {
    const { cluster } = stage;
    const before = await snapshotOf(cluster, "shop");
    await cluster.run(["delete", "syncedsecrets", "--all", "--all-namespaces", "--cascade=orphan", "--timeout", "30s"]);
    const names = definitions.map((name) => name.split("/")[1]!);
    await cluster.run(["delete", "crd", ...names, "--timeout", "30s"]);
    expect(await release.definitions()).toEqual([]);
    await sleep(settledMs);
    for (const name of secrets) {
      const { items } = JSON.parse(
        await cluster.run(["get", "secrets", "-n", "shop", "--field-selector", `metadata.name=${name}`, "-o", "json"]),
      ) as { items: { metadata: { uid: string; ownerReferences?: object[] }; data: object }[] };
      const was = before.secrets.get(name)!;
      expect(items.map(({ metadata }) => metadata.uid)).toEqual([was.metadata.uid]);
      expect(items[0]!.metadata.ownerReferences ?? []).toEqual([]);
      expect(items[0]!.data).toEqual(was.data);
    }
  });

  it("the namespaces and the operator's own can be deleted then", async () => {
    await stage.cluster.run(["delete", "namespace", "shop", release.namespace, "--timeout", "30s"]);
    expect(await isGone(stage, "namespace", "shop")).toBe(true);
    expect(await isGone(stage, "namespace", release.namespace)).toBe(true);
  });
});

it.skipIf(!isCampaign)(
  "definitions deleted first take the Secrets of the policy Owner with them, and leave those of Orphan and Merge",
  async () => {
    const { stage, release, pods } = await installed();
    const { cluster } = stage;
    try {
      await pods.stop();
      await release.uninstall();
      await cluster.run(["delete", "crd", "syncedsecrets.keyferry.io", "--timeout", "30s"]);
      await until(() => isGone(stage, "secret", "owner", "-n", "shop"), 60_000, "the garbage collection");
      await sleep(settledMs);
      const left = await cluster.run(["get", "secrets", "-n", "shop", "-o", "jsonpath={.items[*].metadata.name}"]);
      expect(left.split(" ").sort()).toEqual(["merge", "orphan"]);
      await cluster.run(["delete", "namespace", "shop", "other", "--timeout", "30s"]);
    } finally {
      await pods.stop();
      await stage.close();
    }
  },
  240_000,
);
