import type { Finding, Request, State } from "./snapshot.ts";
import { idOf, type Workload } from "./workload.ts";

/** What the restarts for one Secret wait for, from the view of all its workloads. */
export interface Gate {
  /** Why a workload, as `idOf` names it, is not restarted now; undefined if it may be. */
  stateOf(id: string): State | undefined;
  /** Whether the workloads of `first` are available with the current bytes. */
  isFirstAvailable: boolean;
  /** Whether they were, and are not all available now. */
  isFirstBroken: boolean;
  /** Milliseconds until the bake ends; undefined if none is waited for. */
  bakeMs: number | undefined;
}

/**
 * Decides which restarts wait for order, first, bake and onFailure.
 *
 * @param findings of the request; those of `first` that cannot show that the bytes work become FirstNotReady
 * @param workloads by `idOf`
 * @param monotonic milliseconds
 */
export function gateOf(
  request: Request,
  findings: Finding[],
  workloads: ReadonlyMap<string, Workload>,
  monotonic: number,
): Gate {
  const { first, bake, pausesOnFailure, isOneByOne, failed } = request;
  const isFirst = (id: string) => first.includes(id);
  const others = findings.filter((finding) => !isFirst(idOf(finding)));
  // Without a workload that waits, it does not matter whether `first` is ready.
  if (others.some(({ state }) => state === "Waiting")) noteUnready(first, findings, workloads);
  const ofFirst = findings.filter((finding) => isFirst(idOf(finding)));
  const isAvailable = (finding: Finding) =>
    finding.state === "Current" && workloads.get(idOf(finding))?.isAvailable === true;
  const isFirstAvailable = ofFirst.length === first.length && ofFirst.every(isAvailable);
  const bakesUntil = bake.since === undefined ? Number.POSITIVE_INFINITY : bake.since + bake.ms;
  const isOpen = first.length === 0 || (isFirstAvailable && monotonic >= bakesUntil);
  const isFailed = (finding: Finding) =>
    finding.state === "Failed" || (failed.has(idOf(finding)) && finding.state !== "Current");
  const hasFailed = findings.some(isFailed);
  const isBusy = isOneByOne && findings.some(({ state }) => state === "Restarting");
  return {
    stateOf(id) {
      if (pausesOnFailure && hasFailed) return "Halted";
      if (ofFirst.some((finding) => finding.state === "FirstNotReady" && idOf(finding) === id)) return "FirstNotReady";
      if (!isFirst(id) && !isOpen) return "BehindFirst";
      return isBusy ? "Waiting" : undefined;
    },
    isFirstBroken: first.length > 0 && !isFirstAvailable && ofFirst.every(({ state }) => state === "Current"),
    isFirstAvailable: first.length > 0 && isFirstAvailable,
    bakeMs: isFirstAvailable && !isOpen ? Math.min(bakesUntil - monotonic, bake.ms) : undefined,
  };
}

/** States in which a workload is not restarted, so that it cannot show whether the bytes work. */
const unready: readonly State[] = ["Missing", "Paused", "Owned", "Undone", "NoRestartNeeded"];

/** Marks what is missing, paused or without replicas in `first`. */
function noteUnready(first: readonly string[], findings: Finding[], workloads: ReadonlyMap<string, Workload>): void {
  for (const id of first) {
    const finding = findings.find((one) => idOf(one) === id);
    const workload = workloads.get(id);
    const [kind = "", name = ""] = id.split("/");
    if (!finding) findings.push({ kind, name, uses: [], state: "FirstNotReady", record: undefined, stalePods: 0 });
    else if (unready.includes(finding.state) || workload?.wanted === 0) finding.state = "FirstNotReady";
  }
}
