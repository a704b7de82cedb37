import { findingOf, missing } from "./finding.ts";
import { type Gate, gateOf } from "./gate.ts";
import { isInProgress, judge } from "./judge.ts";
import { lookMs, patience, untilOpen } from "./patience.ts";
import { isProving } from "./proof.ts";
import type { Finding, NamespaceSnapshot, Request } from "./snapshot.ts";
import { staleCounter } from "./stale-pods.ts";
import { type Open, type Pending, pendingOf, type RestartPlan, start, ungated } from "./start.ts";
import type { Verdict } from "./verdict.ts";
import { idOf, type Workload } from "./workload.ts";

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
    const verdicts: Verdict[] = [];
    const pending: Pending[] = [];
    for (const request of concernedBy(workload)) {
      const stalePods = staleOf(request, workload);
      const verdict = judge(snapshot, request, workload, stalePods);
      const finding = findingOf(snapshot, request, workload, { ...verdict, stalePods });
      findings.get(request.key)!.push(finding);
      verdicts.push(verdict);
      // The Secret is about to be set back because of the workload, which keeps its slot until then.
      if (finding.failure !== undefined && !request.isSettled && !request.heldBack) inProgress.add(idOf(workload));
      if (verdict.record) pending.push(pendingOf(snapshot, { request, workload }, verdict, finding));
      else if (verdict.state === "Waiting") waitsForOthers = true;
    }
    if (isInProgress(snapshot, workload, verdicts)) inProgress.add(idOf(workload));
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
