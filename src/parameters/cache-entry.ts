import type { ParameterRecord } from "../aws/ssm.ts";
import type { Failure } from "../runtime/failure.ts";
import { OneOrManyMap } from "../runtime/one-or-many-map.ts";
import type { Sealed } from "../runtime/sealed.ts";
import type { ConfirmedDeletion } from "./deletion-confirmer.ts";
import type { Policies } from "./policies.ts";
import type { Reference } from "./reference.ts";

/** What was seen of a parameter. Two sights are the same parameter unchanged where version and modified are equal. */
export interface VersionStamp {
  version: number;
  /** Milliseconds since the epoch. */
  modified: number;
  /** Of a secret of Secrets Manager, whose `version` is always 0: the id of its version. */
  versionId?: string;
}

/**
 * What the status of one SyncedSecret says of a reference, where its Secret vouches for it: the version of a parameter,
 * that the Secret was made without it, or the versions of a path's members by name. It counts for that SyncedSecret
 * alone: whom to tell once AWS has answered, and what must not be taken for one that has never been there.
 */
export type Stored = VersionStamp | "left" | ReadonlyMap<string, VersionStamp>;

/** A value with the sight that it belongs to: a revision must name the versions that its bytes came from. */
export interface StampedValue extends VersionStamp {
  value: Sealed;
  /** AWS's id of the request that brought it. */
  requestId?: string | undefined;
}

/**
 * How far it is believed that something is missing:
 * - `absent`: it was never served to this identity, so there is nothing to lose;
 * - `suspect`: it was served, and is missing now; a replaced parameter is away for half a minute in every pipeline;
 * - `held`: missing twice, but so much went missing at once that nothing is deleted;
 * - `gone`: missing twice, the grace apart, the second time by GetParameter.
 */
export type Stage = "absent" | "suspect" | "held" | "gone";

export type Missing = {
  reason: "ParameterNotFound" | "VersionNotFound";
  /** Monotonic milliseconds when it was first missed: graces count from here. */
  since: number;
  /** Milliseconds since the epoch of the same moment, to be compared with what AWS dates. */
  at: number;
} & ({ stage: Exclude<Stage, "gone"> } | { stage: "gone"; confirmed: ConfirmedDeletion });

/** An answer that is older than the one before it: a replica that lags behind, until it has stood for a minute. */
export interface StaleAnswer {
  stamp: VersionStamp;
  /** Monotonic milliseconds since when AWS has told of nothing newer. */
  since: number;
  /** How often AWS has said so. */
  times: number;
}

/** What DescribeParameters has told of a parameter. One object for all that have nothing but an equal key. */
export interface ParameterMetadata {
  /** The key of a SecureString, as it was named. */
  readonly keyId?: string;
  readonly policies?: Policies;
  /**
   * Why it may not hold any more: `stored`, a status had it, and an hourly look will tell; `changed`, there is another
   * version since, and a look comes soon.
   */
  readonly unsure?: "stored" | "changed";
}

/** That a parameter's Expiration has passed, as a look at or after that instant said. */
export interface Expired {
  /** Milliseconds since the epoch. */
  at: number;
  /** What the parameter was then: another version has not expired. Undefined where it had not been seen. */
  stamp: VersionStamp | undefined;
}

/** A parameter, or one member of a path: what was last seen, and whether it is missing since. */
export interface ParameterState {
  /** What AWS has told this process last and is believed. */
  stamp?: VersionStamp;
  /** Monotonic milliseconds since when AWS tells of `stamp`. */
  since?: number;
  staleAnswer?: StaleAnswer;
  missing?: Missing;
  metadata?: ParameterMetadata;
  expired?: Expired;
}

/** Whether a dependent goes without a member of a path, so that it needs to know of it no more. */
export type Leaves = (state: ParameterState) => boolean;

/** What is known of a reference. */
export interface Entry {
  readonly reference: Reference;
  readonly key: string;
  /** The parameter itself, where the reference is one. */
  readonly state: ParameterState;
  /** The members by name, where the reference is a path. */
  readonly members: Map<string, ParameterState>;
  /** When somebody first depended on it, in milliseconds as `ClockWatch.elapsed` counts them. */
  readonly openedAt: number;
  /** Whether AWS has answered in this process. */
  looked: boolean;
  /** Why the last look failed. */
  failure?: Failure;
  /** When AWS answered last, a missing parameter being an answer, in milliseconds as `ClockWatch.elapsed` counts them. */
  heardAt?: number;
  /** The same of when reads of the value began to fail, though looks without decryption may not. */
  unreadSince?: number;
  /** Monotonic milliseconds of the last look that ended, whatever came of it. */
  askedAt?: number;
  /** Whether what statuses say of it has been held against AWS's first answer. */
  isCompared?: boolean;
  /** SyncedSecrets that depend on it, with the poll interval that each asks for, in milliseconds. */
  readonly dependents: OneOrManyMap<number>;
  /** The shortest of these intervals; Infinity where it is never polled. */
  intervalMs: number;
  /** Monotonic milliseconds when AWS last announced a change of it. */
  hintedAt?: number;
  /** Monotonic milliseconds of the next look. */
  dueAt: number;
  /** Dependents that do something when a parameter expires; undefined where none does. */
  acting?: Set<string>;
  /** What dependents of a path say of members that they go without; who says nothing needs all of them. */
  leaving?: Map<string, Leaves>;
  /** What the status of each dependent says, until AWS has answered, and where something is missing that it names. */
  stored?: OneOrManyMap<Stored>;
  /** Of a path: what was known of it when its values were too many bytes to be read as a whole. */
  largeAt?: string;
  /** Members of a path that a status names and that AWS has not shown to this process: missing, for that resource. */
  claimed?: Map<string, ParameterState>;
}

/** What all references have that are no paths; nothing is ever put in. */
const noMembers = new Map<string, ParameterState>();

/** Makes the entry of a reference that nobody has looked at. */
export function newEntry(reference: Reference, key: string, openedAt = 0): Entry {
  return {
    reference,
    key,
    openedAt,
    state: {},
    members: reference.kind === "path" ? new Map() : noMembers,
    looked: false,
    dependents: new OneOrManyMap(),
    intervalMs: Infinity,
    dueAt: Infinity,
  };
}

/** Sets what a SyncedSecret asks for. */
export function addDependent(entry: Entry, dependent: string, intervalMs: number): void {
  const before = entry.dependents.get(dependent);
  if (before === intervalMs) return;
  entry.dependents.set(dependent, intervalMs);
  if (before !== undefined && before <= entry.intervalMs) entry.intervalMs = shortest(entry);
  else entry.intervalMs = Math.min(entry.intervalMs, intervalMs);
}

export function removeDependent(entry: Entry, dependent: string): void {
  const before = entry.dependents.get(dependent);
  entry.dependents.delete(dependent);
  if (before !== undefined && before <= entry.intervalMs) entry.intervalMs = shortest(entry);
}

/** Sets whether a dependent does something when what it depends on expires, and what it goes without. */
export function setWishes(
  entry: Entry,
  dependent: string,
  { actsOnExpiry = false, leaves }: { actsOnExpiry?: boolean; leaves?: Leaves },
): void {
  if (actsOnExpiry) entry.acting = (entry.acting ?? new Set()).add(dependent);
  else if (entry.acting?.delete(dependent) && entry.acting.size === 0) delete entry.acting;
  if (leaves) entry.leaving = (entry.leaving ?? new Map()).set(dependent, leaves);
  else if (entry.leaving?.delete(dependent) && entry.leaving.size === 0) delete entry.leaving;
}

/** The shortest interval that is asked for; none can be shorter than what was the shortest before. */
function shortest({ dependents, intervalMs }: Entry): number {
  let least = Infinity;
  for (const interval of dependents.values()) {
    if (interval <= intervalMs) return interval;
    least = Math.min(least, interval);
  }
  return least;
}

/** When an answer came. */
export interface At {
  /** Monotonic milliseconds. */
  now: number;
  /** Milliseconds since the epoch. */
  wall: number;
}

/** Milliseconds for which an answer that is older than one before it has to stand until it is believed. */
export const staleAnswerMs = 60_000;
/** Milliseconds that a modification time may be ahead of the local clock; a later one says nothing of what is newer. */
const aheadAtMostMs = 300_000;

/** Whether a modification time is one that nothing can have: what AWS says later is not measured by it. */
export function isOfFuture({ modified }: VersionStamp, wall: number): boolean {
  return !(modified <= wall + aheadAtMostMs);
}

/**
 * Notes that AWS served a parameter. An answer that is older than what was seen is doubted, whatever its version: it may
 * be a stale read of an eventually consistent store. It is believed once it has stood for a minute. Only a label, and
 * what a person asks for anew, can go back at once.
 */
export function serve(state: ParameterState, stamp: VersionStamp, mayGoBack: boolean, at: At): void {
  delete state.missing;
  const { stamp: before } = state;
  if (before && isEqual(before, stamp)) {
    delete state.staleAnswer;
    return;
  }
  const isOlder =
    before !== undefined && !mayGoBack && stamp.modified < before.modified && !isOfFuture(before, at.wall);
  if (isOlder && !hasStood(state, stamp, at.now)) return;
  state.stamp = stampOf(stamp);
  state.since = isOlder ? state.staleAnswer!.since : at.now;
  delete state.staleAnswer;
  if (before && state.metadata) state.metadata = { ...state.metadata, unsure: "changed" };
}

/** Takes note of an older answer. @returns whether AWS has told of nothing newer for a minute */
function hasStood(state: ParameterState, stamp: VersionStamp, now: number): boolean {
  const { staleAnswer } = state;
  if (!staleAnswer || stamp.modified < staleAnswer.stamp.modified) {
    state.staleAnswer = { stamp: stampOf(stamp), since: now, times: (staleAnswer?.times ?? 0) + 1 };
    return false;
  }
  staleAnswer.stamp = stampOf(stamp);
  staleAnswer.times += 1;
  return now - staleAnswer.since >= staleAnswerMs;
}

/** What identifies a version, of something that has more. */
export function stampOf({ version, modified, versionId }: VersionStamp): VersionStamp {
  return { version, modified, ...(versionId === undefined ? {} : { versionId }) };
}

/** Whether two sights are of one version. */
export function isEqual(a: VersionStamp, b: VersionStamp): boolean {
  return a.version === b.version && a.modified === b.modified && a.versionId === b.versionId;
}

/** Whether two words on an expiry are the same. */
export function isSameExpiry(a: Expired | undefined, b: Expired | undefined): boolean {
  if (!a || !b) return a === b;
  return a.at === b.at && (a.stamp === b.stamp || (!!a.stamp && !!b.stamp && isEqual(a.stamp, b.stamp)));
}

/** Whether a parameter is known to have expired, and has not been replaced since. */
export function isExpired({ stamp, expired }: Pick<ParameterState, "stamp" | "expired">): boolean {
  return expired !== undefined && (!expired.stamp || !stamp || isEqual(expired.stamp, stamp));
}

/** Notes that AWS says that a parameter is missing; what was served before is only suspected to be gone. */
export function miss(state: ParameterState, reason: Missing["reason"], { now, wall }: At): void {
  delete state.staleAnswer;
  if (state.missing) state.missing.reason = reason;
  else state.missing = { reason, since: now, at: wall, stage: state.stamp ? "suspect" : "absent" };
}

/** Of what an earlier process has looked at, by the word of all who depend on it: the hourly look is soon enough. */
export const describedBefore: ParameterMetadata = { unsure: "stored" };

/** Whether AWS has said anything of an entry in this process. */
export function isKnown({ looked, failure }: Readonly<Pick<Entry, "looked" | "failure">>): boolean {
  return looked || failure !== undefined;
}

/** What a record holds of a value; undefined without one. */
export function stampedIn(record: ParameterRecord): StampedValue | undefined {
  const { value, requestId } = record;
  return value && { value, ...stampOf(record), requestId };
}

/** Whether a value belongs to what is known of its parameter now. */
export function isCurrent(state: ParameterState | undefined, stamp: VersionStamp): boolean {
  return state?.stamp !== undefined && isEqual(state.stamp, stamp);
}

/**
 * Whether it makes sense to ask again for whoever wants the entry: the last look failed, or found nothing, and it was
 * not just now.
 */
export function wantsAnotherLook(entry: Readonly<Entry>, now: number): boolean {
  const isWanting = entry.failure !== undefined || entry.state.missing?.stage === "absent";
  return isWanting && now - (entry.askedAt ?? -Infinity) >= anotherLookMs;
}

/**
 * Whether a poll can do without an entry: it was looked at within the last tenth of its interval, as at a first sync,
 * all was well, and that look was not for a hint, which may have come before the change.
 */
export function wasJustAsked(entry: Readonly<Entry>, now: number): boolean {
  const { askedAt, hintedAt = -Infinity, intervalMs, failure, state, members } = entry;
  if (
    askedAt === undefined ||
    askedAt - hintedAt < intervalMs / 10 ||
    failure ||
    state.missing ||
    state.staleAnswer ||
    now - askedAt >= intervalMs / 10
  )
    return false;
  return [...members.values()].every(({ missing, staleAnswer }) => !missing && !staleAnswer);
}

/**
 * Whether the grace of what is missing is over, so that it is time for a second opinion.
 *
 * @param isClaimed whether a status says that it was there, where it was never served to this process
 */
export function isRipe({ missing }: ParameterState, graceMs: number, now: number, isClaimed = false): boolean {
  if (!missing || missing.stage === "gone") return false;
  return (missing.stage !== "absent" || isClaimed) && now - missing.since >= graceMs;
}

/** Milliseconds between two looks that are asked for because of a failure; each has its own backoff besides. */
const anotherLookMs = 1_000;

/** Names that must be missing at once before the share that they are means anything. */
const breakerFloor = 5;

/**
 * Whether so many of an identity's names went missing at once that none is believed to be deleted: over a tenth of
 * them, and at least five.
 */
export function isMassDeletion(missing: number, total: number): boolean {
  return missing >= breakerFloor && missing * 10 > total;
}

/** What dependants act upon: they are told when it changes. */
export function fingerprint(entry: Entry): string {
  const failure = entry.failure && entry.failure.next !== "retry" ? entry.failure.message : "";
  if (entry.reference.kind === "parameter") return `${stateFingerprint(entry.state)}\n${failure}`;
  const all = [...entry.members, ...(entry.claimed ?? [])];
  const members = all.map(([name, state]) => `${name}\t${stateFingerprint(state)}`).sort();
  return `${members.join("\n")}\n${failure}`;
}

/** What AWS serves of an entry, as it would announce a change: nothing of failures, or of what is believed. */
export function served(entry: Entry): string {
  const print = ({ stamp, missing }: ParameterState) =>
    missing ? "" : `${stamp?.version} ${stamp?.modified}${idOf(stamp)}`;
  if (entry.reference.kind === "parameter") return print(entry.state);
  return [...entry.members]
    .filter(([, { missing }]) => !missing)
    .map(([name, state]) => `${name}\t${print(state)}`)
    .sort()
    .join("\n");
}

function stateFingerprint({ stamp, missing, staleAnswer }: ParameterState): string {
  // One older answer is a replica that lags for a moment; two are worth saying.
  const doubted = staleAnswer && staleAnswer.times > 1 ? " doubted" : "";
  return `${stamp?.version ?? ""} ${stamp?.modified ?? ""}${idOf(stamp)} ${missing?.stage ?? ""} ${missing?.reason ?? ""}${doubted}`;
}

function idOf(stamp: VersionStamp | undefined): string {
  return stamp?.versionId === undefined ? "" : ` ${stamp.versionId}`;
}
