import { readFileSync } from "node:fs";
import type { RolloutKind } from "../../src/api/rollout-kinds.ts";
import { envOf, Workloads } from "../controllers/rollout/workloads.ts";
import { clientOf } from "../support/kube-client.ts";
import { until } from "../support/operator.ts";
import { documents, keysOf, type Stage, synced } from "./stage.ts";

/** What is restarted in a namespace. */
interface Restarts {
  namespace: string;
  /** One workload of each of these kinds uses the Secret. */
  rollouts: readonly RolloutKind[];
}

/** The SyncedSecret whose Secret the workloads use. */
export const restarting = "restart";

const workloadName = (kind: RolloutKind) => `${restarting}-${kind.toLowerCase()}`;
const parameterOf = (namespace: string) => `/${namespace}/restart`;

/** A stand-in for the CustomResourceDefinition of Argo Rollouts. */
const rolloutDefinition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "rollouts.argoproj.io" },
  spec: {
    group: "argoproj.io",
    scope: "Namespaced",
    names: { kind: "Rollout", singular: "rollout", plural: "rollouts" },
    versions: [
      {
        name: "v1alpha1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        subresources: { status: {} },
      },
    ],
  },
};

/** Creates the kind Rollout of Argo Rollouts. */
export async function prepareArgoRollouts({ cluster }: Pick<Stage, "cluster">): Promise<void> {
  await cluster.run(["create", "-f", "-"], JSON.stringify(rolloutDefinition));
  const { name } = rolloutDefinition.metadata;
  await cluster.run(["wait", "--for", "condition=Established", "--timeout", "30s", `crd/${name}`]);
}

/** Creates a SyncedSecret with a rollout, and the workloads and a CronJob that use its Secret. */
export async function prepareRollouts(stage: Stage, { namespace, rollouts }: Restarts): Promise<void> {
  const { cluster, aws } = stage;
  await aws.putParameter({ name: parameterOf(namespace), value: "value" });
  const template = {
    spec: { restartPolicy: "Never", containers: [{ name: "app", image: "registry.example/app:1", ...usesSecret }] },
  };
  const cronJob = {
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { namespace, name: `${restarting}-cronjob` },
    spec: { schedule: "0 0 1 1 *", jobTemplate: { spec: { template } } },
  };
  await withWorkloads(stage, namespace, async (workloads) => {
    for (const kind of rollouts) await workloads.create(workloadName(kind), usesSecret, kind);
  });
  const spec = { ...keysOf([parameterOf(namespace)]), rollout: { mode: "Auto" } as const };
  await cluster.run(["create", "-f", "-"], documents([cronJob, synced(namespace, restarting, spec)]));
}

const usesSecret = envOf(restarting, "K0");

/** Changes the Secret that the workloads use. */
export async function changeSecret({ cluster, aws }: Stage, namespace: string): Promise<void> {
  await aws.putParameter({ name: parameterOf(namespace), value: "changed" });
  await cluster.run(["annotate", "syncedsecret", restarting, "-n", namespace, "keyferry.io/refresh=now"]);
}

/** Makes the running operator restart each workload, and follow its rollout to the end. */
export async function playRollouts(stage: Stage, { namespace, rollouts }: Restarts): Promise<void> {
  await until(async () => /^True /.test(await rolledOutOf(stage, namespace)), 60_000, "the first look at workloads");
  await changeSecret(stage, namespace);
  await withWorkloads(stage, namespace, async (workloads) => {
    for (const kind of rollouts) {
      const isRestarted = async () => (await workloads.marks(workloadName(kind), kind)).length === 1;
      await until(isRestarted, 60_000, `the restart of the ${kind}`);
    }
    await until(async () => /^False Progressing:/.test(await rolledOutOf(stage, namespace)), 60_000, "the rollouts");
    for (const kind of rollouts) await workloads.rollOut(workloadName(kind), kind);
  });
  await until(async () => /^True /.test(await rolledOutOf(stage, namespace)), 60_000, "the end of the rollouts");
}

/** The condition RolledOut: `False NotAllowed: message`. */
export async function rolledOutOf({ cluster }: Pick<Stage, "cluster">, namespace: string): Promise<string> {
  const rolledOut = '.status.conditions[?(@.type=="RolledOut")]';
  const jsonpath = `{${rolledOut}.status} {${rolledOut}.reason}: {${rolledOut}.message}`;
  return cluster.run(["get", "syncedsecret", restarting, "-n", namespace, "-o", `jsonpath=${jsonpath}`]);
}

/** Deletes the workloads and their pods. */
export async function cleanRollouts({ cluster }: Pick<Stage, "cluster">, namespace: string): Promise<void> {
  const kinds = "deployments,statefulsets,daemonsets,rollouts.argoproj.io,replicasets,cronjobs,pods";
  await cluster.run(["delete", kinds, "--all", "--ignore-not-found", "-n", namespace]);
}

async function withWorkloads(
  { cluster }: Pick<Stage, "cluster">,
  namespace: string,
  use: (workloads: Workloads) => Promise<void>,
): Promise<void> {
  const ca = readFileSync(cluster.caFile, "utf8");
  const { client, close } = clientOf(cluster.url, { ca, token: () => cluster.token });
  try {
    await use(new Workloads(client, namespace));
  } finally {
    await close();
  }
}
