import type { ClusterHandle } from "../cluster/handle.ts";

/** An object of the API server, as far as upgrades are judged by it. */
export interface Seen {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    resourceVersion: string;
    annotations?: Record<string, string>;
    finalizers?: string[];
    ownerReferences?: { uid: string; kind: string; name: string }[];
  };
  /** Of a Secret, in base64. */
  data?: Record<string, string>;
  status?: { revision?: string; conditions?: { type: string; status: string; reason: string }[] };
}

/** The Secrets and SyncedSecrets of a namespace at one moment, by name. */
export interface Snapshot {
  secrets: ReadonlyMap<string, Seen>;
  syncedSecrets: ReadonlyMap<string, Seen>;
}

/** Takes a snapshot of a namespace. */
export async function snapshotOf(cluster: ClusterHandle, namespace: string): Promise<Snapshot> {
  const { items } = JSON.parse(
    await cluster.run(["get", "secrets,syncedsecrets", "--namespace", namespace, "--output", "json"]),
  ) as { items: Seen[] };
  const byName = (kind: string) =>
    new Map(items.filter((one) => one.kind === kind).map((one) => [one.metadata.name, one]));
  return { secrets: byName("Secret"), syncedSecrets: byName("SyncedSecret") };
}

/** A value of a Secret as text; undefined if the Secret or the key does not exist. */
export function secretValue({ secrets }: Snapshot, secret: string, key: string): string | undefined {
  const value = secrets.get(secret)?.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, "base64").toString();
}

/** What pods and controllers see of an object's identity: `uid resourceVersion`, by name. */
export function versionsOf(objects: ReadonlyMap<string, Seen>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => {
      const { uid, resourceVersion } = objects.get(name)?.metadata ?? {};
      return [name, `${uid} ${resourceVersion}`];
    }),
  );
}

/** Every Event of a namespace as `object reason × count`, sorted. */
export async function eventsOf(cluster: ClusterHandle, namespace: string): Promise<string[]> {
  const args = ["get", "events.v1.events.k8s.io", "--namespace", namespace, "--output", "json"];
  const { items } = JSON.parse(await cluster.run(args)) as {
    items: { regarding: { name: string }; reason: string; series?: { count: number } }[];
  };
  return items.map(({ regarding, reason, series }) => `${regarding.name} ${reason} × ${series?.count ?? 1}`).sort();
}
