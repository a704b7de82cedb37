import type { Opening } from "../../windows.ts";
import { type Gate, gateOf } from "./gate.ts";
import { isInProgress, judge } from "./judge.ts";
import { availableWith, isProving, worksBefore } from "./proof.ts";
import type { Finding, IndexedSnapshot, NamespaceSnapshot, Request, RestartRecord, State } from "./snapshot.ts";
import { staleCounter } from "./stale-pods.ts";
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

/** What follows from a snapshot. */
export interface NamespacePlan {
  restarts: readonly RestartPlan[];
  /** The workloads whose rollout is in progress, with those of `restarts`. */
  inProgress: ReadonlySet<string>;
  /** Whether a restart that is due found no slot. */
  isFull: boolean;
  /** By the key of each request. */
  findings: ReadonlyMap<string, readonly Finding[]>;
  /** The requests whose workloads of `first` are available with the current bytes. */
  firstAvailable: ReadonlySet<string>;
  /** The requests whose workloads of `first` were available with the current bytes, and are not all available now. */
  firstBroken: ReadonlySet<string>;
  /** Milliseconds until the next look. */
  againAfterMs: number;
}

/**
 * Milliseconds between looks: at a rollout in progress, at one of somebody else, at a workload that a person must go on
 * with, at nothing.
 */
const lookMs = { progress: 2_000, others: 15_000, person: 60_000, idle: 600_000 };

/** Decides which workloads of a namespace are restarted now. Pure. */
export function decideRollouts(given: NamespaceSnapshot): NamespacePlan {
  const snapshot = { ...given, podsOf: Map.groupBy(given.pods, ({ workload }) => workload) };
  const { requests, workloads } = snapshot;
  const staleOf = staleCounter(snapshot);
  const byId = new Map(workloads.map((workload) => [idOf(workload), workload]));
  const findings = new Map<string, Finding[]>(requests.map(({ key, targets = [] }) => [key, missing(targets, byId)]));
  const concernedBy = requestsByWorkload(requests);
  const inProgress = new Set<string>();
  const open: Open[] = [];
  let waitsForOthers = false;
  for (const workload of workloads) {
    const concerned = concernedBy(workload);
    const verdicts: Verdict[] = [];
    const pending: Pending[] = [];
    for (const request of concerned) {
      const stalePods = staleOf(request, workload);
      const verdict = judge(snapshot, request, workload, stalePods);
      const finding = findingOf(snapshot, request, workload, { ...verdict, stalePods });
      findings.get(request.key)!.push(finding);
      verdicts.push(verdict);
      if (verdict.record) pending.push(pendingOf(snapshot, { request, workload }, verdict, finding));
      else if (verdict.state === "Waiting") waitsForOthers = true;
    }
    if (isInProgress(snapshot, workload, verdicts) || isSetBackSoon(concerned, findings, workload)) {
      inProgress.add(idOf(workload));
    }
    if (pending.length > 0) open.push({ workload, pending });
  }
  const gates = new Map<string, Gate>(
    requests.map((request) => [request.key, gateOf(request, findings.get(request.key)!, byId, snapshot.monotonic)]),
  );
  const started = start(snapshot, ungated(open, gates), inProgress);
  let againAfterMs = Math.min(started.againAfterMs, waitsForOthers ? lookMs.others : lookMs.idle);
  const wake = (ms: number | undefined) => {
    againAfterMs = Math.min(againAfterMs, ms ?? lookMs.idle);
  };
  for (const found of findings.values()) for (const { state } of found) wake(patience[state]);
  for (const { bakeMs } of gates.values()) wake(bakeMs === undefined ? undefined : Math.min(bakeMs, lookMs.others));
  for (const { opening } of requests) wake(untilOpen(opening, snapshot.now));
  for (const request of requests) wake(isProving(snapshot, request) ? lookMs.others : undefined);
  const keysOf = (is: (gate: Gate) => boolean) =>
    new Set([...gates].filter(([, gate]) => is(gate)).map(([key]) => key));
  const firstAvailable = keysOf((gate) => gate.isFirstAvailable);
  const firstBroken = keysOf((gate) => gate.isFirstBroken);
  return { ...started, inProgress, findings, firstAvailable, firstBroken, againAfterMs };
}

/** Whether the Secret is about to be set back because of a workload, which keeps its slot until then. */
function isSetBackSoon(
  concerned: readonly Request[],
  findings: ReadonlyMap<string, readonly Finding[]>,
  workload: Workload,
): boolean {
  const id = idOf(workload);
  const isCause = (finding: Finding) => finding.failure !== undefined && idOf(finding) === id;
  return concerned.some(({ key, isSettled, heldBack }) => !isSettled && !heldBack && findings.get(key)!.some(isCause));
}

/** Leaves out what a gate does not let through, and says so in its finding. */
function ungated(open: readonly Open[], gates: ReadonlyMap<string, Gate>): Open[] {
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

/** Milliseconds until a window opens; `lookMs.idle` if none is waited for. */
function untilOpen(opening: Opening, now: number): number {
  return opening.state === "closed" && opening.from !== undefined ? Math.max(opening.from - now, 0) : lookMs.idle;
}

/** Takes the workloads whose restart is due while there are slots, and adds them to `inProgress`. */
function start(
  snapshot: IndexedSnapshot,
  open: readonly Open[],
  inProgress: Set<string>,
): Pick<NamespacePlan, "restarts" | "isFull" | "againAfterMs"> {
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

/** A workload and a Secret whose restart revision it lacks. */
interface Pending {
  request: Request;
  /** What a restart records. */
  record: RestartRecord;
  finding: Finding;
  isRevert: boolean;
  /** Whether the workload is known to work before: with Revert only. */
  works: boolean;
}

interface Open {
  workload: Workload;
  pending: readonly Pending[];
}

/** Whether a restart takes back bytes that are held back. */
function isRevert({ pending }: Pick<Open, "pending">): boolean {
  return pending.some((one) => one.isRevert);
}

function pendingOf(
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

/** Milliseconds until the next look at a workload in a state. A restart that is due has a wait of its own. */
const patience: Partial<Record<State, number>> = {
  Restarting: lookMs.progress,
  Paused: lookMs.person,
  Missing: lookMs.person,
  FirstNotReady: lookMs.person,
  Failed: lookMs.person,
  Manual: lookMs.person,
};

/** Finds the requests that concern a workload, without a comparison of each with each. */
function requestsByWorkload(requests: readonly Request[]): (workload: Workload) => readonly Request[] {
  const auto = Map.groupBy(
    requests.filter(({ targets }) => !targets),
    ({ secret }) => secret,
  );
  const listed = new Map<string, Request[]>();
  for (const request of requests) {
    for (const id of request.targets ?? []) {
      const known = listed.get(id);
      if (known) known.push(request);
      else listed.set(id, [request]);
    }
  }
  return (workload) => {
    const found = [...workload.uses.keys()].flatMap((secret) => auto.get(secret) ?? []);
    return [...found, ...(listed.get(idOf(workload)) ?? [])];
  };
}

function missing(targets: readonly string[], workloads: ReadonlyMap<string, Workload>): Finding[] {
  return targets
    .filter((id) => !workloads.has(id))
    .map((id) => {
      const [kind = "", name = ""] = id.split("/");
      return { kind, name, uses: [], state: "Missing" as const, record: undefined, stalePods: 0 };
    });
}

function findingOf(
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
