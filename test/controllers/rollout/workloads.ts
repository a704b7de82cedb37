import { createHash } from "node:crypto";
import type { RolloutKind } from "../../../src/api/rollout-kinds.ts";
import type { WorkloadObject } from "../../../src/controllers/rollout/decide/workload-object.ts";
import { resourceOf } from "../../../src/controllers/rollout/decide/workload-resources.ts";
import type { KubeClient } from "../../../src/kube/client/client.ts";
import { type KubeObject, type OwnerReference, pods, type Resource } from "../../../src/kube/resource.ts";

const replicaSets: Resource = {
  group: "apps",
  version: "v1",
  plural: "replicasets",
  kind: "ReplicaSet",
  namespaced: true,
};

const bytesAnnotation = "test.example/bytes";

/** The label with the hash of the template that a pod was made from. */
const hashLabelOf = (kind: RolloutKind) => (kind === "Rollout" ? "rollouts-pod-template-hash" : "pod-template-hash");

type Template = { metadata: { labels: object; annotations?: Record<string, string> }; spec: object };
type Object = WorkloadObject & { spec: { template: Template } };

/** How a container uses a Secret. */
export const envOf = (secret: string, key = "A") => ({
  env: [{ name: "A", valueFrom: { secretKeyRef: { name: secret, key } } }],
});

/**
 * Workloads of a namespace, with a stand-in for the controllers and the kubelet that carry out their rollouts: the real
 * ones run in `make test-node`. It replaces the pods of a workload whose template has changed, one step at a time.
 */
export class Workloads {
  readonly #client: KubeClient;
  readonly namespace: string;
  /** What a new pod of a workload reads from its Secrets: an annotation of the pod keeps it. */
  bytesOf: (name: string) => Promise<string> = async () => "";

  constructor(client: KubeClient, namespace: string) {
    this.#client = client;
    this.namespace = namespace;
  }

  /** Creates a workload with one pod, which is available. */
  async create(name: string, container: object, kind: RolloutKind = "Deployment", more: object = {}): Promise<void> {
    const labels = { app: name };
    const template = {
      metadata: { labels },
      spec: { containers: [{ name: "app", image: "registry.example/app:1", ...container }] },
    };
    const { group, version } = resourceOf[kind];
    const object = {
      apiVersion: `${group}/${version}`,
      kind,
      metadata: { name, namespace: this.namespace },
      spec: {
        selector: { matchLabels: labels },
        template,
        ...(kind === "StatefulSet" ? { serviceName: name } : {}),
        ...more,
      },
    };
    await this.#client.create(resourceOf[kind], object as unknown as KubeObject);
    await this.rollOut(name, kind);
  }

  get(name: string, kind: RolloutKind = "Deployment"): Promise<Object> {
    return this.#client.get<Object>(resourceOf[kind], this.namespace, name);
  }

  /** The restart annotations of a workload's template. */
  async marks(name: string, kind: RolloutKind = "Deployment"): Promise<string[]> {
    const annotations = Object.entries((await this.get(name, kind)).spec.template.metadata.annotations ?? {});
    return annotations.filter(([key]) => key.startsWith("restart.keyferry.io/")).map(([, value]) => value);
  }

  /** Changes a workload as a person would. */
  async patch(name: string, patch: object, kind: RolloutKind = "Deployment"): Promise<void> {
    const where = { namespace: this.namespace, name };
    await this.#client.mergePatch(resourceOf[kind], where, patch, { fieldManager: "a-person" });
  }

  /** Takes back the last restart, as `kubectl rollout undo` does. */
  async undo(name: string): Promise<void> {
    const { annotations = {} } = (await this.get(name)).spec.template.metadata;
    const without = Object.fromEntries(Object.keys(annotations).map((key) => [key, null]));
    await this.patch(name, { spec: { template: { metadata: { annotations: without } } } });
  }

  /** Begins the rollout of a changed template: the new pod exists, and is not available yet. */
  async begin(name: string, kind: RolloutKind = "Deployment"): Promise<void> {
    const object = await this.get(name, kind);
    if (Number(object.status?.observedGeneration) === object.metadata.generation) return;
    const { old, current } = await this.#podsOf(object, kind);
    if (current.length === 0) await this.#makePod(object, kind);
    await this.#status(object, kind, { updated: 1, available: 0, total: 1 + old.length });
  }

  /** Ends the rollout of a workload, if there is one to end: its old pods are gone, and the new one is available. */
  async rollOut(name: string, kind: RolloutKind = "Deployment"): Promise<void> {
    const object = await this.get(name, kind);
    if (object.spec?.paused) return;
    if (object.spec?.replicas === 0) return this.#end(object, kind);
    await this.begin(name, kind);
    const { old } = await this.#podsOf(object, kind);
    for (const { metadata } of old) await this.#deletePod(metadata.name!);
    await this.#status(object, kind, { updated: 1, available: 1, total: 1 });
  }

  /** Replaces the pods of a workload by new ones of the same template, as an eviction does. */
  async replacePods(name: string): Promise<void> {
    const object = await this.get(name);
    const { current } = await this.#podsOf(object, "Deployment");
    for (const { metadata } of current) {
      await this.#deletePod(metadata.name!);
      await this.#makePod(object, "Deployment");
    }
  }

  /** Ends all pods of a workload without replicas. */
  async #end(object: Object, kind: RolloutKind): Promise<void> {
    const { old, current } = await this.#podsOf(object, kind);
    for (const { metadata } of [...old, ...current]) await this.#deletePod(metadata.name!);
    await this.#status(object, kind, { updated: 0, available: 0, total: 0 });
  }

  /** The pods of a workload with its present template, and the others. */
  async #podsOf({ metadata, spec }: Object, kind: RolloutKind): Promise<{ current: KubeObject[]; old: KubeObject[] }> {
    const where = { namespace: this.namespace, labelSelector: `app=${metadata.name}` };
    const { items } = await this.#client.list<KubeObject>(pods, where);
    const hash = hashOf(spec.template);
    const isCurrent = ({ metadata: { labels } }: KubeObject) => labels?.[hashLabelOf(kind)] === hash;
    return { current: items.filter(isCurrent), old: items.filter((pod) => !isCurrent(pod)) };
  }

  /** Ends the rollout of a Deployment by its deadline: its old pods, if there are any, stay available. */
  async exceedDeadline(name: string): Promise<void> {
    const object = await this.get(name);
    const condition = { type: "Progressing", status: "False", reason: "ProgressDeadlineExceeded" };
    const { old } = await this.#podsOf(object, "Deployment");
    const available = old.length > 0 ? 1 : 0;
    await this.#status(object, "Deployment", { updated: 1, available, total: 1 + old.length }, [condition]);
  }

  /** Ends the pods of a workload, as an eviction does: they stay. */
  async endPods(name: string): Promise<void> {
    const { items } = await this.#client.list<KubeObject>(pods, {
      namespace: this.namespace,
      labelSelector: `app=${name}`,
    });
    for (const { metadata } of items) {
      const where = { namespace: this.namespace, name: metadata.name! };
      const options = { fieldManager: "a-kubelet", subresource: "status" } as const;
      await this.#client.mergePatch(pods, where, { status: { phase: "Failed" } }, options);
    }
  }

  /** What the pods of a workload have read. */
  async podBytes(name: string): Promise<string[]> {
    const { items } = await this.#client.list<KubeObject>(pods, {
      namespace: this.namespace,
      labelSelector: `app=${name}`,
    });
    return items.map(({ metadata }) => metadata.annotations![bytesAnnotation]!);
  }

  /** Deletes a workload. */
  async delete(name: string, kind: RolloutKind = "Deployment"): Promise<void> {
    await this.#client.delete(resourceOf[kind], this.namespace, name, { propagationPolicy: "Background" });
  }

  async #makePod({ metadata, spec }: Object, kind: RolloutKind): Promise<void> {
    const { template } = spec;
    const hash = hashOf(template);
    const { group, version } = resourceOf[kind];
    const apiVersion = `${group}/${version}`;
    const workload = { apiVersion, kind, name: metadata.name!, uid: metadata.uid!, controller: true };
    const labels = { ...template.metadata.labels, [hashLabelOf(kind)]: hash };
    const hasReplicaSets = kind === "Deployment" || kind === "Rollout";
    const name = `${metadata.name}-${hash}`;
    const owner = hasReplicaSets
      ? await this.#makeReplicaSet(workload, name, { ...template, metadata: { labels } })
      : workload;
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        generateName: `${metadata.name}-`,
        namespace: this.namespace,
        labels,
        annotations: { ...template.metadata.annotations, [bytesAnnotation]: await this.bytesOf(metadata.name!) },
        ownerReferences: [owner],
      },
      spec: template.spec,
    };
    await this.#client.create(pods, pod as unknown as KubeObject);
  }

  /** The owner of a pod of a Deployment or Rollout. The garbage collector deletes pods whose owner does not exist. */
  async #makeReplicaSet(workload: OwnerReference, name: string, template: Template): Promise<OwnerReference> {
    const object = {
      apiVersion: "apps/v1",
      kind: "ReplicaSet",
      metadata: { name, namespace: this.namespace, ownerReferences: [workload] },
      spec: { replicas: 0, selector: { matchLabels: template.metadata.labels }, template },
    } as unknown as KubeObject;
    const { metadata } = await this.#client.apply(replicaSets, object, { fieldManager: "a-controller", force: true });
    return { apiVersion: "apps/v1", kind: "ReplicaSet", name, uid: metadata.uid!, controller: true };
  }

  async #deletePod(name: string): Promise<void> {
    await this.#client.delete(pods, this.namespace, name);
  }

  async #status(
    { metadata }: Object,
    kind: RolloutKind,
    { updated, available, total }: { updated: number; available: number; total: number },
    conditions: object[] = [],
  ): Promise<void> {
    const { generation } = metadata;
    const observedGeneration = kind === "Rollout" ? String(generation) : generation;
    const ofSet = { replicas: total, updatedReplicas: updated, availableReplicas: available, readyReplicas: available };
    const ofDaemons = {
      ...{ currentNumberScheduled: 1, desiredNumberScheduled: 1, numberMisscheduled: 0, numberReady: available },
      ...{ updatedNumberScheduled: updated, numberAvailable: available },
    };
    const ofArgo = { ...ofSet, phase: available < total ? "Progressing" : "Healthy" };
    const ofKind = kind === "DaemonSet" ? ofDaemons : kind === "Rollout" ? ofArgo : ofSet;
    const status = { observedGeneration, ...ofKind, conditions };
    const where = { namespace: this.namespace, name: metadata.name! };
    await this.#client.mergePatch(
      resourceOf[kind],
      where,
      { status },
      { fieldManager: "a-controller", subresource: "status" },
    );
  }
}

function hashOf(template: Template): string {
  return createHash("sha256").update(JSON.stringify(template)).digest("hex").slice(0, 10);
}
