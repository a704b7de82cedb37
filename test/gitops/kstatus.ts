/** A resource, as far as its status is computed from it. */
export interface Resource {
  kind: string;
  metadata: { generation?: number; deletionTimestamp?: string };
  spec: object;
  status?: {
    observedGeneration?: number;
    conditions?: readonly { type: string; status: string; reason: string; message: string }[];
  };
}

/**
 * The status of a custom resource by the rules of kstatus, which Flux uses (sigs.k8s.io/cli-utils, pkg/kstatus/status):
 * a deletion, then an observedGeneration that differs, then the first of Reconciling and Stalled that is True, then
 * Ready. Without any of these it is Current.
 */
export function kstatusOf({ metadata, status }: Resource): "Terminating" | "InProgress" | "Failed" | "Current" {
  if (metadata.deletionTimestamp) return "Terminating";
  const { observedGeneration, conditions = [] } = status ?? {};
  if (observedGeneration !== undefined && observedGeneration !== metadata.generation) return "InProgress";
  for (const condition of conditions) {
    if (condition.status !== "True") continue;
    if (condition.type === "Reconciling") return "InProgress";
    if (condition.type === "Stalled") return "Failed";
  }
  const ready = conditions.find(({ type }) => type === "Ready");
  return ready === undefined || ready.status === "True" ? "Current" : "InProgress";
}
