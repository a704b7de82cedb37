import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { AuditReader } from "../cluster/audit.ts";
import { type Cluster, startCluster } from "../cluster/cluster.ts";
import { type Emulator, startEmulator } from "../emulator/emulator.ts";
import { connectionManifests } from "../support/connection-manifests.ts";
import { startOperator } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";

/** A cluster and an emulator for the built program, which runs as its own process. */
export interface Stage {
  cluster: Cluster;
  aws: Emulator;
  audit: AuditReader;
  operator(
    args?: string[],
    options?: {
      kubeconfig?: string;
      ready?: boolean;
      env?: Record<string, string>;
      node?: readonly string[];
      bundle?: string;
    },
  ): ReturnType<typeof startOperator>;
  /** Creates ClusterAWSConnection default, which allows everything. */
  connect(spec?: object): Promise<void>;
  /** Creates a namespace with SyncedSecrets of ten SecureStrings each. */
  bulk(namespace: string, resources: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts a stage. AWS is in memory, without a quota.
 *
 * @param options.crds the folder of CustomResourceDefinitions to apply, default `crds`; undefined applies none
 * @param options.controllers of kube-controller-manager, besides those that every test needs
 */
export async function openStage(
  options: { crds?: string | undefined; controllers?: readonly string[] } = { crds: "crds" },
): Promise<Stage> {
  const { controllers = [] } = options;
  const [cluster, aws, folder] = await Promise.all([
    startCluster({ audit: true, controllers, ...(options.crds === undefined ? {} : { crds: options.crds }) }),
    startEmulator({ reads: "memory", quota: "none" }),
    mkdtemp(join(tmpdir(), "keyferry-e2e-")),
  ]);
  removeAtEnd(folder);
  return {
    cluster,
    aws,
    audit: await AuditReader.from(cluster.auditLogPath),
    operator: (args = [], { kubeconfig = cluster.kubeconfigPath, ready = true, env = {}, node = [], bundle } = {}) =>
      startOperator({ kubeconfig, folder, args, ready, env, node, ...(bundle === undefined ? {} : { bundle }) }),
    async connect(spec = {}) {
      await cluster.run(["apply", "-f", "-"], connectionTo(aws.url, spec));
    },
    async bulk(namespace, resources) {
      await cluster.run(["create", "namespace", namespace]);
      const objects: object[] = [];
      for (let index = 0; index < resources; index++) {
        const names = Array.from({ length: 10 }, (_, key) => `/${namespace}/r${index}/k${key}`);
        for (const name of names) await aws.putParameter({ name, type: "SecureString", value: "v" });
        objects.push(synced(namespace, `r${index}`, keysOf(names)));
      }
      await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
    },
    async close() {
      await cluster.stop();
      await aws.stop();
    },
  };
}

/** The manifest of ClusterAWSConnection default to an emulator, which allows everything, with its credentials. */
export function connectionTo(url: string, spec: object = {}): string {
  const { credentials, connection } = connectionManifests(
    "default",
    url,
    { name: "aws", namespace: "default" },
    {
      allow: { namespaces: { selector: {} }, parameters: ["/*"], keyIds: ["*"] },
      limits: { ssmRequestsPerSecond: 10_000, kmsRequestsPerSecond: 100_000 },
      ...spec,
    },
  );
  return documents([credentials, connection]);
}

/** A cluster connection for one namespace, with its name and its own access key. */
export function connectionOf(namespace: string, url: string, ssmRequestsPerSecond: number): object[] {
  const accessKey = { name: "aws", namespace, accessKeyId: `AKIA${namespace.toUpperCase()}` };
  const { credentials, connection } = connectionManifests(namespace, url, accessKey, {
    allow: { namespaces: { names: [namespace] }, parameters: ["/*"] },
    limits: { ssmRequestsPerSecond },
  });
  return [credentials, connection];
}

/** A SyncedSecret's manifest. */
export function synced(namespace: string, name: string, spec: SyncedSecretSpec): object {
  return { apiVersion: "keyferry.io/v1alpha1", kind: "SyncedSecret", metadata: { namespace, name }, spec };
}

/** Objects as one list, for a single kubectl apply. */
export function documents(items: object[]): string {
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

/** The spec of a Secret with one key per parameter. */
export function keysOf(parameters: readonly string[]): SyncedSecretSpec {
  return { data: parameters.map((name, index) => ({ key: `K${index}`, parameter: { name } })) };
}

/** The number of Ready SyncedSecrets in a namespace. */
export async function readyCount(cluster: Cluster, namespace: string): Promise<number> {
  const jsonpath = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}';
  const lines = await cluster.run(["get", "syncedsecrets", "-n", namespace, "-o", `jsonpath=${jsonpath}`]);
  return lines.split("\n").filter((line) => line === "True").length;
}
