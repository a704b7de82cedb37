import type { Pod } from "./pods.ts";
import { startedMeanwhile } from "./set-back.ts";
import type { IndexedSnapshot, Request } from "./snapshot.ts";
import { idOf, type Workload } from "./workload.ts";

/**
 * Counts the pods of a workload that were created before a Secret's bytes changed. Only the time of the Secret's last write
 * is known, and a repair or another label writes the same bytes again. So pods that ran with them before stay current.
 */
export function staleCounter({ podsOf }: IndexedSnapshot): (request: Request, workload: Workload) => number {
  return (request, workload) => {
    const { revision, changedAt, mark, current, heldBack } = request;
    const own = podsOf.get(idOf(workload)) ?? [];
    const tainted = heldBack ? own.filter((pod) => startedMeanwhile(pod, request)).length : 0;
    if (tainted > 0) return tainted;
    const isMarked = workload.marks.get(mark) === revision;
    if (revision === undefined || (!isMarked && current.has(idOf(workload)))) return 0;
    const isCurrent = ({ annotations, createdAt }: Pod) => annotations[mark] === revision || createdAt > changedAt;
    return own.filter((pod) => !isCurrent(pod)).length;
  };
}
