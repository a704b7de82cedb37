import { readyOf } from "../../../api/conditions.ts";
import type { Reason } from "../../../api/reasons.ts";
import { withoutRollout } from "../../../api/rollout-status.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import type { Findings } from "../../../ciphertexts/key-watch.ts";
import type { Failure } from "../../../runtime/failure.ts";
import { type Asked, conditionsAfter, failedOver, isSame, secondsOf } from "../../conditions.ts";
import { listed } from "../decide/listed.ts";
import { hasFailed, type Outcome } from "../decide/outcome.ts";
import { nextExpiryOf } from "../decide/source-metadata.ts";
import { newsOf, warningsOf } from "./expiry-conditions.ts";
import { heldBackEvents, heldBackReport } from "./held-back-report.ts";
import { keyCondition } from "./key-conditions.ts";
import { pendingReport } from "./pending-report.ts";

type Status = NonNullable<SyncedSecret["status"]>;

/** An event to emit. */
export interface News {
  type: "Normal" | "Warning";
  reason: string;
  note: string;
}

/** The status, events and next reconcile that follow from an outcome. */
export interface Summary {
  status: Status;
  /** Whether the status differs from the current one. */
  statusChanged: boolean;
  /** The events: of Ready, failover, KMS keys at risk, expiries and what is held back, in this order. */
  events: News[];
  ready: "True" | "False" | "Unknown";
  reason: Reason;
  /** Milliseconds until the next reconcile, without any event; undefined if none is needed. */
  againAfterMs?: number;
  /** Whether to retry with backoff. */
  retry: boolean;
}

export interface SummarizeInput {
  resource: SyncedSecret;
  outcome: Exclude<Outcome, { kind: "again" | "nothing" }>;
  /** Milliseconds since the epoch. */
  now: number;
  /** Milliseconds of `ClockWatch.elapsed`, which measure how long AWS has not answered. */
  elapsed: number;
  /** Milliseconds without an answer from AWS after which Ready turns False; Infinity if AWS is not polled. */
  staleAfterMs: number;
  /** Start of this process, in milliseconds of `ClockWatch.elapsed`. */
  startedAt: number;
  /** Milliseconds after which a cause that sends no event is rechecked. */
  slowRetryMs: number;
  /** Milliseconds between two repairs while others keep changing the Secret; undefined if repairs are not delayed. */
  repairsApartMs?: number | undefined;
  /** Findings about the KMS keys in use; undefined if nothing is known, so that the condition stays. */
  keys?: Findings;
}

/** The reason of the event of a repair. */
const repaired: Reason = "Repaired";
/** Suffix while others keep changing the Secret; without figures, so that the message stays the same. */
const contestedMark = "; others change it again and again, so that repairs are up to 5 minutes apart";
/** Keys of other managers that a Repaired event names, at most. */
const keysNamed = 5;
/** Minimum milliseconds until the next check whether AWS has been silent for too long. */
const staleAgainMs = 10_000;
/** Milliseconds after which an unwatched cause is rechecked: a conflicting Secret, an admission policy. */
const refusedAgainMs = 30_000;
/** Milliseconds after which a stale answer is rechecked. */
const staleAnswerRetryMs = 20_000;
/** Start of the suffix for stale answers. */
const staleAnswerMark = "; AWS answers with an older version than before for ";

/** Turns an outcome into conditions, status, events and the next reconcile. Pure. */
export function summarize(input: SummarizeInput): Summary {
  const { resource, outcome, now } = input;
  const before: Status = withoutRollout(resource.status ?? {});
  const verdict = judge(input);
  const generation = resource.metadata.generation ?? 1;
  const key = outcome.kind === "suspended" ? undefined : keyCondition(input.keys, before);
  const elsewhere = failoverOf(outcome);
  const warned = warningsAfter(input);
  const pending = pendingReport(resource, outcome);
  const heldBack = heldBackReport(resource, outcome);
  const status: Status = {
    ...retained(before),
    ...pending.fields,
    ...heldBack.fields,
    ...(outcome.kind === "suspended" ? {} : { observedGeneration: generation }),
    conditions: conditionsAfter(
      before.conditions,
      [
        ...[...verdict.conditions, ...elsewhere, ...(key ? [key] : []), ...warned],
        ...[...pending.conditions, ...heldBack.conditions],
      ],
      generation,
      now,
    ),
    ...(outcome.handledRefresh === undefined ? {} : { lastHandledRefresh: outcome.handledRefresh }),
  };
  const made = outcome.kind === "current" || outcome.kind === "degraded" ? outcome : undefined;
  if (made) {
    status.secretRef = { name: made.secret };
    status.revision = made.revision;
    status.keyCount = made.keyCount;
    if (made.applied) status.applied = made.applied;
    if (made.sources) Object.assign(status, listed(made.sources, outcome.sourcesMetadata?.sources ?? []));
    if (made.kmsKeys) {
      delete status.kmsKeys;
      // Not truncated: the next process watches the keys that are listed.
      if (made.kmsKeys.length > 0) status.kmsKeys = made.kmsKeys;
    }
  }
  const hasNotes = outcome.sourcesMetadata !== undefined;
  if (hasNotes || !hasFailed(outcome)) delete status.nextExpiryTime;
  const nextExpiry = outcome.sourcesMetadata && nextExpiryOf(outcome.sourcesMetadata);
  if (nextExpiry !== undefined) status.nextExpiryTime = new Date(nextExpiry).toISOString();
  const isDeleted = outcome.kind === "failed" && outcome.wrote === "deleted";
  if (isDeleted) {
    // The sources stay: missedSinceDeletion() needs them.
    for (const field of ["secretRef", "revision", "keyCount", "applied"] as const) delete status[field];
  }
  if (made?.changed || (isDeleted && before.revision !== undefined)) status.lastChangeTime = secondsOf(now);
  const ready = readyOf(verdict)!;
  const statusChanged = !isSame(before, status);
  // A found last apply alone does not cause a status write: after an upgrade every status would be written.
  const found = outcome.kind === "current" ? outcome.found : undefined;
  if (statusChanged && found && before.applied?.revision !== found.revision) status.applied = found;
  return {
    status,
    statusChanged,
    ready: ready.status,
    reason: ready.reason as Reason,
    events: outcome.isQuiet
      ? []
      : [
          ...eventOf(before, ready, outcome, input.repairsApartMs !== undefined),
          ...failoverEventsOf(before, elsewhere[0], outcome),
          ...(key && !wasReported(before, key)
            ? [{ type: "Warning", reason: key.reason, note: key.message } as const]
            : []),
          ...newsOf((before.conditions ?? []) as Asked[], warned),
          ...heldBackEvents(before, heldBack.conditions),
        ],
    retry: verdict.retry,
    ...againAfter(verdict.againAfterMs, pending.opensAt, now),
  };
}

/** The next reconcile: at the latest when a window opens for a change that waits. */
function againAfter(ms: number | undefined, opensAt: number | undefined, now: number): Pick<Summary, "againAfterMs"> {
  const soonest = Math.min(ms ?? Infinity, opensAt === undefined ? Infinity : Math.max(opensAt - now, 0));
  return Number.isFinite(soonest) ? { againAfterMs: soonest } : {};
}

function failoverOf(outcome: SummarizeInput["outcome"]): Asked[] {
  if (outcome.failedOver === undefined) return [];
  return [{ type: failedOver, status: "True", reason: "ReadInFailoverRegion", message: outcome.failedOver }];
}

/** The event when a Secret starts or stops holding values from a failover region. */
function failoverEventsOf(before: Status, now: Asked | undefined, { kind }: SummarizeInput["outcome"]): News[] {
  const was = before.conditions?.find(({ type }) => type === failedOver);
  const reason = "ReadInFailoverRegion";
  if (now && was?.message !== now.message) return [{ type: "Warning", reason, note: now.message }];
  // An outcome without a read does not show that the home region answers.
  if (!was || now || kind !== "current") return [];
  const note = "the connection's own region answers again, and no value comes from another region";
  return [{ type: "Normal", reason, note }];
}

/** Whether the condition was present with the same reason. */
function wasReported(before: Status, { type, reason }: Asked): boolean {
  return before.conditions?.some((was) => was.type === type && was.reason === reason) ?? false;
}

/** The warning conditions; unchanged if the outcome has no metadata of the sources. */
function warningsAfter({ resource, outcome, now }: SummarizeInput): Asked[] {
  const before = (resource.status?.conditions ?? []) as Asked[];
  if (!hasFailed(outcome) && !outcome.sourcesMetadata) return [];
  return warningsOf(before, outcome.sourcesMetadata, now);
}

interface Verdict {
  conditions: Asked[];
  retry: boolean;
  againAfterMs?: number;
}

function judge(input: SummarizeInput): Verdict {
  const verdict = judged(input);
  if (!hasStaleSources(input.outcome)) return verdict;
  // Only another look shows that an answer has stood for a minute.
  return { ...verdict, againAfterMs: Math.min(verdict.againAfterMs ?? Infinity, staleAnswerRetryMs) };
}

function hasStaleSources(outcome: SummarizeInput["outcome"]): boolean {
  return outcome.kind !== "suspended" && (outcome.staleSources?.length ?? 0) > 0;
}

/** Suffix of a message for stale answers that are not accepted yet. */
function staleAnswerOf({ staleSources = [] }: { staleSources?: readonly string[] }): string {
  if (staleSources.length === 0) return "";
  return `${staleAnswerMark}${staleSources.join(", ")}: retrying, and accepted if unchanged for one minute`;
}

function judged(input: SummarizeInput): Verdict {
  const { resource, outcome, elapsed: now, staleAfterMs, startedAt, slowRetryMs, repairsApartMs } = input;
  if (outcome.kind === "suspended") {
    const message = "spec.suspend is set: nothing is read or written";
    return { conditions: [ready("Unknown", "Suspended", message)], retry: false };
  }
  const staleAt = (outcome.heardAt ?? startedAt) + staleAfterMs;
  const untilStale = Number.isFinite(staleAt) ? Math.max(staleAt - now, 0) : undefined;
  if (outcome.kind === "current") {
    if (outcome.unheard && now >= staleAt) {
      return { conditions: stale(outcome.unheard, staleAfterMs), retry: true };
    }
    const gone = [...new Set(outcome.left)].sort().join(", ");
    const left = gone === "" ? "" : `; left out because they are deleted or expired: ${gone}`;
    const current = `Secret ${outcome.secret} is current with ${count(outcome.keyCount, "key")}`;
    const contested = repairsApartMs === undefined ? "" : contestedMark;
    const message = (messageBefore(resource, outcome, current) ?? current + left) + contested + staleAnswerOf(outcome);
    // Nothing failed: the next poll is enough.
    const againAfterMs = untilStale === 0 ? slowRetryMs : untilStale && Math.max(untilStale, staleAgainMs);
    return {
      conditions: [ready("True", "Synced", message)],
      retry: false,
      ...(againAfterMs === undefined ? {} : { againAfterMs }),
    };
  }
  const problems = outcome.problems;
  const first = gravest(problems);
  const retry = problems.some(({ next }) => next === "retry" || next === "refused");
  const onlyUnheard = problems.every(({ next }) => next === "retry");
  const wasReady = readyOf(resource.status);
  const staysReady =
    onlyUnheard &&
    (outcome.kind === "degraded" || outcome.hasGoodSecret) &&
    wasReady?.status === "True" &&
    wasReady.observedGeneration === resource.metadata.generation &&
    now < staleAt;
  if (staysReady) {
    return {
      conditions: [ready("True", "Synced", withoutSuffix(wasReady.message) + staleAnswerOf(outcome))],
      retry,
      ...(untilStale ? { againAfterMs: untilStale } : {}),
    };
  }
  const message = messageOf(problems);
  const conditions = [ready("False", first.reason, message)];
  if (first.next === "stalled") conditions.push({ type: "Stalled", status: "True", reason: first.reason, message });
  if (first.next === "retry" || first.next === "refused")
    conditions.push({ type: "Reconciling", status: "True", reason: first.reason, message });
  if (first.next === "stalled") return { conditions, retry };
  // Frequent retries do not fix an internal error, and each may decrypt.
  const isRefused = problems.some(({ next, reason }) => next === "refused" && reason !== "InternalError");
  const isSoon = first.reason === "SecretConflict" || isRefused;
  return { conditions, retry, againAfterMs: isSoon ? refusedAgainMs : slowRetryMs };
}

function ready(status: Asked["status"], reason: Reason, message: string): Asked {
  return { type: "Ready", status, reason, message };
}

/** The previous Ready message about the same Secret, if this process does not yet know which members are left out. */
function messageBefore({ status, metadata }: SyncedSecret, outcome: Outcome, current: string): string | undefined {
  const previous = readyOf(status);
  const isCurrent = previous?.status === "True" && previous.observedGeneration === metadata.generation;
  const before = previous && withoutSuffix(previous.message);
  return outcome.isFromStatus && isCurrent && before!.startsWith(`${current};`) ? before : undefined;
}

/** A message without the suffixes for stale answers and contested Secrets. */
function withoutSuffix(message: string): string {
  const found = [staleAnswerMark, contestedMark].map((mark) => message.indexOf(mark)).filter((index) => index >= 0);
  const at = found.length > 0 ? Math.min(...found) : -1;
  return at < 0 ? message : message.slice(0, at);
}

function stale(unheard: Failure, staleAfterMs: number): Asked[] {
  const minutes = Math.round(staleAfterMs / 60_000);
  const silence = minutes > 0 ? count(minutes, "minute") : count(Math.round(staleAfterMs / 1_000), "second");
  const message = `no answer from AWS for ${silence}; the last good Secret stays: ${unheard.message}`;
  return [
    ready("False", unheard.reason, message),
    { type: "Reconciling", status: "True", reason: unheard.reason, message },
  ];
}

/** The problem that gives the condition its reason: one that a person must fix comes before one that is retried. */
function gravest(problems: readonly Failure[]): Failure {
  const rank = { stalled: 0, wait: 1, refused: 2, retry: 3 };
  return [...problems].sort((a, b) => rank[a.next] - rank[b.next])[0]!;
}

/** The messages of all problems without duplicates, in the order of the entries. */
function messageOf(problems: readonly Failure[]): string {
  return [...new Set(problems.map(({ message }) => message))].join("; ");
}

/** The status fields that stay unless the outcome sets them. */
function retained(before: Status): Status {
  const { conditions: _conditions, pendingRevision: _pending, pendingChanges: _changes, ...rest } = before;
  const { lastGood: _good, heldBack: _held, ...others } = rest;
  return others;
}

/** The event of Ready: for a failure, a recovery, a repair or a deletion, but not for a first sync or a new version. */
function eventOf(before: Status, now: Asked, outcome: SummarizeInput["outcome"], isContested: boolean): News[] {
  const was = readyOf(before);
  const { reason } = now;
  if (outcome.kind === "current" && outcome.wrote === "repaired") {
    const { editors = [], foreignKeys = [] } = outcome;
    const how = editors.length > 0 ? `edited by ${editors.join(", ")}` : "edited or deleted";
    const more = foreignKeys.length > keysNamed ? ` and ${foreignKeys.length - keysNamed} more` : "";
    const stays = `; keys that others have added stay: ${foreignKeys.slice(0, keysNamed).join(", ")}${more}`;
    const note = `Secret ${outcome.secret} was ${how}, and was repaired${foreignKeys.length > 0 ? stays : ""}${isContested ? contestedMark : ""}`;
    return [{ type: "Normal", reason: repaired, note }];
  }
  if (outcome.kind === "failed" && outcome.wrote === "deleted") return [{ type: "Warning", reason, note: now.message }];
  const isNews = was?.status !== now.status || was.reason !== now.reason;
  if (now.status === "False" && isNews) return [{ type: "Warning", reason, note: now.message }];
  if (now.status === "True" && was?.status === "False") return [{ type: "Normal", reason, note: now.message }];
  return [];
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
