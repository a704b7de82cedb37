import type { Pod } from "./pods.ts";
import type { NamespaceSnapshot, Request } from "./snapshot.ts";
import { idOf, type Workload } from "./workload.ts";

/** Milliseconds after a pod's creation from which a container that crashes again and again counts as a failure. */
const crashesMs = 120_000;
/** Milliseconds for which the bake may be broken. */
const brokenMs = 60_000;

/** How a restarted workload fails although its rollout may look complete; undefined if it does not. */
export function failureOf(snapshot: NamespaceSnapshot, request: Request, workload: Workload): string | undefined {
  const { bake, first } = request;
  const { now, monotonic, pods } = snapshot;
  const id = idOf(workload);
  if (suspects(now, request, workload, pods).some(({ isCrashLooping }) => isCrashLooping)) {
    return "has new pods in CrashLoopBackOff";
  }
  const isBroken = bake.brokenSince !== undefined && monotonic - bake.brokenSince >= brokenMs;
  return isBroken && first.includes(id) && !workload.isAvailable
    ? "did not stay available for rollout.bake"
    : undefined;
}

/**
 * Whether the statuses of pods decide: a restarted workload is not available, although its new pods are old enough.
 *
 * @param running.now milliseconds since the epoch
 */
export function needsPodStatuses(
  requests: readonly Request[],
  { now, workloads, pods }: Pick<NamespaceSnapshot, "now" | "workloads" | "pods">,
): boolean {
  const reverting = requests.filter(({ revertsOnFailure }) => revertsOnFailure);
  const unavailable = workloads.filter(({ isAvailable }) => !isAvailable);
  return reverting.some((request) => unavailable.some((workload) => suspects(now, request, workload, pods).length > 0));
}

/** Whether some restart is so young that its failure would set the Secret back. */
export function isProving({ now, pods }: NamespaceSnapshot, request: Request): boolean {
  if (!request.revertsOnFailure) return false;
  return pods.some((pod) => hasBytesOf(pod, request) && now - pod.createdAt <= provedAfterMs(request));
}

/** A workload's pods with the current bytes that are old enough to fail, and too young for another cause. */
function suspects(now: number, request: Request, workload: Workload, pods: readonly Pod[]): Pod[] {
  const id = idOf(workload);
  return pods.filter((pod) => {
    const ageMs = now - pod.createdAt;
    return pod.workload === id && hasBytesOf(pod, request) && ageMs >= crashesMs && ageMs <= provedAfterMs(request);
  });
}

function hasBytesOf({ annotations }: Pod, { mark, revision }: Request): boolean {
  return revision !== undefined && annotations[mark] === revision;
}

/** Milliseconds after a restart until its bytes count as proven: what fails later has another cause. */
function provedAfterMs({ bake, first, progressDeadlineMs }: Request): number {
  return progressDeadlineMs + (first.length > 0 ? bake.ms : 0);
}
