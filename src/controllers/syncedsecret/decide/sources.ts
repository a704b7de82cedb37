import { parseParameterRef } from "../../../aws/names.ts";
import { type Expired, isExpired, isKnown, type Leaves, type Missing } from "../../../parameters/cache/cache-entry.ts";
import type { ConfirmedDeletion } from "../../../parameters/cache/confirmed-deletion.ts";
import { memberSelector, type Reference } from "../../../parameters/read/reference.ts";
import { Failure } from "../../../runtime/failure.ts";
import { selectMembers } from "../../../values/assemble.ts";
import { type Grant, refusedMembers } from "../../grants.ts";
import {
  type DataFromParameter,
  isFromParameters,
  type ManyFromDocument,
  type ManyFromPath,
  type Plan,
  type Planned,
} from "../plan/plan.ts";
import type { RevisionSource } from "../trust/revision.ts";
import type { ParameterView, ReferenceView } from "./reference-view.ts";
import { addSourceMetadata, newSourcesMetadata, type SourcesMetadata } from "./source-metadata.ts";

export type WhenMissing = "Retain" | "DeleteKeys" | "DeleteSecret";

/** The policies for missing and for expired sources; `expired` is undefined under Once. */
export interface When {
  missing: WhenMissing;
  expired: WhenMissing | undefined;
}

/** A source that the Secret was made from and that is missing now. Its keys keep their bytes. */
export interface Lost {
  entry: Planned;
  /** The parameter's full name. */
  name: string;
  missing: { stage: Missing["stage"] | "left" };
  /** Set if the source is missing because it has expired. */
  isExpired?: true;
}

/** A source whose Expiration has passed. */
export interface Overdue {
  entry: Planned;
  name: string;
  /** Milliseconds since the epoch. */
  at: number;
}

/** Proof that allows a Secret's deletion: AWS's answer to this process that a source is deleted or expired. */
export type Proof = ConfirmedDeletion | Expired;

/** A source with a stale answer. */
export interface StaleSource {
  reference: Reference;
  name: string;
}

/** The state of all sources of a SyncedSecret, as far as it is known. */
export interface Assessment {
  /** References without a look so far. */
  unknown: Reference[];
  problems: Failure[];
  /** The sources of the revision; complete only if `unknown` and `problems` are empty. */
  sources: RevisionSource[];
  lost: Lost[];
  /** Members of a path that must have a value, by the label of the entry; sorted. */
  present: Map<string, string[]>;
  /** Names of deleted or expired parameters whose keys are dropped under DeleteKeys. */
  left: string[];
  /** Names of expired parameters whose keys are dropped under DeleteKeys; a part of `left`. */
  expired: string[];
  /** Expired sources whose keys are not dropped. */
  overdue: Overdue[];
  /** The known policies and keys of the sources; undefined under Once. */
  sourcesMetadata: SourcesMetadata | undefined;
  /** Whether this process has not yet listed a path, and uses the status instead. */
  isFromStatus: boolean;
  /** The proof for a deletion of the Secret, if a policy requires the deletion. */
  deleteSecret: Proof | undefined;
  /** Sources whose stale answer is not accepted yet. */
  staleSources: StaleSource[];
  /** The oldest last answer of all sources, in milliseconds of `ClockWatch.elapsed`. */
  heardAt: number | undefined;
  /** Why AWS has not answered for a source since. */
  unheard: Failure | undefined;
}

/** The assessment of no source at all. */
export function newAssessment(): Assessment {
  return {
    unknown: [],
    problems: [],
    sources: [],
    lost: [],
    present: new Map(),
    left: [],
    expired: [],
    overdue: [],
    sourcesMetadata: undefined,
    isFromStatus: false,
    deleteSecret: undefined,
    staleSources: [],
    heardAt: undefined,
    unheard: undefined,
  };
}

/** What the sources of a plan are assessed by. */
export interface Assessing {
  grant: Grant;
  /** Of the SyncedSecret. */
  namespace: string;
  when: When;
}

/** Assesses every source of a plan. Pure: `known` returns the SyncedSecret's view of a reference. */
export function assess(
  plan: Plan,
  known: (reference: Reference) => Readonly<ReferenceView> | undefined,
  by: Assessing,
): Assessment {
  const { when } = by;
  const result = newAssessment();
  if (when.expired !== undefined) result.sourcesMetadata = newSourcesMetadata();
  for (const planned of plan.entries) {
    if (!isFromParameters(planned)) continue;
    const entry = known(planned.reference);
    if (!entry || !(isKnown(entry) || entry.isStored)) {
      result.unknown.push(planned.reference);
      continue;
    }
    if (entry.failure) {
      const hasStamp = entry.state.stamp !== undefined || entry.members.size > 0;
      if (entry.failure.next !== "retry" || !hasStamp) {
        result.problems.push(labelled(planned, entry.failure));
        continue;
      }
      result.unheard = entry.failure;
    }
    // Before the first answer, the silence counts from the first subscription.
    const heardAt = entry.unreadSince ?? entry.heardAt ?? (entry.isStored ? entry.openedAt : undefined);
    if (heardAt !== undefined) result.heardAt = Math.min(result.heardAt ?? Infinity, heardAt);
    if (planned.kind === "path") assessPath(planned, entry, result, by);
    else if (isUncheckedLeft(entry, planned, when)) result.unknown.push(planned.reference);
    else assessParameter(planned, entry.state, result, by);
  }
  return result;
}

/** Whether, by the status alone, the Secret was made without a source that is required now. */
function isUncheckedLeft(
  { looked, state }: ReferenceView,
  planned: DataFromParameter | ManyFromDocument,
  when: When,
): boolean {
  return !looked && state.missing?.stage === "left" && !canBeLeft(planned) && !dropsMissing(when);
}

function canBeLeft(planned: DataFromParameter | ManyFromDocument): boolean {
  return planned.kind === "parameter" && (planned.optional || planned.fallback !== undefined);
}

function assessParameter(
  planned: DataFromParameter | ManyFromDocument,
  state: ParameterView,
  result: Assessment,
  { grant, when }: Assessing,
): void {
  const { name, selector } = planned.reference;
  const { stamp, missing } = state;
  const hasExpired = when.expired !== undefined && isExpired(state);
  if (!(hasExpired && when.expired === "DeleteKeys"))
    addSourceMetadata(result.sourcesMetadata, { label: planned.label, name, selector }, state);
  if (state.staleAnswer) result.staleSources.push({ reference: planned.reference, name });
  if (missing && canBeLeft(planned) && missing.stage !== "suspect" && missing.stage !== "held") {
    result.sources.push({ name, selector, left: true });
  } else if (hasExpired && when.expired === "DeleteKeys") {
    result.sources.push({ name, selector, left: true });
    result.left.push(name);
    result.expired.push(name);
  } else if (hasExpired) {
    result.overdue.push({ entry: planned, name, at: state.expired!.at });
    if (missing) result.lost.push({ entry: planned, name, missing, isExpired: true });
    if (when.expired === "DeleteSecret") result.deleteSecret = state.expired;
    if (stamp) result.sources.push({ name, selector, ...stamp });
  } else if (isReportedExpired(state, when) && stamp) {
    result.overdue.push({ entry: planned, name, at: state.reportedExpiredAt! });
    if (missing) result.lost.push({ entry: planned, name, missing, isExpired: true });
    result.sources.push({ name, selector, ...stamp });
  } else if (missing?.stage === "left" && dropsMissing(when)) {
    result.sources.push({ name, selector, left: true });
    result.left.push(name);
  } else if (missing?.stage === "absent" || missing?.stage === "left") {
    result.problems.push(notFound(planned, missing.reason, grant));
  } else if (missing?.stage === "gone" && when.missing === "DeleteKeys" && !isPurged(missing, selector)) {
    result.sources.push({ name, selector, left: true });
    result.left.push(name);
  } else {
    if (missing) {
      result.lost.push({ entry: planned, name, missing });
      const isDeleted = missing.stage === "gone" && when.missing === "DeleteSecret" && !isPurged(missing, selector);
      if (isDeleted) result.deleteSecret = missing.confirmed;
    }
    if (stamp) result.sources.push({ name, selector, ...stamp });
  }
}

/** Whether a source that AWS reports as missing has expired according to the SyncedSecret's status. */
function isReportedExpired({ reportedExpiredAt }: ParameterView, when: When): boolean {
  return when.expired !== undefined && reportedExpiredAt !== undefined;
}

/** Whether a policy drops the keys of missing or expired sources. */
function dropsMissing(when: When): boolean {
  return when.missing === "DeleteKeys" || when.expired === "DeleteKeys";
}

/** Whether AWS has only purged the version, after 100 newer ones, and the parameter still exists. */
function isPurged({ reason }: Pick<Missing, "reason">, selector: string): boolean {
  return reason === "VersionNotFound" && isVersion(selector);
}

function isVersion(selector: string): boolean {
  return /^:[0-9]+$/.test(selector);
}

function assessPath(
  planned: ManyFromPath,
  entry: Readonly<ReferenceView>,
  result: Assessment,
  { grant, namespace, when }: Assessing,
): void {
  if (!entry.looked) result.isFromStatus = true;
  let names: string[];
  try {
    names = membersOf(planned, entry.members.keys());
  } catch (error) {
    // Admission rejects invalid patterns, but the API server's regular expression engine may accept what ours rejects.
    if (!(error instanceof Failure)) throw error;
    result.problems.push(labelled(planned, error));
    return;
  }
  const refused = refusedMembers(names, grant, namespace);
  if (refused.length > 0) {
    const message = `${planned.label}: the path contains parameters that are not allowed: ${refused.join(", ")}; exclude them, or allow them in the connection's spec.allow.parameters`;
    result.problems.push(new Failure("NotAllowed", "wait", message));
    return;
  }
  const selector = memberSelector(planned.reference);
  const present: string[] = [];
  result.present.set(planned.label, present);
  for (const name of names) {
    const state = entry.members.get(name)!;
    const { stamp, missing } = state;
    const hasExpired = when.expired !== undefined && isExpired(state);
    if (state.staleAnswer) result.staleSources.push({ reference: planned.reference, name });
    if (isLeft(state, when)) {
      result.left.push(name);
      if (hasExpired) result.expired.push(name);
      continue;
    }
    addSourceMetadata(result.sourcesMetadata, { label: planned.label, name, selector }, state);
    if (hasExpired) {
      result.overdue.push({ entry: planned, name, at: state.expired!.at });
      if (when.expired === "DeleteSecret") result.deleteSecret = state.expired;
    }
    const isReported = isReportedExpired(state, when);
    if (isReported) result.overdue.push({ entry: planned, name, at: state.reportedExpiredAt! });
    if (missing) {
      result.lost.push({ entry: planned, name, missing, ...(hasExpired || isReported ? { isExpired: true } : {}) });
      const isDeleted = !hasExpired && missing.stage === "gone" && when.missing === "DeleteSecret";
      if (isDeleted) result.deleteSecret = missing.confirmed;
    } else present.push(name);
    if (stamp) result.sources.push({ name, selector, ...stamp });
  }
}

/** Returns which members of a path are left out under DeleteKeys; undefined under other policies. */
export function leavesBy(when: When): Leaves | undefined {
  if (when.missing !== "DeleteKeys" && when.expired !== "DeleteKeys") return undefined;
  return (state) => isLeft(state, when);
}

/** Whether DeleteKeys drops the keys of a path's member, because the member has expired or is deleted. */
function isLeft(state: ParameterView, when: When): boolean {
  if (when.expired !== undefined && isExpired(state)) return when.expired === "DeleteKeys";
  return state.missing?.stage === "gone" && when.missing === "DeleteKeys";
}

/** A path's members after `include` and `exclude`, sorted. */
export function membersOf(planned: ManyFromPath, names: Iterable<string>): string[] {
  return selectMembers([...names], { include: planned.include, exclude: planned.exclude }).sort();
}

/** The failure with the entry's label in front of its message. */
export function labelled(planned: Planned, failure: Failure): Failure {
  return new Failure(failure.reason, failure.next, `${planned.label}: ${failure.message}`, failure.retryAfterMs);
}

/** The failure of a parameter, version or label that does not exist. */
export function notFound(
  planned: DataFromParameter | ManyFromDocument,
  reason: Missing["reason"],
  grant: Grant,
): Failure {
  const { name, selector } = planned.reference;
  const named = parseParameterRef(name);
  const owner = "ref" in named && named.ref.kind === "arn" ? named.ref.account : "";
  const isForeign = owner !== "" && owner !== grant.account;
  const where = isForeign
    ? `in account ${owner}, or is not shared with account ${grant.account} by AWS RAM`
    : `in account ${grant.account}, region ${grant.identity.region}`;
  const remedy = optionalHint(planned);
  if (reason === "VersionNotFound") {
    const what = isVersion(selector) ? `version ${selector.slice(1)}` : `label ${selector.slice(1)}`;
    return new Failure(reason, "wait", `${planned.label}: parameter ${name} has no ${what} ${where}${remedy}`);
  }
  return new Failure(reason, "wait", `${planned.label}: parameter ${name} does not exist ${where}${remedy}`);
}

function optionalHint(planned: Planned | ManyFromDocument): string {
  return planned.kind === "parameter" ? ": create it, or set optional or default" : ": create it";
}
