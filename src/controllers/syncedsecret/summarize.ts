import type { Reason } from "../../api/reasons.ts";
import type { SyncedSecret } from "../../api/types.ts";
import type { Findings } from "../../ciphertexts/key-watch.ts";
import type { Failure } from "../../runtime/failure.ts";
import { type Asked, conditionsAfter, isSame, secondsOf } from "../conditions.ts";
import { newsOf, nextExpiryOf, type SourceMetadata, warningsOf } from "./expiry-conditions.ts";
import { failedOver } from "./failover.ts";
import { keyCondition } from "./key-conditions.ts";
import type { Outcome } from "./outcome.ts";
import type { RevisionSource } from "./revision.ts";

type Status = NonNullable<SyncedSecret["status"]>;

/** Something that is worth an event. */
export interface News {
  type: "Normal" | "Warning";
  reason: string;
  note: string;
}

/** What follows from an outcome. */
export interface Summary {
  status: Status;
  /** Whether the status differs from the one that is there. */
  statusChanged: boolean;
  /** What is news: of Ready, of the region that was read in, of a key in danger, of expiries, in this order. */
  events: News[];
  ready: "True" | "False" | "Unknown";
  reason: Reason;
  /** Milliseconds after which it has to be looked at again, whatever happens meanwhile. */
  againAfterMs?: number;
  /** Whether to try again with backoff. */
  retry: boolean;
}

export interface SummarizeInput {
  resource: SyncedSecret;
  outcome: Exclude<Outcome, { kind: "again" | "nothing" }>;
  /** Milliseconds since the epoch. */
  now: number;
  /** Milliseconds as `ClockWatch.elapsed` counts them: what silences are measured by. */
  elapsed: number;
  /** Milliseconds without a word from AWS after which Ready turns False; Infinity where AWS is not asked any more. */
  staleAfterMs: number;
  /** The same, when this process began to listen. */
  startedAt: number;
  /** Milliseconds after which a cause that nothing announces is looked at again. */
  slowRetryMs: number;
  /** Milliseconds between two repairs where others change the Secret again and again; undefined where there is peace. */
  repairsApartMs?: number | undefined;
  /** What is known of the KMS keys that it uses; where left out, nothing anew. */
  keys?: Findings;
}

/** Sources that a status lists, at most: a status is read by people and kept in etcd. */
const sourcesAtMost = 100;
/** The reason of the event of a repair. */
const repaired: Reason = "Repaired";
/** Said of a Secret that others change again and again; without figures, so that it is the same from one to the next. */
const contestedMark = "; others change it again and again, so that repairs are up to 5 minutes apart";
/** Keys of others that such an event names, at most. */
const keysNamed = 5;
/** Milliseconds between two looks at whether a silence has become too long, at least. */
const staleAgainMs = 10_000;
/** Milliseconds after which what is not watched is looked at again: a Secret that stands in the way, a policy. */
const refusedAgainMs = 30_000;
/** Milliseconds after which an answer that is older than the one before it is looked at again. */
const staleAnswerRetryMs = 20_000;
/** How what is said of such answers begins. */
const doubtedMark = "; AWS answers with an older version than before for ";

/** The one place where an outcome becomes conditions, status, an event and the next look. Pure. */
export function summarize(input: SummarizeInput): Summary {
  const { resource, outcome, now } = input;
  const before: Status = resource.status ?? {};
  const verdict = judge(input);
  const generation = resource.metadata.generation ?? 1;
  const key = outcome.kind === "suspended" ? undefined : keyCondition(input.keys, before);
  const elsewhere = failoverOf(outcome);
  const warned = warningsAfter(input);
  const status: Status = {
    ...retained(before),
    ...(outcome.kind === "suspended" ? {} : { observedGeneration: generation }),
    conditions: conditionsAfter(
      before.conditions,
      [...verdict.conditions, ...elsewhere, ...(key ? [key] : []), ...warned],
      generation,
      now,
    ),
    ...(outcome.handledRefresh === undefined ? {} : { lastHandledRefresh: outcome.handledRefresh }),
  };
  const made = outcome.kind === "current" ? outcome : outcome.kind === "failed" ? outcome.made : undefined;
  if (made) {
    status.secretRef = { name: made.secret };
    status.revision = made.revision;
    status.keyCount = made.keyCount;
    if (made.applied) status.applied = made.applied;
    if (made.sources) Object.assign(status, listed(made.sources, outcome.sourcesMetadata?.sources ?? []));
    if (made.kmsKeys) {
      delete status.kmsKeys;
      // All of them: the next process looks at those that are listed.
      if (made.kmsKeys.length > 0) status.kmsKeys = made.kmsKeys;
    }
  }
  const hasNotes = outcome.sourcesMetadata !== undefined;
  if (hasNotes || outcome.kind !== "failed") delete status.nextExpiryTime;
  const nextExpiry = outcome.sourcesMetadata && nextExpiryOf(outcome.sourcesMetadata);
  if (nextExpiry !== undefined) status.nextExpiryTime = new Date(nextExpiry).toISOString();
  const isDeleted = outcome.kind === "failed" && outcome.wrote === "deleted";
  if (isDeleted) {
    // The sources stay: they tell later what the Secret was deleted for.
    for (const field of ["secretRef", "revision", "keyCount", "applied"] as const) delete status[field];
  }
  if (made?.changed || (isDeleted && before.revision !== undefined)) status.lastChangeTime = secondsOf(now);
  const ready = verdict.conditions.find(({ type }) => type === "Ready")!;
  const statusChanged = !isSame(before, status);
  // That the last apply was found is no cause to write: after an upgrade every status would be.
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
          ...turnOf(before, elsewhere[0], outcome),
          ...(key && !wasSaid(before, key)
            ? [{ type: "Warning", reason: key.reason, note: key.message } as const]
            : []),
          ...newsOf((before.conditions ?? []) as Asked[], warned),
        ],
    retry: verdict.retry,
    ...(verdict.againAfterMs === undefined ? {} : { againAfterMs: verdict.againAfterMs }),
  };
}

function failoverOf(outcome: SummarizeInput["outcome"]): Asked[] {
  if (outcome.failedOver === undefined) return [];
  return [{ type: failedOver, status: "True", reason: "ReadInFailoverRegion", message: outcome.failedOver }];
}

/** The event where a Secret comes to hold what was read elsewhere, or no longer does. */
function turnOf(before: Status, now: Asked | undefined, { kind }: SummarizeInput["outcome"]): News[] {
  const was = before.conditions?.find(({ type }) => type === failedOver);
  const reason = "ReadInFailoverRegion";
  if (now && was?.message !== now.message) return [{ type: "Warning", reason, note: now.message }];
  // That nothing is read at all says nothing of the region.
  if (!was || now || kind !== "current") return [];
  const note = "the connection's own region answers again, and nothing is used from another";
  return [{ type: "Normal", reason, note }];
}

/** Whether a condition was there for the same reason. */
function wasSaid(before: Status, { type, reason }: Asked): boolean {
  return before.conditions?.some((was) => was.type === type && was.reason === reason) ?? false;
}

/** What is warned of: by an outcome that knows nothing of the sources, what was before. */
function warningsAfter({ resource, outcome, now }: SummarizeInput): Asked[] {
  const before = (resource.status?.conditions ?? []) as Asked[];
  if (outcome.kind !== "failed" && !outcome.sourcesMetadata) return [];
  return warningsOf(before, outcome.sourcesMetadata, now);
}

interface Verdict {
  conditions: Asked[];
  retry: boolean;
  againAfterMs?: number;
}

function judge(input: SummarizeInput): Verdict {
  const verdict = judged(input);
  if (!isDoubting(input.outcome)) return verdict;
  // Nothing tells that an answer has stood for long enough but another look.
  return { ...verdict, againAfterMs: Math.min(verdict.againAfterMs ?? Infinity, staleAnswerRetryMs) };
}

function isDoubting(outcome: SummarizeInput["outcome"]): boolean {
  return outcome.kind !== "suspended" && (outcome.staleSources?.length ?? 0) > 0;
}

/** What a message says besides, of answers that are not believed yet. */
function staleAnswerOf({ staleSources = [] }: { staleSources?: readonly string[] }): string {
  if (staleSources.length === 0) return "";
  return `${doubtedMark}${staleSources.join(", ")}: it is asked again, and believed once that has stood for a minute`;
}

function judged(input: SummarizeInput): Verdict {
  const { resource, outcome, elapsed: now, staleAfterMs, startedAt, slowRetryMs, repairsApartMs } = input;
  if (outcome.kind === "suspended") {
    const message = "spec.suspend is set: nothing is looked at and nothing is written";
    return { conditions: [ready("Unknown", "Suspended", message)], retry: false };
  }
  const staleAt = (outcome.heardAt ?? startedAt) + staleAfterMs;
  const untilStale = Number.isFinite(staleAt) ? Math.max(staleAt - now, 0) : undefined;
  if (outcome.kind === "current") {
    if (outcome.unheard && now >= staleAt) {
      return { conditions: stale(outcome.unheard, staleAfterMs), retry: true };
    }
    const gone = [...new Set(outcome.left)].sort().join(", ");
    const left = gone === "" ? "" : `; left out, since they are gone: ${gone}`;
    const current = `Secret ${outcome.secret} is current with ${count(outcome.keyCount, "key")}`;
    const contested = repairsApartMs === undefined ? "" : contestedMark;
    const message = (saidBefore(resource, outcome, current) ?? current + left) + contested + staleAnswerOf(outcome);
    // Nothing failed, so there is nothing to wait for but the next poll.
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
  const wasReady = resource.status?.conditions?.find(({ type }) => type === "Ready");
  const staysReady =
    onlyUnheard &&
    outcome.hasGoodSecret &&
    wasReady?.status === "True" &&
    wasReady.observedGeneration === resource.metadata.generation &&
    now < staleAt;
  if (staysReady) {
    return {
      conditions: [ready("True", "Synced", withoutDoubt(wasReady.message) + staleAnswerOf(outcome))],
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
  // What the operator itself fails on is not mended by looking often, and each look may decrypt.
  const isRefused = problems.some(({ next, reason }) => next === "refused" && reason !== "InternalError");
  const isSoon = first.reason === "SecretConflict" || isRefused;
  return { conditions, retry, againAfterMs: isSoon ? refusedAgainMs : slowRetryMs };
}

function ready(status: Asked["status"], reason: Reason, message: string): Asked {
  return { type: "Ready", status, reason, message };
}

/** What was said of the same Secret before, while this process has yet to see what is left out of it. */
function saidBefore({ status, metadata }: SyncedSecret, outcome: Outcome, current: string): string | undefined {
  const said = status?.conditions?.find(({ type }) => type === "Ready");
  const isOfNow = said?.status === "True" && said.observedGeneration === metadata.generation;
  const before = said && withoutDoubt(said.message);
  return outcome.isFromStatus && isOfNow && before!.startsWith(`${current};`) ? before : undefined;
}

function withoutDoubt(message: string): string {
  const found = [doubtedMark, contestedMark].map((mark) => message.indexOf(mark)).filter((index) => index >= 0);
  const at = found.length > 0 ? Math.min(...found) : -1;
  return at < 0 ? message : message.slice(0, at);
}

function stale(unheard: Failure, staleAfterMs: number): Asked[] {
  const minutes = Math.round(staleAfterMs / 60_000);
  const silence = minutes > 0 ? count(minutes, "minute") : count(Math.round(staleAfterMs / 1_000), "second");
  const message = `nothing was heard from AWS for ${silence}; the last good Secret stays: ${unheard.message}`;
  return [
    ready("False", unheard.reason, message),
    { type: "Reconciling", status: "True", reason: unheard.reason, message },
  ];
}

/** What names the condition where there are several problems: what a person must mend before what mends itself. */
function gravest(problems: readonly Failure[]): Failure {
  const rank = { stalled: 0, wait: 1, refused: 2, retry: 3 };
  return [...problems].sort((a, b) => rank[a.next] - rank[b.next])[0]!;
}

/** Every problem, each once, in the order of the entries. */
export function messageOf(problems: readonly Failure[]): string {
  return [...new Set(problems.map(({ message }) => message))].join("; ");
}

/** What an outcome that does not know better leaves as it was. */
function retained(before: Status): Status {
  const { conditions: _conditions, ...rest } = before;
  return rest;
}

/** What a status tells of the sources: the first hundred, and how many more there are. */
export function listed(
  sources: readonly RevisionSource[],
  sourcesMetadata: readonly SourceMetadata[] = [],
): Pick<Status, "sources" | "sourcesOmitted"> {
  const noted = new Map(sourcesMetadata.map((note) => [note.name + note.selector, note]));
  const distinct = new Map<string, NonNullable<Status["sources"]>[number]>();
  for (const source of sources) {
    if ("left" in source) continue;
    const { name, selector, version, modified, versionId } = source;
    const { policies, keyId } = noted.get(name + selector) ?? {};
    distinct.set(name + selector, {
      name,
      ...(selector === "" ? {} : { selector: selector.slice(1) }),
      version,
      ...(versionId === undefined ? {} : { versionId }),
      lastModified: new Date(modified).toISOString(),
      ...(policies?.expiresAt === undefined ? {} : { expiresAt: new Date(policies.expiresAt).toISOString() }),
      ...(keyId === undefined ? {} : { keyId }),
    });
  }
  const all = [...distinct.values()];
  return { sources: all.slice(0, sourcesAtMost), sourcesOmitted: Math.max(all.length - sourcesAtMost, 0) };
}

/** First syncs and changes of a version are no news; what goes wrong, mends, or was put back is. */
function eventOf(before: Status, now: Asked, outcome: SummarizeInput["outcome"], isContested: boolean): News[] {
  const was = before.conditions?.find(({ type }) => type === "Ready");
  const { reason } = now;
  if (outcome.kind === "current" && outcome.wrote === "repaired") {
    const { editors = [], foreignKeys = [] } = outcome;
    const how = editors.length > 0 ? `edited by ${editors.join(", ")}` : "edited or deleted";
    const more = foreignKeys.length > keysNamed ? ` and ${foreignKeys.length - keysNamed} more` : "";
    const stays = `; keys that others have added stay: ${foreignKeys.slice(0, keysNamed).join(", ")}${more}`;
    const note = `Secret ${outcome.secret} was ${how}, and has been put back${foreignKeys.length > 0 ? stays : ""}${isContested ? contestedMark : ""}`;
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
