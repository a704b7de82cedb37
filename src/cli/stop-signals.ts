/** The signals that stop the operator: from the kubelet, or from Ctrl-C. */
export const stopSignals = ["SIGTERM", "SIGINT"] as const;

/** Ends the process before its work has begun. */
export function endAtOnce(): void {
  process.exit(0);
}
