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
  const { rolledOutAt } = request;
  if (rolledOutAt !== undefined && now - rolledOutAt > provedAfterMs(request)) return undefined;
  const crashes = ({ workload: of, isCrashLooping }: Pod) => isCrashLooping === true && of === id;
  if (pods.some((pod) => crashes(pod) && isSuspect(now, request, pod))) return "has new pods in CrashLoopBackOff";
  // The others have been restarted: the bake was over.
  const isBaked = rolledOutAt !== undefined;
  const isBroken = !isBaked && bake.brokenSince !== undefined && monotonic - bake.brokenSince >= brokenMs;
  return isBroken && first.includes(id) && !workload.isAvailable
    ? "did not stay available for rollout.bake"
    : undefined;
}

/**
 * Whether the statuses of pods decide: the rollout of a restarted workload is not complete, or its pods are not available,
 * although its new pods are old enough.
 *
 * @param running.now milliseconds since the epoch
 */
export function needsPodStatuses(
  requests: readonly Request[],
  { now, workloads, pods }: Pick<NamespaceSnapshot, "now" | "workloads" | "pods">,
): boolean {
  const reverting = requests.filter(({ revertsOnFailure }) => revertsOnFailure);
  if (reverting.length === 0) return false;
  const isWell = ({ isAvailable, progress }: Workload) => isAvailable && progress === "complete";
  const unwell = new Set(workloads.filter((workload) => !isWell(workload)).map(idOf));
  const doubtful = pods.filter(({ workload }) => unwell.has(workload));
  return reverting.some((request) => doubtful.some((pod) => isSuspect(now, request, pod)));
}

/** Whether some restart is so young that its failure would set the Secret back. */
export function isProving({ now, pods }: NamespaceSnapshot, request: Request): boolean {
  if (!request.revertsOnFailure) return false;
  return pods.some((pod) => hasBytesOf(pod, request) && now - pod.createdAt <= provedAfterMs(request));
}

/** Whether a pod has the current bytes, is old enough to fail, and too young for another cause. */
function isSuspect(now: number, request: Request, pod: Pod): boolean {
  const ageMs = now - pod.createdAt;
  return hasBytesOf(pod, request) && ageMs >= crashesMs && ageMs <= provedAfterMs(request);
}

function hasBytesOf({ annotations }: Pod, { mark, revision }: Request): boolean {
  return revision !== undefined && annotations[mark] === revision;
}

/** Milliseconds after a restart until its bytes count as proven: what fails later has another cause. */
function provedAfterMs({ bake, first, progressDeadlineMs }: Request): number {
  return progressDeadlineMs + (first.length > 0 ? bake.ms : 0);
}
