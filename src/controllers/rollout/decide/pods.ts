import type { KubeObject } from "../../../kube/resource.ts";
import { idOf } from "./workload.ts";

/** A pod of a workload. */
export interface Pod {
  name: string;
  /** The workload, as `idOf` names it. */
  workload: string;
  /** Milliseconds since the epoch, by the API server's clock, to the second. */
  createdAt: number;
  annotations: Readonly<Record<string, string>>;
  /** Whether the kubelet waits before it starts a container again; known only if the pods' statuses were asked for. */
  isCrashLooping?: true;
}

/** A pod as it is listed, with or without its status. */
export interface PodObject extends KubeObject {
  status?: PodStatus;
}

interface PodStatus {
  containerStatuses?: readonly ContainerStatus[];
  initContainerStatuses?: readonly ContainerStatus[];
}

interface ContainerStatus {
  state?: { waiting?: { reason?: string } };
}

/** The label that each ReplicaSet of a kind gives its pods: the end of the ReplicaSet's name. */
const hashLabels = { Deployment: "pod-template-hash", Rollout: "rollouts-pod-template-hash" } as const;

/**
 * Reads a pod's metadata; undefined if no workload owns it, or if it is being deleted. A ReplicaSet is named after its
 * Deployment and the hash of the template (k8s.io/kubernetes/pkg/controller/deployment/sync.go), so it is not read.
 */
export function podOf({ metadata, status = {} }: PodObject): Pod | undefined {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller);
  if (!owner || metadata.deletionTimestamp) return undefined;
  const { kind, name } = owner;
  const isCrashLooping = isWaiting(status, "CrashLoopBackOff");
  const createdAt = Date.parse(metadata.creationTimestamp ?? "");
  const pod = (workload: { kind: string; name: string }) => ({
    name: metadata.name ?? "",
    workload: idOf(workload),
    createdAt: Number.isNaN(createdAt) ? 0 : createdAt,
    annotations: metadata.annotations ?? {},
    ...(isCrashLooping ? { isCrashLooping } : {}),
  });
  if (kind !== "ReplicaSet") return pod({ kind, name });
  for (const [above, label] of Object.entries(hashLabels)) {
    const hash = metadata.labels?.[label];
    if (hash && name.endsWith(`-${hash}`)) return pod({ kind: above, name: name.slice(0, -hash.length - 1) });
  }
  return undefined;
}

/** Whether a container waits for this reason. */
function isWaiting({ containerStatuses = [], initContainerStatuses = [] }: PodStatus, reason: string): boolean {
  return [...containerStatuses, ...initContainerStatuses].some(({ state }) => state?.waiting?.reason === reason);
}
