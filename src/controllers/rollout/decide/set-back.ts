import type { Pod } from "./pods.ts";
import type { IndexedSnapshot, Request } from "./snapshot.ts";
import { recordOf, type Verdict } from "./verdict.ts";
import { idOf, type Workload } from "./workload.ts";

/**
 * The annotation of a template whose pods are replaced without a change of the Secret's restart revision: they had started
 * with bytes that are held back now.
 */
const backPrefix = "back.";

/**
 * Judges a workload while bytes are held back. Its template gets the Secret's restart revision again, so that a Deployment
 * returns to its former pods. If some of these have started while the Secret had the bytes, all are replaced.
 *
 * @returns `there` if its template is already as it is to be; undefined if the workload has nothing to do with these bytes
 */
export function setBack(
  snapshot: IndexedSnapshot,
  request: Request,
  workload: Workload,
): Verdict | "there" | undefined {
  const { revision, mark, heldBack } = request;
  const back = backPrefix + heldBack!.revision;
  const present = workload.marks.get(mark);
  if (present === back) return "there";
  const isTainted = (snapshot.podsOf.get(idOf(workload)) ?? []).some((pod) => startedMeanwhile(pod, request));
  if (present !== heldBack!.revision && !isTainted) {
    if (present !== revision) return undefined;
    // Without a restart revision, only a workload that was set back waits for its pods.
    const isConcerned = revision !== undefined || recordOf(snapshot, request, workload) !== undefined;
    return isConcerned ? "there" : { state: "Current" };
  }
  if (workload.owner !== undefined) return { state: "Owned" };
  const to = isTainted ? back : revision;
  const record = recordOf(snapshot, request, workload);
  const isUndone = record !== undefined && record.revision === to;
  if (isUndone && record.putBack) return { state: "Undone" };
  if (workload.isPaused) return { state: "Paused" };
  return { state: "Waiting", record: { revision: to, putBack: isUndone }, isRevert: true };
}

/** Whether a pod has started with bytes that are held back now, although its template had other ones. */
export function startedMeanwhile({ annotations, createdAt }: Pod, { mark, heldBack }: Request): boolean {
  if (!heldBack || !(createdAt >= heldBack.since && createdAt <= heldBack.until)) return false;
  const has = annotations[mark];
  return has !== heldBack.revision && has !== backPrefix + heldBack.revision;
}
