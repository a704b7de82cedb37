import { parseParameterRef } from "../../aws/names.ts";
import { type Expired, isExpired, isKnown, type Leaves, type Missing } from "../../parameters/cache-entry.ts";
import type { ConfirmedDeletion } from "../../parameters/deletion-confirmer.ts";
import { memberSelector, type Reference } from "../../parameters/reference.ts";
import { Failure } from "../../runtime/failure.ts";
import { prepareSelection, selectMembers } from "../../values/assemble.ts";
import { addSourceMetadata, newSourcesMetadata, type SourcesMetadata } from "./expiry-conditions.ts";
import {
  type DataFromParameter,
  type Grant,
  isFromParameters,
  type ManyFromDocument,
  type ManyFromPath,
  type Plan,
  type Planned,
  refusedMembers,
} from "./plan.ts";
import type { ParameterView, ReferenceView } from "./reference-view.ts";
import type { RevisionSource } from "./revision.ts";

export type WhenMissing = "Retain" | "DeleteKeys" | "DeleteSecret";

/** What is done when a source is missing, and when it has expired; undefined where expiries are not followed. */
export interface When {
  missing: WhenMissing;
  expired: WhenMissing | undefined;
}

/** A source that the Secret was made from and that is missing since. Its keys keep their bytes. */
export interface Lost {
  entry: Planned;
  /** The parameter's full name. */
  name: string;
  missing: { stage: Missing["stage"] | "left" };
  /** Whether it is missing because it has expired. */
  isExpired?: true;
}

/** A source whose Expiration has passed. */
export interface Overdue {
  entry: Planned;
  name: string;
  /** Milliseconds since the epoch. */
  at: number;
}

/** What a Secret may be deleted for: AWS's own word, to this process, that a source is gone or has expired. */
export type Proof = ConfirmedDeletion | Expired;

/** A source of which AWS tells with an older version than it did before. */
export interface StaleSource {
  reference: Reference;
  name: string;
}

/** What the sources of a SyncedSecret are, as far as they have been looked at. */
export interface Assessment {
  /** References that nobody has looked at yet. */
  unknown: Reference[];
  problems: Failure[];
  /** What the revision is made of; whole only without `unknown` and `problems`. */
  sources: RevisionSource[];
  lost: Lost[];
  /** Members that a path has and must have a value for, by the label of the entry; sorted. */
  present: Map<string, string[]>;
  /** Names of parameters that the policy lets the Secret go without, because they are gone. */
  left: string[];
  /** Sources that have expired, and whose keys are not dropped for it. */
  overdue: Overdue[];
  /** What is known of the sources' policies and keys; undefined where they are none of the resource's business. */
  sourcesMetadata: SourcesMetadata | undefined;
  /** Whether a path has not been listed by this process. */
  isFromStatus: boolean;
  /** What a policy asks for the Secret to be deleted for. */
  deleteSecret: Proof | undefined;
  /** Sources whose last answer is not believed yet. */
  staleSources: StaleSource[];
  /** Milliseconds, as `ClockWatch.elapsed` counts them, when AWS was last heard of the source that has been silent for longest. */
  heardAt: number | undefined;
  /** Why a source has not been heard of since. */
  unheard: Failure | undefined;
}

/**
 * Puts together what is known of every source. Pure: `known` gives what the SyncedSecret sees of a reference.
 *
 * @param whenExpired left out where expiries are not followed
 */
export function assess(
  plan: Plan,
  known: (reference: Reference) => Readonly<ReferenceView> | undefined,
  grant: Grant,
  namespace: string,
  whenMissing: WhenMissing,
  whenExpired?: WhenMissing,
): Assessment {
  const when: When = { missing: whenMissing, expired: whenExpired };
  const result: Assessment = {
    unknown: [],
    problems: [],
    sources: [],
    lost: [],
    present: new Map(),
    left: [],
    overdue: [],
    sourcesMetadata: whenExpired === undefined ? undefined : newSourcesMetadata(),
    isFromStatus: false,
    deleteSecret: undefined,
    staleSources: [],
    heardAt: undefined,
    unheard: undefined,
  };
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
    // From the first want of it a silence counts.
    const heardAt = entry.unreadSince ?? entry.heardAt ?? (entry.isStored ? entry.openedAt : undefined);
    if (heardAt !== undefined) result.heardAt = Math.min(result.heardAt ?? Infinity, heardAt);
    if (planned.kind === "path") assessPath(planned, entry, result, grant, namespace, when);
    else if (isUntold(entry, planned, when)) result.unknown.push(planned.reference);
    else assessParameter(planned, entry.state, result, grant, when);
  }
  return result;
}

/** Whether the status says that the Secret was made without a source that it cannot go without now. */
function isUntold(
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
  grant: Grant,
  when: When,
): void {
  const { name, selector } = planned.reference;
  const { stamp, missing } = state;
  const hasExpired = when.expired !== undefined && isExpired(state);
  if (!(hasExpired && when.expired === "DeleteKeys"))
    addSourceMetadata(result.sourcesMetadata, planned, name, selector, state);
  if (state.staleAnswer) result.staleSources.push({ reference: planned.reference, name });
  if (missing && canBeLeft(planned) && missing.stage !== "suspect" && missing.stage !== "held") {
    result.sources.push({ name, selector, left: true });
  } else if (hasExpired && when.expired === "DeleteKeys") {
    result.sources.push({ name, selector, left: true });
    result.left.push(name);
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

/** Whether the SyncedSecret's own status says that a source has expired, which AWS calls missing. */
function isReportedExpired({ reportedExpiredAt }: ParameterView, when: When): boolean {
  return when.expired !== undefined && reportedExpiredAt !== undefined;
}

/** Whether a Secret that was made without a source is as it should be: the source was missing, or had expired. */
function dropsMissing(when: When): boolean {
  return when.missing === "DeleteKeys" || when.expired === "DeleteKeys";
}

/** Whether only the version has gone, which AWS drops after a hundred newer ones: nobody has deleted anything. */
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
  grant: Grant,
  namespace: string,
  when: When,
): void {
  if (!entry.looked) result.isFromStatus = true;
  let names: string[];
  try {
    names = membersOf(planned, entry.members.keys());
  } catch (error) {
    // A pattern that is none is refused at admission, as far as the API server's own engine and ours agree.
    if (!(error instanceof Failure)) throw error;
    result.problems.push(labelled(planned, error));
    return;
  }
  const refused = refusedMembers(names, grant, namespace);
  if (refused.length > 0) {
    const message = `${planned.label}: the path returned what is not allowed: ${refused.join(", ")}; exclude it, or allow it in the connection's spec.allow.parameters`;
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
      continue;
    }
    addSourceMetadata(result.sourcesMetadata, planned, name, selector, state);
    if (hasExpired) {
      result.overdue.push({ entry: planned, name, at: state.expired!.at });
      if (when.expired === "DeleteSecret") result.deleteSecret = state.expired;
    }
    const isSaid = isReportedExpired(state, when);
    if (isSaid) result.overdue.push({ entry: planned, name, at: state.reportedExpiredAt! });
    if (missing) {
      result.lost.push({ entry: planned, name, missing, ...(hasExpired || isSaid ? { isExpired: true } : {}) });
      const isDeleted = !hasExpired && missing.stage === "gone" && when.missing === "DeleteSecret";
      if (isDeleted) result.deleteSecret = missing.confirmed;
    } else present.push(name);
    if (stamp) result.sources.push({ name, selector, ...stamp });
  }
}

/** What a Secret tells of members that it goes without; undefined where it goes without none. */
export function leavesBy(when: When): Leaves | undefined {
  if (when.missing !== "DeleteKeys" && when.expired !== "DeleteKeys") return undefined;
  return (state) => isLeft(state, when);
}

/** Whether the Secret goes without a path's member, whose keys are dropped: it has expired, or is gone. */
function isLeft(state: ParameterView, when: When): boolean {
  if (when.expired !== undefined && isExpired(state)) return when.expired === "DeleteKeys";
  return state.missing?.stage === "gone" && when.missing === "DeleteKeys";
}

/** Tries the patterns of paths on names that are new, so that `assess` need not; what is wrong with them it will say. */
export async function prepareMembers(
  plan: Plan,
  known: (reference: Reference) => { members: ReadonlyMap<string, unknown> } | undefined,
): Promise<void> {
  for (const planned of plan.entries) {
    if (planned.kind !== "path" || planned.include.length + planned.exclude.length === 0) continue;
    const { include, exclude } = planned;
    const names = known(planned.reference)?.members.keys() ?? [];
    await prepareSelection(names, { include, exclude }).catch((error) => {
      if (!(error instanceof Failure)) throw error;
    });
  }
}

/** A path's members after `include` and `exclude`, sorted. */
export function membersOf(planned: ManyFromPath, names: Iterable<string>): string[] {
  return selectMembers([...names], { include: planned.include, exclude: planned.exclude }).sort();
}

/** A failure with the entry that it concerns. */
export function labelled(planned: Planned, failure: Failure): Failure {
  return new Failure(failure.reason, failure.next, `${planned.label}: ${failure.message}`, failure.retryAfterMs);
}

/** Says that a parameter, or the version that is asked for, does not exist, where, and what to do. */
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
