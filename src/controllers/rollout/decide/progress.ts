import type { WorkloadObject } from "./workload-object.ts";

/** The state of a workload's last rollout, as its own controller tells it. */
export type Progress = "complete" | "progressing" | "failed";

/** Reads the state of a workload's rollout, as `kubectl rollout status` does (k8s.io/kubectl/pkg/polymorphichelpers). */
export function progressOf(kind: string, object: WorkloadObject): Progress {
  switch (kind) {
    case "Deployment":
      return ofDeployment(object);
    case "StatefulSet":
      return ofStatefulSet(object);
    case "DaemonSet":
      return ofDaemonSet(object);
    case "Rollout":
      return ofRollout(object);
    default:
      return "complete";
  }
}

function ofDeployment(object: WorkloadObject): Progress {
  if (!isObserved(object)) return "progressing";
  const { replicas: wanted = 1 } = object.spec ?? {};
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0, conditions = [] } = object.status ?? {};
  const reason = conditions.find(({ type }) => type === "Progressing")?.reason;
  if (reason === "ProgressDeadlineExceeded") return "failed";
  const isReplaced = updatedReplicas >= wanted && replicas <= updatedReplicas;
  if (!isReplaced) return "progressing";
  // After its rollout has ended, a pod that is not available is not a rollout.
  return availableReplicas >= updatedReplicas || reason === "NewReplicaSetAvailable" ? "complete" : "progressing";
}

function ofStatefulSet(object: WorkloadObject): Progress {
  if (!isObserved(object)) return "progressing";
  const { replicas: wanted = 1, updateStrategy } = object.spec ?? {};
  if (updateStrategy?.type === "OnDelete") return "complete";
  const { updatedReplicas = 0, availableReplicas = 0 } = object.status ?? {};
  const partition = updateStrategy?.rollingUpdate?.partition ?? 0;
  return updatedReplicas >= wanted - partition && availableReplicas >= wanted ? "complete" : "progressing";
}

function ofDaemonSet(object: WorkloadObject): Progress {
  if (!isObserved(object)) return "progressing";
  if (object.spec?.updateStrategy?.type === "OnDelete") return "complete";
  const { desiredNumberScheduled = 0, updatedNumberScheduled = 0, numberAvailable = 0 } = object.status ?? {};
  const isDone = updatedNumberScheduled >= desiredNumberScheduled && numberAvailable >= desiredNumberScheduled;
  return isDone ? "complete" : "progressing";
}

function ofRollout(object: WorkloadObject): Progress {
  if (!isObserved(object)) return "progressing";
  const { phase } = object.status ?? {};
  return phase === "Healthy" ? "complete" : phase === "Degraded" ? "failed" : "progressing";
}

function isObserved({ metadata, status }: WorkloadObject): boolean {
  return Number(status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
}
