/** A condition of a status (meta/v1 Condition), as JSON. */
export interface Condition {
  /** Ready sums up. Reconciling and Stalled are there only while True, as kstatus reads them (sigs.k8s.io/cli-utils). */
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

/** The condition Ready of a status, if it is there. */
export function readyOf<T extends { type: string }>(
  status: { conditions?: readonly T[] | undefined } | undefined,
): T | undefined {
  return status?.conditions?.find(({ type }) => type === "Ready");
}
