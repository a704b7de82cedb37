import { availableWith } from "./proof.ts";
import type { Finding, IndexedSnapshot, Request, RestartRecord } from "./snapshot.ts";
import { recordOf, type Verdict } from "./verdict.ts";
import type { Workload } from "./workload.ts";

/** The findings about targets that do not exist. @param workloads by `idOf` */
export function missing(targets: readonly string[], workloads: ReadonlyMap<string, Workload>): Finding[] {
  return targets
    .filter((id) => !workloads.has(id))
    .map((id) => {
      const [kind = "", name = ""] = id.split("/");
      return { kind, name, uses: [], state: "Missing" as const, record: undefined, stalePods: 0 };
    });
}

/** What a status and a condition tell of a workload. */
export function findingOf(
  snapshot: IndexedSnapshot,
  request: Request,
  workload: Workload,
  { state, stalePods, failure }: Pick<Verdict, "state" | "failure"> & { stalePods: number },
): Finding {
  const { revision, mark, secret } = request;
  const { kind, name } = workload;
  const known = recordOf(snapshot, request, workload);
  const isMarked = revision !== undefined && workload.marks.get(mark) === revision;
  const record = isMarked && known?.revision !== revision ? unrecorded(request, workload) : known;
  const finding = { kind, name, uses: workload.uses.get(secret) ?? [], state, record, stalePods };
  const isCause =
    request.revertsOnFailure && failure !== undefined && record?.availableWith === availableWith(workload, mark);
  return isCause ? { ...finding, failure } : finding;
}

/** The record of a restart by a leader that ended before it was written: the old pods show whether the workload worked. */
function unrecorded({ revision, mark, revertsOnFailure }: Request, workload: Workload): RestartRecord {
  const works = revertsOnFailure && workload.kind === "Deployment" && workload.isAvailable;
  return { revision, putBack: false, ...(works ? { availableWith: availableWith(workload, mark) } : {}) };
}
