import type { Failure } from "../../runtime/failure.ts";
import { OneOrManyMap } from "../../runtime/one-or-many-map.ts";
import type { Reference } from "../read/reference.ts";
import { isEqual, type VersionStamp } from "../read/version-stamp.ts";
import type { ConfirmedDeletion } from "./confirmed-deletion.ts";
import type { Policies } from "./policies.ts";

/**
 * What the previous status of one SyncedSecret records of a reference, if its Secret is intact: a parameter's version;
 * `left`, if the Secret was made without it; or the versions of a path's members by name. It applies to that
 * SyncedSecret alone. It decides whom to notify after AWS's first answer, and which parameters are known to have
 * existed.
 */
export type Stored = VersionStamp | "left" | ReadonlyMap<string, VersionStamp>;

/**
 * How certain it is that a parameter is missing:
 * - `absent`: AWS never served it to this identity, so there is nothing to lose;
 * - `suspect`: AWS served it before; a pipeline that replaces a parameter leaves it missing for half a minute;
 * - `held`: missing twice, but so many went missing at once that nothing is deleted;
 * - `gone`: missing twice, at least the grace apart, the second time by GetParameter.
 */
export type Stage = "absent" | "suspect" | "held" | "gone";

export type Missing = {
  readonly reason: "ParameterNotFound" | "VersionNotFound";
  /** Monotonic milliseconds of the first answer without it: the grace starts here. */
  readonly since: number;
  /** The same moment in milliseconds since the epoch, to compare with dates from AWS. */
  readonly at: number;
} & ({ readonly stage: Exclude<Stage, "gone"> } | { readonly stage: "gone"; readonly confirmed: ConfirmedDeletion });

/** An answer older than the one before it, perhaps from a replica that lags. It is believed after a minute. */
export interface StaleAnswer {
  readonly stamp: VersionStamp;
  /** Monotonic milliseconds since when AWS has returned nothing newer. */
  readonly since: number;
  /** How often AWS has returned it. */
  readonly times: number;
}

/** What DescribeParameters returned for a parameter. Parameters with no policies and an equal key share one object. */
export interface ParameterMetadata {
  /** The KMS key of a SecureString, as DescribeParameters names it. */
  readonly keyId?: string;
  readonly policies?: Policies;
  /**
   * Why the metadata may be out of date: `stored`, the parameter is known from a previous status and the hourly resync
   * describes it; `changed`, the parameter has another version since and is described soon.
   */
  readonly unsure?: "stored" | "changed";
}

/** A passed Expiration, confirmed by a look at or after that instant. */
export interface Expired {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The version that expired; another version has not. Undefined if it was never seen. */
  readonly stamp: VersionStamp | undefined;
}

/**
 * The state of a parameter, or of one member of a path. Only `changeParameter` changes it. Its values are never changed
 * but replaced.
 */
export interface ParameterState {
  /** The last believed answer of AWS in this process. */
  readonly stamp?: VersionStamp;
  /** Monotonic milliseconds since when AWS returns `stamp`. */
  readonly since?: number;
  readonly staleAnswer?: StaleAnswer;
  readonly missing?: Missing;
  readonly metadata?: ParameterMetadata;
  readonly expired?: Expired;
}

/** Whether a dependent no longer needs a missing member of a path, so that the member can be forgotten. */
export type Leaves = (state: ParameterState) => boolean;

/** The cache entry of one reference. Only `changeEntry` and `changeParameter` change it. */
export interface Entry {
  readonly reference: Reference;
  readonly key: string;
  /** The parameter's state, if the reference is a parameter. */
  readonly state: ParameterState;
  /** The members by name, if the reference is a path. */
  readonly members: ReadonlyMap<string, ParameterState>;
  /** Milliseconds of `ClockWatch.elapsed` at the first subscription. */
  readonly openedAt: number;
  /** Counts the changes of what dependents act on: stamps, missing parameters, claimed members, lasting failures. */
  readonly version: number;
  /** Counts the changes of what AWS announces: the stamps of the parameters that AWS serves. */
  readonly servedVersion: number;
  /** Whether AWS has answered in this process. */
  readonly looked: boolean;
  /** The last look's failure. */
  readonly failure?: Failure;
  /** Milliseconds of `ClockWatch.elapsed` at AWS's last answer. That a parameter is missing is an answer too. */
  readonly heardAt?: number;
  /** Milliseconds of `ClockWatch.elapsed` since when reads of the value fail, even if looks succeed. */
  readonly unreadSince?: number;
  /** Monotonic milliseconds when the last look ended, with or without success. */
  readonly askedAt?: number;
  /** Whether the previous statuses have been compared with AWS's first answer. */
  readonly isCompared?: boolean;
  /** The requested poll interval of each dependent SyncedSecret, in milliseconds. */
  readonly dependents: Pick<OneOrManyMap<number>, "get" | "keys" | "values" | "size">;
  /** The shortest of these intervals; Infinity if the entry is never polled. */
  readonly intervalMs: number;
  /** Monotonic milliseconds of the last hint. */
  readonly hintedAt?: number;
  /** Monotonic milliseconds of the next look. */
  readonly dueAt: number;
  /** Dependents that act on an expiry; undefined if none does. */
  readonly acting?: ReadonlySet<string>;
  /** By dependent: which missing members of the path it no longer needs. A dependent without a function needs all. */
  readonly leaving?: ReadonlyMap<string, Leaves>;
  /** The previous status of each dependent, until AWS has answered; longer if a parameter that it names is missing. */
  readonly stored?: Pick<OneOrManyMap<Stored>, "get" | "keys" | "values" | "size">;
  /** The path's version when its values were too large to read as a whole. */
  readonly largeAt?: number;
  /** Members of a path that a previous status names and AWS has not returned: missing for the status's resource. */
  readonly claimed?: ReadonlyMap<string, ParameterState>;
}

/** A parameter of an entry: itself, or one member of its path. */
export interface Parameter {
  readonly entry: Entry;
  readonly name: string;
  /** The member's state may have left the entry since: a change of it then concerns nobody. */
  readonly state: ParameterState;
}

/** Shared by all entries of single parameters; always empty. */
const noMembers: ReadonlyMap<string, ParameterState> = new Map();

/** Makes the entry of a reference before its first look. */
export function newEntry(reference: Reference, key: string, openedAt = 0): Entry {
  return {
    reference,
    key,
    openedAt,
    state: {},
    members: reference.kind === "path" ? new Map() : noMembers,
    version: 0,
    servedVersion: 0,
    looked: false,
    dependents: new OneOrManyMap<number>(),
    intervalMs: Infinity,
    dueAt: Infinity,
  };
}

/** When an answer arrived. */
export interface At {
  /** Monotonic milliseconds. */
  now: number;
  /** Milliseconds since the epoch. */
  wall: number;
}

/** Milliseconds for which AWS must return nothing newer before a stale answer is believed. */
export const staleAnswerMs = 60_000;
/** Milliseconds that a modification time may be ahead of the local clock. A later time cannot order versions. */
const aheadAtMostMs = 300_000;

/** Whether a modification time is too far in the future to be true; later answers are not compared with it. */
export function isOfFuture({ modified }: VersionStamp, wall: number): boolean {
  return !(modified <= wall + aheadAtMostMs);
}

/** Whether two expiries are the same. */
export function isSameExpiry(a: Expired | undefined, b: Expired | undefined): boolean {
  if (!a || !b) return a === b;
  return a.at === b.at && (a.stamp === b.stamp || (!!a.stamp && !!b.stamp && isEqual(a.stamp, b.stamp)));
}

/** Whether a parameter is known to have expired, and has not been replaced since. */
export function isExpired({ stamp, expired }: Pick<ParameterState, "stamp" | "expired">): boolean {
  return expired !== undefined && (!expired.stamp || !stamp || isEqual(expired.stamp, stamp));
}

/** For a parameter that all previous statuses know: an earlier process described it, so the hourly resync suffices. */
export const describedBefore: ParameterMetadata = { unsure: "stored" };

/** Whether AWS has answered or refused a look at the entry in this process. */
export function isKnown({ looked, failure }: Readonly<Pick<Entry, "looked" | "failure">>): boolean {
  return looked || failure !== undefined;
}

/** Whether a value's stamp is the parameter's current one. */
export function isCurrent(state: ParameterState | undefined, stamp: VersionStamp): boolean {
  return state?.stamp !== undefined && isEqual(state.stamp, stamp);
}

/** Whether to look again on demand: the last look failed or found nothing, and at least a second has passed. */
export function wantsAnotherLook(entry: Readonly<Entry>, now: number): boolean {
  const isWanting = entry.failure !== undefined || entry.state.missing?.stage === "absent";
  return isWanting && now - (entry.askedAt ?? -Infinity) >= anotherLookMs;
}

/**
 * Whether a poll can skip an entry: a look within the last tenth of its interval, as at a first sync, found everything.
 * The look of a hint does not count, since it may precede the change.
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
 * Whether the grace of a missing parameter is over, so that its deletion can be confirmed.
 *
 * @param isClaimed whether a previous status names the parameter, though AWS never served it to this process
 */
export function isRipe({ missing }: ParameterState, graceMs: number, now: number, isClaimed = false): boolean {
  if (!missing || missing.stage === "gone") return false;
  return (missing.stage !== "absent" || isClaimed) && now - missing.since >= graceMs;
}

/** Milliseconds between two looks on demand after a failure; each caller has its own backoff as well. */
const anotherLookMs = 1_000;
