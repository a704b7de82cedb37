import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import type { KubeClient } from "../src/kube/client/client.ts";
import {
  clusterAWSConnections,
  type KubeObject,
  namespaces,
  type Resource,
  secrets,
  syncedSecrets,
} from "../src/kube/resource.ts";
import { AuditReader } from "../test/cluster/audit.ts";
import { type Cluster, startCluster } from "../test/cluster/cluster.ts";
import { synced } from "../test/e2e/stage.ts";
import { type RunningOperator, startOperator } from "../test/support/operator.ts";
import { removeAtEnd } from "../test/support/supervise.ts";
import { Door } from "./door.ts";
import { Arrivals, atOnce, isReady, openClient } from "./kubernetes.ts";
import { type Load, parametersOf, specOf } from "./load.ts";
import { say } from "./progress.ts";

/** Requests a second, high enough to have no effect. */
const noQuota = 10_000;

/** Options of an operator process. */
export interface Start {
  args?: string[];
  env?: Record<string, string>;
  /** False returns at once. Default: waits until it is ready. */
  ready?: boolean;
}

/** The shared environment of all rows: one control plane, one emulator, and the objects that the previous row left. */
export class Ground {
  readonly cluster: Cluster;
  readonly door: Door;
  readonly client: KubeClient;
  readonly audit: AuditReader;
  readonly #folder: string;
  readonly #scale: number;
  readonly #close: () => Promise<void>;
  /** The current loads. A row removes the objects that it finds, and keeps the objects that it makes. */
  #present = new Map<string, { isSynced: boolean }>();
  #operators: RunningOperator[] = [];
  #image: Image = { env: {}, node: [] };

  private constructor(parts: { cluster: Cluster; door: Door; audit: AuditReader; folder: string; scale: number }) {
    this.cluster = parts.cluster;
    this.door = parts.door;
    this.audit = parts.audit;
    this.#folder = parts.folder;
    this.#scale = parts.scale;
    const { client, close } = openClient(parts.cluster.kubeconfigPath);
    this.client = client;
    this.#close = close;
  }

  /** @param scale factor of all sizes */
  static async open(scale: number): Promise<Ground> {
    const folder = await mkdtemp(join(tmpdir(), "keyferry-bench-"));
    removeAtEnd(folder);
    const [cluster, door] = await Promise.all([startCluster({ audit: true, crds: "crds" }), Door.start(folder)]);
    const ground = new Ground({ cluster, door, audit: await AuditReader.from(cluster.auditLogPath), folder, scale });
    ground.#image = await imageSettings();
    return ground;
  }

  /** A size at this run's scale. */
  size(whole: number): number {
    return Math.max(2, Math.round(whole * this.#scale));
  }

  /** Sets the emulator's quota and the default connection's limit to the same rate, or to none. */
  async quota(
    rate: number | "none",
    spec: { pollInterval?: string; events?: { queueUrl: string } } = {},
  ): Promise<void> {
    const { url } = this.door;
    await this.door.ask("quota", rate);
    await this.apply(clusterAWSConnections, undefined, "default", {
      spec: {
        region: "eu-west-1",
        allow: { namespaces: { selector: {} }, parameters: ["/*"] },
        endpoints: { ssm: url, kms: url, sts: url, sqs: url },
        limits: { ssmRequestsPerSecond: rate === "none" ? noQuota : rate, kmsRequestsPerSecond: noQuota },
        ...spec,
      },
    });
  }

  /** Applies one complete object. */
  async apply(resource: Resource, namespace: string | undefined, name: string, body: object): Promise<void> {
    const { group, version, kind } = resource;
    const apiVersion = group ? `${group}/${version}` : version;
    const metadata = { ...(namespace === undefined ? {} : { namespace }), name };
    const object = { apiVersion, kind, metadata, ...body } as KubeObject;
    await this.client.apply(resource, object, { fieldManager: "bench", force: true });
  }

  /** Creates these loads, never synced, and removes everything else. */
  async fresh(...loads: Load[]): Promise<void> {
    await this.clear();
    for (const load of loads) {
      const { name, resources } = load;
      say(`  making ${resources} resources in ${name}`);
      await this.apply(namespaces, undefined, name, {});
      await this.door.put(parametersOf(load));
      await atOnce(resources, (index) =>
        this.client.create(syncedSecrets, synced(name, `r${index}`, specOf(load, index)) as KubeObject),
      );
      this.#present.set(name, { isSynced: false });
    }
    await this.door.ask("resetCalls");
    await this.audit.take();
  }

  /** Creates this load, synced, and removes everything else. Returns at once if the previous row left exactly that. */
  async synced(load: Load): Promise<void> {
    if (!this.#present.has(load.name)) await this.fresh(load);
    if (this.#present.get(load.name)!.isSynced) return;
    say(`  syncing ${load.resources} resources`);
    await this.quota("none");
    const arrivals = await this.ready(load);
    const operator = await this.operator();
    await arrivals.reach(load.resources, 180_000);
    await arrivals.stop();
    await operator.stop();
    this.isSynced(load);
  }

  /** Records that a load has been synced completely. */
  isSynced(load: Load): void {
    this.#present.set(load.name, { isSynced: true });
  }

  /** The number of a load's resources that are Ready. */
  ready(load: Load): Promise<Arrivals> {
    return Arrivals.of(this.client, { resource: syncedSecrets, namespace: load.name }, isReady);
  }

  /** Removes the objects of earlier rows. */
  async clear(): Promise<void> {
    await this.stopOperators();
    await this.door.ask("clearEvents");
    for (const name of this.#present.keys()) {
      // The garbage collector would delete these dependents at the same time.
      await this.remove(secrets, name);
      await this.remove(syncedSecrets, name);
    }
    this.#present.clear();
  }

  /** Deletes all objects of a kind in a namespace. The API server ends each request after a minute. */
  async remove({ group, version, plural }: Resource, namespace: string): Promise<void> {
    const path = `/${group ? `apis/${group}` : "api"}/${version}/namespaces/${namespace}/${plural}`;
    for (let tries = 3; (await this.cluster.kubectl(["delete", "--raw", path])).code !== 0; tries--) {
      if (tries === 0) throw new Error(`${plural} of ${namespace} could not be removed`);
    }
  }

  /** Starts the built program, with the AWS identity of the environment, so that no connection needs a Secret. */
  async operator({ args = [], env = {}, ready = true }: Start = {}): Promise<RunningOperator> {
    const identity = {
      AWS_ACCESS_KEY_ID: "AKIAKEYFERRYBENCH",
      AWS_SECRET_ACCESS_KEY: "any",
      ...this.#image.env,
    };
    const operator = await startOperator({
      kubeconfig: this.cluster.kubeconfigPath,
      folder: this.#folder,
      args,
      env: { ...identity, ...env },
      node: this.#image.node,
      ready,
    });
    this.#operators.push(operator);
    return operator;
  }

  /** Stops every running operator. */
  async stopOperators(): Promise<void> {
    await Promise.all(this.#operators.splice(0).map((operator) => operator.stop()));
  }

  /** The last log lines of the running operators, for a failed row. */
  async lastWords(): Promise<string> {
    const logs = await Promise.all(this.#operators.map((operator) => operator.log()));
    return logs.map((log) => log.trimEnd().split("\n").slice(-5).join("\n")).join("\n");
  }

  async close(): Promise<void> {
    await this.stopOperators();
    await this.#close();
    await Promise.all([this.cluster.stop(), this.door.stop()]);
  }
}

/** The image's environment and arguments for the program. */
interface Image {
  env: Record<string, string>;
  /** Options of Node. */
  node: string[];
}

/** The image's environment and ENTRYPOINT under the chart's memory limit, for the rows that measure memory. */
async function imageSettings(): Promise<Image> {
  const [image, chart] = await Promise.all([
    readFile("Dockerfile", "utf8"),
    readFile("helm/keyferry/values.yaml", "utf8"),
  ]);
  const [, entrypoint] = /^ENTRYPOINT (\[.*\])$/m.exec(image) ?? [];
  const env = Object.fromEntries(
    [...image.matchAll(/\b(MALLOC_[A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name!, value!]),
  );
  const { resources } = parse(chart) as { resources: { limits: { memory: string } } };
  const mebibytes = Number(/^([0-9]+)Mi$/.exec(resources.limits.memory)?.[1]);
  if (entrypoint === undefined || !mebibytes || !env.MALLOC_ARENA_MAX)
    throw new Error("the image's options or the chart's memory limit are not found");
  const options = (JSON.parse(entrypoint) as string[]).filter((option) => option.startsWith("--"));
  // The image computes a share of the container limit. Here it would be a share of the machine's memory.
  const heap = (_: string, percent: string) =>
    `--max-old-space-size=${Math.floor((Number(percent) * mebibytes) / 100)}`;
  return { env, node: options.map((option) => option.replace(/^--max-old-space-size-percentage=([0-9]+)$/, heap)) };
}
