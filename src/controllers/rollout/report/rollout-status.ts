import type { Reason } from "../../../api/reasons.ts";
import { rolledOut } from "../../../api/rollout-status.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import { type Asked, conditionsAfter, secondsOf } from "../../conditions.ts";
import type { Opening } from "../../windows.ts";
import type { Finding, State } from "../decide/snapshot.ts";

type Status = NonNullable<SyncedSecret["status"]>;

/** The part of the status that the rollouts' field manager owns. */
export type RolloutStatus = Required<Pick<Status, "conditions">> &
  Pick<Status, "rolledOutRevision" | "workloads" | "failedRollout">;

/** Why nothing can be decided about a namespace: a missing right, or no kind that may be restarted. */
export interface Obstacle {
  reason: Extract<Reason, "NotAllowed" | "RolloutsOff" | "InvalidWindow">;
  message: string;
}

export interface ReportInput {
  resource: SyncedSecret;
  /** What pods should run with: the Secret's restart revision, or its revision if its bytes have never changed. */
  revision: string | undefined;
  result: Obstacle | { findings: readonly Finding[]; opening: Opening };
  /** Milliseconds since the epoch. */
  now: number;
}

/** Workloads in a status, and in a message. */
const mostListed = 50;
const mostNamed = 10;

/** What the condition says of a state in which a restart is still to be made or looked at. */
interface Open {
  reason: Reason;
  /** What the message says of the workloads, before their names. */
  words: string;
}

/** Each state, the one that decides the condition first; undefined if nothing is left to do. */
const states = new Map<State, Open | undefined>([
  [
    "FirstNotReady",
    {
      reason: "FirstNotReady",
      words: "in rollout.first, and missing, paused or without replicas (correct rollout.first, or start it)",
    },
  ],
  [
    "Missing",
    {
      reason: "WorkloadNotFound",
      words: "not found (correct spec.rollout.targets, or let the operator restart their kind)",
    },
  ],
  ["Failed", { reason: "DeadlineExceeded", words: "not available after their restart (look at their pods)" }],
  [
    "Undone",
    {
      reason: "RestartUndone",
      words: "restarted twice and taken back both times (nothing more is done for this revision)",
    },
  ],
  [
    "Halted",
    { reason: "DeadlineExceeded", words: "not restarted because another restart has failed (rollout.onFailure)" },
  ],
  ["Paused", { reason: "WorkloadPaused", words: "paused (the restart goes on when resumed)" }],
  ["Manual", { reason: "ManualRestart", words: "with updateStrategy OnDelete (delete their pods)" }],
  ["OutsideWindow", { reason: "OutsideWindow", words: "waiting for a window of rollout.windows" }],
  ["Restarting", { reason: "Progressing", words: "being restarted" }],
  ["BehindFirst", { reason: "Progressing", words: "waiting until rollout.first has been available for rollout.bake" }],
  ["Waiting", { reason: "Progressing", words: "waiting for a restart" }],
  ["Owned", undefined],
  ["Current", undefined],
  ["NoRestartNeeded", undefined],
]);
const order = [...states.keys()];

/** Turns findings into the condition RolledOut and the status. Pure. */
export function rolloutStatusOf({ resource, revision, result, now }: ReportInput): RolloutStatus {
  const before = resource.status ?? {};
  const generation = resource.metadata.generation ?? 1;
  const findings = "findings" in result ? sorted(result.findings) : undefined;
  const asked = "findings" in result ? conditionOf(findings!, result.opening) : conditionOfObstacle(result);
  const reached = asked.status === "True" ? (revision ?? before.rolledOutRevision) : before.rolledOutRevision;
  const workloads = findings ? findings.slice(0, mostListed).map(listed) : before.workloads;
  return {
    conditions: conditionsAfter(before.conditions, [asked], generation, now),
    ...(reached === undefined ? {} : { rolledOutRevision: reached }),
    ...(workloads?.length ? { workloads } : {}),
    ...(findings ? failedRolloutOf({ findings, before, restartRevision: revision, now }) : keptFailure(before)),
  };
}

/** Milliseconds after which a failure that lasts is reported anew: nothing is set back for an old one. */
const observedMs = 300_000;

/** The failure that sets the Secret back: with rollout.onFailure Revert only. */
function failedRolloutOf({
  findings,
  before,
  restartRevision,
  now,
}: {
  findings: readonly Finding[];
  before: Status;
  restartRevision: string | undefined;
  now: number;
}): Pick<RolloutStatus, "failedRollout"> {
  const failed = findings.find(({ failure }) => failure !== undefined);
  if (!failed || restartRevision === undefined) return {};
  const { failedRollout: known, heldBack } = before;
  const isKnown = known?.restartRevision === restartRevision;
  const isRecent = isKnown && Math.abs(now - Date.parse(known.observedTime)) < observedMs;
  if (isKnown && (isRecent || heldBack)) return { failedRollout: known };
  const { kind, name, failure } = failed;
  return { failedRollout: { restartRevision, cause: `${kind} ${name} ${failure}`, observedTime: secondsOf(now) } };
}

function keptFailure({ failedRollout }: Status): Pick<RolloutStatus, "failedRollout"> {
  return failedRollout ? { failedRollout } : {};
}

function conditionOfObstacle({ reason, message }: Obstacle): Asked {
  return { type: rolledOut, status: "False", reason, message };
}

function conditionOf(findings: readonly Finding[], opening: Opening): Asked {
  const open = Map.groupBy(
    findings.filter(({ state }) => states.get(state)),
    ({ state }) => state,
  );
  const [first] = open.keys();
  if (first === undefined) {
    const using = findings.filter(({ state }) => state === "Current").length;
    const message = using === 0 ? "no workload needs a restart" : `${count(using)} with the current bytes`;
    return { type: rolledOut, status: "True", reason: rolledOut, message };
  }
  const opensAt = opening.state === "closed" && opening.from !== undefined ? ` (at ${secondsOf(opening.from)})` : "";
  const parts = [...open].map(([state, found]) => {
    const { words } = states.get(state)!;
    return `${words}${state === "OutsideWindow" ? opensAt : ""}: ${namesOf(found)}`;
  });
  return { type: rolledOut, status: "False", reason: states.get(first)!.reason, message: parts.join("; ") };
}

function sorted(findings: readonly Finding[]): Finding[] {
  const name = ({ kind, name }: Finding) => `${kind}/${name}`;
  return [...findings].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || (name(a) < name(b) ? -1 : 1));
}

function namesOf(findings: readonly Finding[]): string {
  const names = findings.slice(0, mostNamed).map(({ kind, name }) => `${kind} ${name}`);
  const more = findings.length > mostNamed ? ` and ${findings.length - mostNamed} more` : "";
  return names.join(", ") + more;
}

function count(workloads: number): string {
  return workloads === 1 ? "1 workload" : `${workloads} workloads`;
}

function listed({ kind, name, uses, state, record }: Finding): NonNullable<Status["workloads"]>[number] {
  return {
    ...{ kind, name, state },
    ...(uses.length > 0 ? { uses: [...uses] } : {}),
    ...(record?.revision === undefined ? {} : { restartedFor: record.revision }),
    ...(record?.putBack ? { putBack: true } : {}),
    ...(record?.availableWith === undefined ? {} : { availableWith: record.availableWith }),
  };
}
