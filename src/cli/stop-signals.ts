/** What asks the operator to stop: a kubelet, or a person's Ctrl-C. */
export const stopSignals = ["SIGTERM", "SIGINT"] as const;

/** Ends the process while it has not begun to work. */
export function endAtOnce(): void {
  process.exit(0);
}
