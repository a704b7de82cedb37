import type { Gate } from "./gate.ts";
import { lookMs } from "./patience.ts";
import { availableWith, worksBefore } from "./proof.ts";
import type { Finding, IndexedSnapshot, Request, RestartRecord } from "./snapshot.ts";
import { recordOf, type Verdict } from "./verdict.ts";
import { waitOf } from "./wait.ts";
import { idOf, type Workload } from "./workload.ts";

/** A restart to carry out. */
export interface RestartPlan {
  workload: Workload;
  /** The annotations to set, with what they record. */
  records: ReadonlyMap<string, RestartRecord>;
  /** The SyncedSecrets that it is for. */
  keys: readonly string[];
}

/** A workload and a Secret whose restart revision it lacks. */
export interface Pending {
  request: Request;
  /** What a restart records. */
  record: RestartRecord;
  finding: Finding;
  isRevert: boolean;
  /** Whether the workload is known to work before: with Revert only. */
  works: boolean;
}

/** A workload that is to be restarted. */
export interface Open {
  workload: Workload;
  pending: readonly Pending[];
}

/** Whether a restart takes back bytes that are held back. */
function isRevert({ pending }: Pick<Open, "pending">): boolean {
  return pending.some((one) => one.isRevert);
}

/** What a verdict asks for, and what a restart would record. */
export function pendingOf(
  snapshot: IndexedSnapshot,
  { request, workload }: { request: Request; workload: Workload },
  verdict: Verdict,
  finding: Finding,
): Pending {
  const record = { ...verdict.record! };
  const before = recordOf(snapshot, request, workload);
  const works = request.revertsOnFailure && worksBefore(workload, before, request.mark);
  return { request, record, finding, isRevert: verdict.isRevert === true, works };
}

/** Leaves out what a gate does not let through, and says so in its finding. */
export function ungated(open: readonly Open[], gates: ReadonlyMap<string, Gate>): Open[] {
  return open.flatMap(({ workload, pending }) => {
    const left = pending.filter(({ request, finding, isRevert }) => {
      if (isRevert) return true;
      const state = gates.get(request.key)!.stateOf(idOf(workload));
      if (state) finding.state = state;
      return state === undefined;
    });
    return left.length > 0 ? [{ workload, pending: left }] : [];
  });
}

/** Takes the workloads whose restart is due while there are slots, and adds them to `inProgress`. */
export function start(
  snapshot: IndexedSnapshot,
  open: readonly Open[],
  inProgress: Set<string>,
): { restarts: readonly RestartPlan[]; isFull: boolean; againAfterMs: number } {
  const restarts: RestartPlan[] = [];
  let isFull = false;
  let againAfterMs = lookMs.idle;
  /** Requests by OneByOne for which a restart has been taken. */
  const busy = new Set<string>();
  for (const { workload, pending } of [...open].sort((a, b) => Number(isRevert(b)) - Number(isRevert(a)))) {
    const id = idOf(workload);
    const requests = isRevert({ pending }) ? [] : pending.map(({ request }) => request);
    const waitMs = waitOf(snapshot, workload, requests);
    if (requests.some(({ key }) => busy.has(key))) {
      againAfterMs = lookMs.progress;
    } else if (waitMs > 0) {
      againAfterMs = Math.min(againAfterMs, waitMs);
    } else if (!inProgress.has(id) && inProgress.size >= snapshot.slots) {
      isFull = true;
      if (inProgress.size > 0) againAfterMs = lookMs.progress;
    } else {
      inProgress.add(id);
      for (const { request } of pending) if (request.isOneByOne) busy.add(request.key);
      for (const { finding, record } of pending) Object.assign(finding, { state: "Restarting", record });
      const records = new Map(pending.map(({ request, record }) => [request.mark, record]));
      for (const { request, record, works } of pending) {
        if (works) record.availableWith = availableWith(workload, request.mark, records);
      }
      restarts.push({ workload, records, keys: pending.map(({ request }) => request.key) });
    }
  }
  return { restarts, isFull, againAfterMs };
}
