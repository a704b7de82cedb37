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
  return !isReplacing("StatefulSet", object) && isAvailable("StatefulSet", object) ? "complete" : "progressing";
}

function ofDaemonSet(object: WorkloadObject): Progress {
  return !isReplacing("DaemonSet", object) && isAvailable("DaemonSet", object) ? "complete" : "progressing";
}

/**
 * Whether a workload's controller is still replacing pods. The pods of a StatefulSet or DaemonSet that are not available,
 * for example on a broken node, are no rollout; a Deployment has a deadline of its own.
 */
export function isReplacing(kind: string, object: WorkloadObject): boolean {
  const { spec = {}, status = {} } = object;
  if (kind === "StatefulSet") {
    if (spec.updateStrategy?.type === "OnDelete") return !isObserved(object);
    const partition = spec.updateStrategy?.rollingUpdate?.partition ?? 0;
    return !isObserved(object) || (status.updatedReplicas ?? 0) < (spec.replicas ?? 1) - partition;
  }
  if (kind === "DaemonSet") {
    if (spec.updateStrategy?.type === "OnDelete") return !isObserved(object);
    return !isObserved(object) || (status.updatedNumberScheduled ?? 0) < (status.desiredNumberScheduled ?? 0);
  }
  return progressOf(kind, object) === "progressing";
}

/** Whether all pods that a workload wants are available now. By OnDelete nothing waits for them. */
export function isAvailable(kind: string, { spec = {}, status = {} }: WorkloadObject): boolean {
  if (spec.updateStrategy?.type === "OnDelete") return true;
  if (kind === "DaemonSet") return (status.numberAvailable ?? 0) >= (status.desiredNumberScheduled ?? 0);
  if (kind === "Rollout") return status.phase === "Healthy";
  return kind === "CronJob" || (status.availableReplicas ?? 0) >= (spec.replicas ?? 1);
}

function ofRollout(object: WorkloadObject): Progress {
  if (!isObserved(object)) return "progressing";
  const { phase } = object.status ?? {};
  return phase === "Healthy" ? "complete" : phase === "Degraded" ? "failed" : "progressing";
}

function isObserved({ metadata, status }: WorkloadObject): boolean {
  return Number(status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
}
