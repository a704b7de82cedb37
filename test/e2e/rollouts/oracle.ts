import type { KubeClient } from "../../../src/kube/client/client.ts";
import { Reflector } from "../../../src/kube/informer/reflector.ts";
import { deployments, type KubeObject } from "../../../src/kube/resource.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { silent } from "../../../src/runtime/log.ts";

export type Deployment = KubeObject & {
  spec: { replicas: number; template: { metadata: { annotations?: Record<string, string> } } };
  status?: { observedGeneration?: number; replicas?: number; updatedReplicas?: number; availableReplicas?: number };
};

/** What a watch of a namespace's Deployments shows of their restarts. It reads the API server alone. */
export class RolloutOracle {
  /** The most Deployments at any moment whose restart was not complete. */
  most = 0;
  /** The fewest replicas that a Deployment had available, less those that it wants. */
  missing = 0;
  readonly #revisions = new Map<string, string[]>();
  readonly #inProgress = new Set<string>();
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;
  readonly synced: Promise<unknown>;

  constructor(client: KubeClient, namespace: string) {
    const reflector = new Reflector<Deployment>({
      ...{ source: client, resource: deployments, namespace, clock: systemClock, random: Math.random },
      ...{ metrics: new Metrics(), log: silent },
      onChange: ({ key, after }) => {
        if (after) this.#look(key, after);
      },
    });
    this.#running = reflector.run(this.#abort.signal);
    this.synced = reflector.synced;
  }

  /** The restart revisions of each Deployment, in the order in which its template got them. */
  get restarts(): ReadonlyMap<string, readonly string[]> {
    return this.#revisions;
  }

  get inProgress(): number {
    return this.#inProgress.size;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  #look(key: string, { metadata, spec, status = {} }: Deployment): void {
    const annotations = Object.entries(spec.template.metadata.annotations ?? {});
    const revision = annotations.find(([name]) => name.startsWith("restart.keyferry.io/"))?.[1];
    const known = this.#revisions.get(key) ?? [];
    // A restart that is taken back may remove the annotation.
    if (revision === undefined && known.length === 0) return;
    if (revision !== undefined && known.at(-1) !== revision) this.#revisions.set(key, [...known, revision]);
    const { observedGeneration = 0, replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
    const isComplete =
      observedGeneration >= metadata.generation! &&
      updatedReplicas === spec.replicas &&
      replicas === updatedReplicas &&
      availableReplicas === updatedReplicas;
    if (isComplete) this.#inProgress.delete(key);
    else this.#inProgress.add(key);
    this.most = Math.max(this.most, this.#inProgress.size);
    this.missing = Math.max(this.missing, spec.replicas - availableReplicas);
  }
}
