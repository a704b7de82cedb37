/**
 * Types of conditions. Ready sums up; the other two are there only while they are True, as kstatus reads them
 * (sigs.k8s.io/cli-utils, pkg/kstatus): Reconciling while work goes on that can still end well, Stalled where only a
 * change of the spec can help.
 */
export const conditionTypes = { ready: "Ready", reconciling: "Reconciling", stalled: "Stalled" } as const;

export type ConditionType = (typeof conditionTypes)[keyof typeof conditionTypes];

/** A condition of a status (meta/v1 Condition), as JSON. */
export interface Condition {
  /** One of conditionTypes; later versions may write others. */
  type: string;
  status: "True" | "False" | "Unknown";
  /** One word in CamelCase: reasons.ts. */
  reason: string;
  /** For people; never a value. */
  message: string;
  /** The metadata.generation that the condition is about. */
  observedGeneration?: number;
  /** RFC 3339, to the second; moves only where status does. */
  lastTransitionTime: string;
}
