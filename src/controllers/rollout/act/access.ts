import { fieldManager } from "../../../api/annotations.ts";
import type { RolloutKind } from "../../../api/rollout-kinds.ts";
import type { KubeClient } from "../../../kube/client/client.ts";
import { KubeError } from "../../../kube/errors.ts";
import { listAll } from "../../../kube/informer/list.ts";
import { type KubeObject, pods, type Resource } from "../../../kube/resource.ts";
import type { WriteLimiter } from "../../../kube/write/write-limiter.ts";
import { type Pod, podOf } from "../decide/pods.ts";
import type { RestartPlan } from "../decide/start.ts";
import { type Workload, workloadOf } from "../decide/workload.ts";
import type { WorkloadObject } from "../decide/workload-object.ts";
import { resourceOf } from "../decide/workload-resources.ts";
import type { Obstacle } from "../report/rollout-status.ts";

/** What a namespace runs. */
export interface Running {
  workloads: readonly Workload[];
  pods: readonly Pod[];
}

/**
 * The outcome of a restart: `again` if the workload has changed since the decision.
 */
export type Restarted =
  | { outcome: "restarted"; generation: number }
  | { outcome: "again" }
  | { outcome: "refused"; obstacle: Obstacle };

export interface WorkloadAccessOptions {
  client: Pick<KubeClient, "list" | "mergePatch">;
  writes: Pick<WriteLimiter, "run">;
  /** The kinds that may be restarted. */
  kinds: readonly RolloutKind[];
}

/** Evicted pods and those of ended Jobs stay until somebody deletes them, and run nothing. */
const notEnded = "status.phase!=Succeeded,status.phase!=Failed";

/** Lists the workloads and pods of a namespace, and restarts workloads. Nothing is watched. */
export class WorkloadAccess {
  readonly #options: WorkloadAccessOptions;

  constructor(options: WorkloadAccessOptions) {
    this.#options = options;
  }

  /** @throws KubeError if the API server cannot answer now */
  async list(namespace: string): Promise<Running | Obstacle> {
    const { kinds } = this.#options;
    if (kinds.length === 0) {
      const message = "this operator restarts no workloads: the chart's value rbac.rollouts.enabled turns it on";
      return { reason: "RolloutsOff", message };
    }
    try {
      const lists = [...kinds, "CronJob" as const].map((kind) => this.#workloads(namespace, kind));
      const asked = [this.#pods(namespace), ...lists] as const;
      // If several fail, the first of the list is reported, not the first to answer: the message stays the same.
      await Promise.allSettled(asked);
      const [running, ...workloads] = await Promise.all(asked);
      return { workloads: workloads.flat(), pods: running };
    } catch (error) {
      if (error instanceof KubeError && error.kind === "forbidden") return obstacle(error);
      throw error;
    }
  }

  /**
   * Restarts a workload, unless it has changed since the decision.
   *
   * @throws KubeError if the API server cannot answer now
   */
  async restart(namespace: string, { workload, records }: RestartPlan): Promise<Restarted> {
    const { client, writes } = this.#options;
    const { kind, name, uid, resourceVersion } = workload;
    const annotations = Object.fromEntries([...records].map(([mark, { revision }]) => [mark, revision ?? null]));
    const patch = { metadata: { uid, resourceVersion }, spec: { template: { metadata: { annotations } } } };
    try {
      const write = () => client.mergePatch<KubeObject>(resourceOf[kind], { namespace, name }, patch, { fieldManager });
      const { metadata } = await writes.run("bulk", namespace, write);
      return { outcome: "restarted", generation: metadata.generation ?? 0 };
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      if (error.kind === "conflict" || error.kind === "notFound") return { outcome: "again" };
      if (error.kind === "forbidden" || error.kind === "denied" || error.kind === "invalid") {
        return { outcome: "refused", obstacle: obstacle(withRight(error, "patch", resourceOf[kind], namespace)) };
      }
      throw error;
    }
  }

  async #workloads(namespace: string, kind: Workload["kind"]): Promise<Workload[]> {
    const { client } = this.#options;
    const keep = (object: WorkloadObject) => workloadOf(kind, object);
    try {
      const ask = (page: object) => client.list<WorkloadObject>(resourceOf[kind], { namespace, ...page });
      return (await listAll(ask, "", keep)).items;
    } catch (error) {
      // The CRD of Argo Rollouts is not installed.
      if (kind === "Rollout" && error instanceof KubeError && error.kind === "notFound") return [];
      throw withRight(error, "list", resourceOf[kind], namespace);
    }
  }

  /**
   * Lists the pods with their statuses.
   *
   * @throws KubeError if the API server cannot answer now, or refuses
   */
  podsWithStatus(namespace: string): Promise<Pod[]> {
    return this.#pods(namespace, false);
  }

  async #pods(namespace: string, metadataOnly = true): Promise<Pod[]> {
    const { client } = this.#options;
    const options = { namespace, metadataOnly, fieldSelector: notEnded };
    const ask = (page: object) => client.list<KubeObject>(pods, { ...options, ...page });
    try {
      return (await listAll(ask, "", podOf)).items;
    } catch (error) {
      throw withRight(error, "list", pods, namespace);
    }
  }
}

/** The error with a message that names the right, if the right is missing. */
function withRight<E>(error: E, verb: "list" | "patch", { plural, group }: Resource, namespace: string): E | KubeError {
  if (!(error instanceof KubeError) || error.kind !== "forbidden") return error;
  const resource = group === "" ? plural : `${plural}.${group}`;
  const message = `the ServiceAccount may not ${verb} ${resource} in namespace ${namespace}`;
  return new KubeError("forbidden", message, { status: error.status });
}

function obstacle({ kind, message }: KubeError): Obstacle {
  const right = "grant the right by the chart's value rbac.rollouts";
  const what = kind === "forbidden" ? right : "change the admission policy or webhook that refuses the restart";
  return { reason: "NotAllowed", message: `${message}: ${what}, or set spec.rollout.mode: None` };
}
