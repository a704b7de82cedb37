import { digest } from "../../syncedsecret/plan/digest.ts";
import type { Pod } from "./pods.ts";
import type { IndexedSnapshot, NamespaceSnapshot, Request, RestartRecord } from "./snapshot.ts";
import { idOf, type Workload } from "./workload.ts";

/** Milliseconds after a pod's creation from which a container that crashes again and again counts as a failure. */
const crashesMs = 120_000;
/** Milliseconds for which the bake may be broken. */
const brokenMs = 60_000;

/** How a restarted workload fails although its rollout may look complete; undefined if it does not. */
export function failureOf(snapshot: IndexedSnapshot, request: Request, workload: Workload): string | undefined {
  const { bake, first, rolledOutAt } = request;
  const { now, monotonic, podsOf } = snapshot;
  if (isProven(now, request)) return undefined;
  const id = idOf(workload);
  const crashes = (podsOf.get(id) ?? []).some((pod) => pod.isCrashLooping === true && isSuspect(now, request, pod));
  if (crashes) return "has new pods in CrashLoopBackOff";
  const isBaked = rolledOutAt !== undefined && now - rolledOutAt > bake.ms;
  const isBroken = !isBaked && bake.brokenSince !== undefined && monotonic - bake.brokenSince >= brokenMs;
  return isBroken && first.includes(id) && !workload.isAvailable
    ? "did not stay available for rollout.bake"
    : undefined;
}

/** Whether all workloads have run with the bytes for so long that what fails has another cause. */
function isProven(now: number, request: Request): boolean {
  return request.rolledOutAt !== undefined && now - request.rolledOutAt > provedAfterMs(request);
}

/**
 * Whether a workload is known to work before it is restarted. While a rollout of somebody else is stuck, its old pods are
 * available, and the new ones are not; one of our own that is still under way counts as the last restart's.
 *
 * @param before the record of its last restart
 */
export function worksBefore(workload: Workload, before: RestartRecord | undefined, mark: string): boolean {
  const { progress, isAvailable, isManual, wanted, marks } = workload;
  if (progress === "complete") return isAvailable && !isManual && wanted > 0;
  const isOwn = before?.revision !== undefined && before.revision === marks.get(mark);
  return isOwn && before.availableWith !== undefined && before.availableWith === availableWith(workload, mark);
}

/**
 * Identifies the pod template of a workload without one restart annotation. Short: the template may contain values, and
 * people who may read a status may not read it.
 *
 * @param records annotations that are about to be set
 */
export function availableWith(
  { template, marks }: Workload,
  mark: string,
  records: ReadonlyMap<string, { revision: string | undefined }> = new Map(),
): string {
  const after = new Map<string, string | undefined>(marks);
  for (const [name, { revision }] of records) after.set(name, revision);
  const others = [...after].filter(([name, value]) => name !== mark && value !== undefined).sort();
  return digest(JSON.stringify([template, others])).slice(0, 8);
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
  const reverting = requests.filter((request) => request.revertsOnFailure && !isProven(now, request));
  if (reverting.length === 0) return false;
  const isWell = ({ isAvailable, progress }: Workload) => isAvailable && progress === "complete";
  const unwell = new Set(workloads.filter((workload) => !isWell(workload)).map(idOf));
  const doubtful = pods.filter(({ workload }) => unwell.has(workload));
  return reverting.some((request) => doubtful.some((pod) => isSuspect(now, request, pod)));
}

/** Whether some restart is so young that its failure would set the Secret back. */
export function isProving({ now, pods }: NamespaceSnapshot, request: Request): boolean {
  if (!request.revertsOnFailure || isProven(now, request)) return false;
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
