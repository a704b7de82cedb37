import { parseParameterRef } from "../../aws/names.ts";
import { type Entry, isExpired, isKnown, type Leaves, type Missing, type Spot } from "../../parameters/entry.ts";
import { memberSelector, type Reference } from "../../parameters/reference.ts";
import { Failure } from "../../runtime/failure.ts";
import { selectMembers } from "../../values/assemble.ts";
import { newNotes, note, type SourceNotes } from "./notes.ts";
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
  missing: Missing;
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
  notes: SourceNotes | undefined;
  /** Whether a path has not been listed by this process. */
  isSeeded: boolean;
  /** Whether a policy asks for the Secret to be deleted. */
  deleteSecret: boolean;
  /** Milliseconds since the epoch when AWS was last heard of the source that has been silent for longest. */
  heardAt: number | undefined;
  /** Why a source has not been heard of since. */
  unheard: Failure | undefined;
}

/**
 * Puts together what is known of every source. Pure: `known` gives the observer's entry of a reference.
 *
 * @param whenExpired left out where expiries are not followed
 */
export function assess(
  plan: Plan,
  known: (reference: Reference) => Readonly<Entry> | undefined,
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
    notes: whenExpired === undefined ? undefined : newNotes(),
    isSeeded: false,
    deleteSecret: false,
    heardAt: undefined,
    unheard: undefined,
  };
  for (const planned of plan.entries) {
    if (!isFromParameters(planned)) continue;
    const entry = known(planned.reference);
    if (!entry || !isKnown(entry)) {
      result.unknown.push(planned.reference);
      continue;
    }
    if (entry.failure) {
      const hasSight = entry.spot.sight !== undefined || entry.members.size > 0;
      if (entry.failure.next !== "retry" || !hasSight) {
        result.problems.push(labelled(planned, entry.failure));
        continue;
      }
      result.unheard = entry.failure;
    }
    const heardAt = entry.unreadSince ?? entry.heardAt;
    if (heardAt !== undefined) result.heardAt = Math.min(result.heardAt ?? Infinity, heardAt);
    if (planned.kind === "path") assessPath(planned, entry, result, grant, namespace, when);
    else assessParameter(planned, entry.spot, result, grant, when);
  }
  return result;
}

function assessParameter(
  planned: DataFromParameter | ManyFromDocument,
  spot: Spot,
  result: Assessment,
  grant: Grant,
  when: When,
): void {
  const { name, selector } = planned.reference;
  const { sight, missing } = spot;
  const hasExpired = when.expired !== undefined && isExpired(spot);
  if (!(hasExpired && when.expired === "DeleteKeys")) note(result.notes, planned, name, selector, spot);
  const canBeLeft = planned.kind === "parameter" && (planned.optional || planned.fallback !== undefined);
  if (missing && canBeLeft && (missing.stage === "absent" || missing.stage === "gone")) {
    result.sources.push({ name, selector, left: true });
  } else if (hasExpired && when.expired === "DeleteKeys") {
    result.sources.push({ name, selector, left: true });
    result.left.push(name);
  } else if (hasExpired) {
    result.overdue.push({ entry: planned, name, at: spot.expired!.at });
    if (missing) result.lost.push({ entry: planned, name, missing, isExpired: true });
    if (when.expired === "DeleteSecret") result.deleteSecret = true;
    if (sight) result.sources.push({ name, selector, ...sight });
  } else if (missing?.stage === "absent") {
    result.problems.push(notFound(planned, missing.reason, grant));
  } else if (missing?.stage === "gone" && mayBeLeft(spot, when) && !isPurged(missing, selector)) {
    result.sources.push({ name, selector, left: true });
    result.left.push(name);
  } else {
    if (missing) {
      result.lost.push({ entry: planned, name, missing });
      if (missing.stage === "gone" && when.missing === "DeleteSecret" && !isPurged(missing, selector))
        result.deleteSecret = true;
    }
    if (sight) result.sources.push({ name, selector, ...sight });
  }
}

/**
 * Whether the Secret may go without what is gone. What was never seen by this process and is known to have been left
 * out before, by the Secret's own word, may have been left out for its expiry.
 */
function mayBeLeft({ sight }: Spot, when: When): boolean {
  return when.missing === "DeleteKeys" || (when.expired === "DeleteKeys" && sight === undefined);
}

/** Whether only the version has gone, which AWS drops after a hundred newer ones: nobody has deleted anything. */
function isPurged({ reason }: Missing, selector: string): boolean {
  return reason === "VersionNotFound" && isVersion(selector);
}

function isVersion(selector: string): boolean {
  return /^:[0-9]+$/.test(selector);
}

function assessPath(
  planned: ManyFromPath,
  entry: Readonly<Entry>,
  result: Assessment,
  grant: Grant,
  namespace: string,
  when: When,
): void {
  if (!entry.looked) result.isSeeded = true;
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
    const spot = entry.members.get(name)!;
    const { sight, missing } = spot;
    const hasExpired = when.expired !== undefined && isExpired(spot);
    if (isLeft(spot, when)) {
      result.left.push(name);
      continue;
    }
    note(result.notes, planned, name, selector, spot);
    if (hasExpired) {
      result.overdue.push({ entry: planned, name, at: spot.expired!.at });
      if (when.expired === "DeleteSecret") result.deleteSecret = true;
    }
    if (missing) {
      result.lost.push({ entry: planned, name, missing, ...(hasExpired ? { isExpired: true } : {}) });
      if (!hasExpired && missing.stage === "gone" && when.missing === "DeleteSecret") result.deleteSecret = true;
    } else present.push(name);
    if (sight) result.sources.push({ name, selector, ...sight });
  }
}

/** What a Secret tells of members that it goes without; undefined where it goes without none. */
export function leavesBy(when: When): Leaves | undefined {
  if (when.missing !== "DeleteKeys" && when.expired !== "DeleteKeys") return undefined;
  return (spot) => isLeft(spot, when);
}

/** Whether the Secret goes without a path's member, whose keys are dropped: it has expired, or is gone. */
function isLeft(spot: Spot, when: When): boolean {
  if (when.expired !== undefined && isExpired(spot)) return when.expired === "DeleteKeys";
  return spot.missing?.stage === "gone" && when.missing === "DeleteKeys";
}

/** A path's members after `include` and `exclude`, sorted. */
export function membersOf(planned: ManyFromPath, names: Iterable<string>): string[] {
  return selectMembers([...names], { include: planned.include, exclude: planned.exclude }).sort();
}

/** A failure with the entry that it concerns. */
export function labelled(planned: Planned, failure: Failure): Failure {
  return new Failure(failure.reason, failure.next, `${planned.label}: ${failure.message}`, failure.retryAfterMs);
}

function notFound(planned: DataFromParameter | ManyFromDocument, reason: Missing["reason"], grant: Grant): Failure {
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
