import { expect, it } from "vitest";
import type { AnyConnection } from "../../src/api/any-connection.ts";
import type { SyncedSecret } from "../../src/api/types.ts";
import { clusterAWSConnections, type KubeObject, syncedSecrets } from "../../src/kube/resource.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { EngineRig } from "../support/engine.ts";
import { makeWorld } from "./world.ts";

/** Statuses that were decided on an older version of their resource, as those of a leader that was replaced. */

const world = await makeWorld(await sharedCluster(), "stale-status");
const one = (name: string) => ({ data: [{ key: "V", parameter: { name } }] });
const ready = (message: string) => ({
  type: "Ready",
  status: "False" as const,
  reason: "Throttled",
  message,
  observedGeneration: 1,
  lastTransitionTime: "2026-01-01T00:00:00Z",
});
const asWriter = { fieldManager: "keyferry", force: true, subresource: "status" } as const;

it("a stale status of a SyncedSecret is refused, and decided again on the new version", async () => {
  await world.aws.putParameter({ name: "/p", value: "v" });
  await world.apply("s", one("/p"));
  await world.sync();
  await world.aws.putParameter({ name: "/p", value: "w" });
  await world.kubectl(["annotate", "syncedsecret", "s", "keyferry.io/refresh=now"]);
  await world.fill();
  // Another leader writes now.
  const { apiVersion, kind, metadata } = await world.synced("s");
  const status = { conditions: [ready("by another leader")] };
  const newer = { apiVersion, kind, metadata: { namespace: metadata.namespace, name: "s" }, status };
  await world.client.apply(syncedSecrets, newer as unknown as SyncedSecret & KubeObject, asWriter);
  await world.work();
  expect(await world.ready("s")).toMatchObject({ message: "by another leader" });
  await world.pass(2_000);
  expect(await world.ready("s")).toMatchObject({ status: "True" });
  expect((await world.synced("s")).status?.lastHandledRefresh).toBe("now");
});

it("a stale status of a connection is refused, and decided again on the new version", async () => {
  const get = () => world.client.get<AnyConnection & KubeObject>(clusterAWSConnections, undefined, world.namespace);
  await world.sync();
  await world.kubectl([
    ...["patch", "cawsc", world.namespace, "--type", "merge"],
    ...["--patch", JSON.stringify({ spec: { pollInterval: "7m" } })],
  ]);
  await world.fill();
  const { apiVersion, kind } = await get();
  const status = { conditions: [ready("by another leader")] };
  const newer = { apiVersion, kind, metadata: { name: world.namespace }, status };
  await world.client.apply(clusterAWSConnections, newer as unknown as KubeObject, asWriter);
  await world.work();
  expect((await get()).status?.conditions?.[0]).toMatchObject({ message: "by another leader" });
  await world.pass(2_000);
  expect((await get()).status).toMatchObject({ pollInterval: "7m", conditions: [{ status: "True" }] });
});

it("a status that follows another before the watch shows it requires the version of that one", async () => {
  const rig = new EngineRig();
  try {
    rig.namespace("a");
    rig.credentials.set("a/aws", "AKIAA");
    rig.connection("a", "c", { region: "eu-west-1", auth: { secretRef: { name: "aws" } }, pollInterval: "10s" });
    rig.aws.put("/p", "1");
    const connectionRef = { kind: "AWSConnection" as const, name: "c" };
    rig.start();
    rig.synced("a", "s", { connectionRef, ...one("/p") });
    await rig.pass(1_000);
    rig.aws.put("/p", "2");
    await rig.pass(20_000);
    const [first, second] = rig.writes.filter(({ kind }) => kind === "status").map(({ base }) => Number(base));
    expect(first).toBeGreaterThan(100);
    expect(second).toBeGreaterThan(first!);
  } finally {
    rig.stop();
  }
});
