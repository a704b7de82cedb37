import type { IndexedSnapshot, Request, RestartRecord, State } from "./snapshot.ts";
import { idOf, type Workload } from "./workload.ts";

/** The state of a workload from the view of one Secret. */
export interface Verdict {
  state: State;
  /** What a restart records; set if the workload lacks the restart revision and is to be restarted. */
  record?: RestartRecord;
  /** Whether the restart takes back bytes that are held back: it waits for no other one, and for no time. */
  isRevert?: true;
  /** How it failed. */
  failure?: string;
}

/** The last restart of a workload for a Secret, as this process or the status knows it. */
export function recordOf(
  { restarts }: IndexedSnapshot,
  request: Request,
  workload: Workload,
): RestartRecord | undefined {
  return restarts.get(workload.uid)?.records.get(request.mark) ?? request.records.get(idOf(workload));
}
