import { failureOf } from "./proof.ts";
import { setBack } from "./set-back.ts";
import type { IndexedSnapshot, Request } from "./snapshot.ts";
import { recordOf, type Verdict } from "./verdict.ts";
import { idOf, type Workload } from "./workload.ts";

/** Milliseconds after which a rollout no longer takes a slot. */
const slotMs = 3_600_000;

/** Judges a workload that uses a Secret. @param stalePods its pods that were created before the bytes changed */
export function judge(snapshot: IndexedSnapshot, request: Request, workload: Workload, stalePods: number): Verdict {
  const { revision, mark, secret, targets } = request;
  const uses = workload.uses.get(secret) ?? [];
  const isOnlyPulled = !targets && uses.every((use) => use === "ImagePullSecret");
  if (workload.kind === "CronJob" || isOnlyPulled) return { state: "NoRestartNeeded" };
  if (request.heldBack) {
    const back = setBack(snapshot, request, workload);
    if (back) return back === "there" ? restarted(snapshot, request, workload, stalePods) : back;
  }
  if (revision === undefined) return { state: "Current" };
  if (workload.marks.get(mark) === revision) return restarted(snapshot, request, workload, stalePods);
  if (workload.owner !== undefined) return { state: "Owned" };
  const isYoung = stalePods === 0 && workload.progress === "complete";
  // It was created after the change, so nobody has taken a restart back.
  if (isYoung && workload.createdAt > request.changedAt) return { state: "Current" };
  const record = recordOf(snapshot, request, workload);
  const isUndone = record?.revision === revision;
  if (isUndone && record.putBack) return { state: "Undone" };
  // Its pods are younger than the bytes: whoever started them has done the restart.
  if (!isUndone && isYoung) return { state: "Current" };
  if (workload.isPaused) return { state: "Paused" };
  // A rollout that does not end must not keep the new bytes away: they may be the remedy.
  const isLate = snapshot.monotonic - request.seenAt >= request.progressDeadlineMs;
  const isOfOthers = workload.isReplacing && !isOwn(snapshot, workload) && !isLate;
  if (isOfOthers) return { state: "Waiting" };
  if (request.opening.state !== "open") return { state: "OutsideWindow" };
  return { state: "Waiting", record: { revision, putBack: isUndone } };
}

/** Judges a workload whose template has the restart revision. */
function restarted(snapshot: IndexedSnapshot, request: Request, workload: Workload, stalePods: number): Verdict {
  const { progress, isManual, isPaused, kind } = workload;
  const failure = request.revertsOnFailure ? failureOf(snapshot, request, workload) : undefined;
  if (failure !== undefined) return { state: "Failed", failure };
  // What happens to the pods after its end is not the restart's.
  const isOver = progress === "complete" || request.completed.has(idOf(workload));
  if (isOver) return { state: isManual && stalePods > 0 ? "Manual" : "Current" };
  const past = { state: "Failed", failure: "has passed the deadline of its rollout" } as const;
  if (progress === "failed") return past;
  if (isPaused) return { state: "Paused" };
  const startedAt = startOf(snapshot, request, workload);
  const hasNoDeadline = kind === "StatefulSet" || kind === "DaemonSet";
  const isLate = hasNoDeadline && snapshot.monotonic - startedAt >= request.progressDeadlineMs;
  return isLate ? past : { state: "Restarting" };
}

/** When a restart began, in monotonic milliseconds; for one of a former leader, when this process saw the revision. */
function startOf({ restarts }: IndexedSnapshot, { seenAt }: Request, { uid }: Workload): number {
  return restarts.get(uid)?.at ?? seenAt;
}

/** Whether a rollout in progress was begun by this process, and nobody has changed the workload since. */
function isOwn({ restarts }: IndexedSnapshot, { uid, generation }: Workload): boolean {
  return restarts.get(uid)?.generation === generation;
}

/** Whether a workload takes one of the slots. A paused or failed rollout takes none, so that it blocks no other one. */
export function isInProgress(snapshot: IndexedSnapshot, workload: Workload, verdicts: readonly Verdict[]): boolean {
  if (verdicts.some(({ state }) => state === "Restarting")) return !isEndless(snapshot, workload);
  return workload.progress === "progressing" && verdicts.some(({ record }) => record) && isOwn(snapshot, workload);
}

/** Whether a restart by this process lasts so long that it no longer takes a slot: a deadline can be set to years. */
function isEndless({ restarts, monotonic }: IndexedSnapshot, { uid }: Workload): boolean {
  const restart = restarts.get(uid);
  return restart !== undefined && monotonic - restart.at >= slotMs;
}
