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

/** Requests of this operator to the API server that are not a cache's lists, and calls to AWS. */
async function costOf(work: () => Promise<void>): Promise<{ kube: number; aws: number }> {
  aws.resetCalls();
  const audit = await AuditReader.from(cluster.auditLogPath);
  await work();
  const isOurs = ({ userAgent }: { userAgent: string }) => userAgent.includes(`keyferry-test/${world.namespace}`);
  const requests = (await audit.take()).filter((event) => isOurs(event) && event.verb !== "list");
  return { kube: requests.length, aws: aws.count() };
}

describe("a forged owner reference or label", () => {
  it("costs no request, and has nothing reconciled", async () => {
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
    // With the right uid it would have been taken for a former target, and deleted.
    expect(await world.data("forged-live")).toEqual({ A: "theirs" });
    world.engine.syncedSecrets.handle = handle;
  });
});
