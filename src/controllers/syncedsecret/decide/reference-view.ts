import {
  type At,
  describedBefore,
  type Entry,
  isOfFuture,
  type Missing,
  type ParameterMetadata,
  type ParameterState,
  type StaleAnswer,
  type Stored,
  staleAnswerMs,
} from "../../../parameters/cache/cache-entry.ts";
import { stampIn } from "../../../parameters/cache/stored.ts";
import { isPassedThrough, memberSelector, type Reference, referenceKey } from "../../../parameters/read/reference.ts";
import type { VersionStamp } from "../../../parameters/read/version-stamp.ts";
import type { Writable } from "../../../runtime/writable.ts";
import type { WarmStart } from "../trust/warm-start.ts";

/** A parameter as one SyncedSecret sees it. */
export interface ParameterView extends Omit<Writable<ParameterState>, "missing"> {
  /** `left`: the Secret was made without the parameter, and AWS has not returned the parameter since. */
  missing?: Missing | (Omit<Missing, "stage" | "confirmed"> & { stage: "left" });
  /** Expiry in milliseconds since the epoch, known only from the status: it is reported, and no key is dropped for it. */
  reportedExpiredAt?: number;
}

/**
 * One SyncedSecret's view of a cache entry: AWS's answers to this process, and until then its own status. All
 * subscribers share an entry; each SyncedSecret has its own view.
 */
export interface ReferenceView
  extends Pick<Entry, "looked" | "failure" | "heardAt" | "unreadSince" | "openedAt" | "askedAt"> {
  state: ParameterView;
  members: ReadonlyMap<string, ParameterView>;
  /** Whether AWS has not answered yet, so that the view comes from the status. */
  isStored?: boolean;
}

/** The clock and the warm start for a view. */
export interface Looking extends At {
  warmStart: WarmStart;
  /** Whether a refresh is pending: an older version than the one in the status is then accepted at once. */
  mayGoBack: boolean;
}

/** The part of the status about one reference. */
interface Own {
  stored: Stored | undefined;
  metadata: ReadonlyMap<string, ParameterMetadata> | undefined;
}

/** One SyncedSecret's view of a cache entry. Pure. */
export function viewOf(entry: Readonly<Entry>, looking: Looking): ReferenceView {
  const key = referenceKey(entry.reference);
  const { warmStart } = looking;
  const own: Own = { stored: warmStart.stamps?.get(key), metadata: warmStart.metadata.get(key) };
  const { looked, failure, openedAt, heardAt, unreadSince, askedAt } = entry;
  return {
    ...{ looked, openedAt, failure, heardAt, unreadSince, askedAt },
    isStored: !looked && own.stored !== undefined,
    state: entry.reference.kind === "parameter" ? parameterOf(entry, own, looking) : entry.state,
    members: entry.reference.kind === "path" ? membersOf(entry, own, looking) : entry.members,
  } as ReferenceView;
}

function parameterOf(entry: Readonly<Entry>, own: Own, looking: Looking): ParameterView {
  const { reference, state, looked } = entry;
  const name = reference.kind === "parameter" ? reference.name : "";
  const { stored } = own;
  if (stored === "left" && (!looked || state.missing)) {
    const { since, at } = state.missing ?? { since: looking.now, at: looking.wall };
    const reason = state.missing?.reason ?? "ParameterNotFound";
    return { ...state, missing: { reason, since, at, stage: "left" } };
  }
  return parameterViewOf(entry, state, { ownStamp: stampIn(stored, name), metadata: own.metadata?.get(name) }, looking);
}

function membersOf(
  entry: Readonly<Entry>,
  { stored, metadata }: Own,
  looking: Looking,
): ReadonlyMap<string, ParameterView> {
  const { members, claimed, looked } = entry;
  const views = new Map<string, ParameterView>();
  if (looked) {
    for (const [name, state] of members) {
      views.set(
        name,
        parameterViewOf(entry, state, { ownStamp: stampIn(stored, name), metadata: metadata?.get(name) }, looking),
      );
    }
  }
  if (!(stored instanceof Map)) return views;
  for (const [name, ownStamp] of stored as ReadonlyMap<string, VersionStamp>) {
    if (views.has(name)) continue;
    const state = (looked ? claimed?.get(name) : members.get(name)) ?? {};
    const { now: since, wall: at } = looking;
    const missing: Missing = { reason: "ParameterNotFound", stage: "suspect", since, at };
    const seen = looked ? { missing, ...state } : state;
    views.set(name, parameterViewOf(entry, seen, { ownStamp, metadata: metadata?.get(name) }, looking));
  }
  return views;
}

function parameterViewOf(
  entry: Readonly<Entry>,
  state: ParameterState,
  own: { ownStamp: VersionStamp | undefined; metadata: ParameterMetadata | undefined },
  looking: Looking,
): ParameterView {
  const { ownStamp } = own;
  const view: ParameterView = { ...state };
  const metadata = metadataOf(state, own, entry.looked);
  if (metadata) view.metadata = metadata;
  if (!entry.looked) {
    delete view.missing;
    if (ownStamp) view.stamp = ownStamp;
    return view;
  }
  const { missing, stamp } = state;
  if (missing) {
    if (ownStamp) view.stamp ??= ownStamp;
    const isOwn = stamp !== undefined || ownStamp !== undefined;
    const { reason, since, at } = missing;
    // Another SyncedSecret's status does not prove that the parameter existed for this SyncedSecret.
    if (!isOwn) view.missing = { reason, since, at, stage: "absent" };
    else if (missing.stage === "absent") view.missing = { reason, since, at, stage: "suspect" };
    return expire(view, missing, metadata);
  }
  const staleAnswer =
    ownStamp && stamp && !looking.mayGoBack ? staleAnswerOf(entry, state, ownStamp, looking) : undefined;
  if (!staleAnswer) return view;
  return { ...view, stamp: ownStamp!, staleAnswer };
}

/** Key and policies: from AWS's answer if there is one, otherwise from the status. */
function metadataOf(
  { metadata, missing }: ParameterState,
  own: { ownStamp: VersionStamp | undefined; metadata: ParameterMetadata | undefined },
  looked: boolean,
): ParameterMetadata | undefined {
  // AWS returns no metadata for a missing parameter, which says nothing about its earlier metadata.
  const isTold =
    metadata && metadata.unsure !== "stored" && !(missing && !metadata.policies && metadata.keyId === undefined);
  if (isTold) return metadata;
  return own.metadata ?? metadata ?? (own.ownStamp && !looked ? describedBefore : undefined);
}

/**
 * An answer of AWS that is older than the version that the Secret was made from. It is stale until it has stayed the
 * same for a minute.
 */
function staleAnswerOf(
  entry: Readonly<Entry>,
  state: ParameterState,
  ownStamp: VersionStamp,
  { wall }: Looking,
): StaleAnswer | undefined {
  const { stamp, since = 0 } = state;
  if (!stamp || canGoBack(entry.reference) || isOfFuture(ownStamp, wall)) return undefined;
  if (stamp.modified >= ownStamp.modified) return undefined;
  const stoodMs = (entry.failure ? since : (entry.askedAt ?? since)) - since;
  return stoodMs >= staleAnswerMs ? undefined : { stamp, since, times: 2 };
}

function canGoBack(reference: Reference): boolean {
  if (reference.kind === "path") return memberSelector(reference) !== "";
  return reference.selector !== "" || isPassedThrough(reference.name);
}

/**
 * A parameter with an Expiration in the status that is missing since that time has expired. The expiry takes effect once
 * the parameter is gone: the status only decides between `whenMissing` and `whenExpired`.
 */
function expire(view: ParameterView, missing: Missing, metadata: ParameterMetadata | undefined): ParameterView {
  const expiresAt = metadata?.unsure === "stored" ? metadata.policies?.expiresAt : undefined;
  if (view.expired || expiresAt === undefined || expiresAt > missing.at) return view;
  if (missing.stage !== "gone") return { ...view, reportedExpiredAt: expiresAt };
  return { ...view, expired: { at: expiresAt, stamp: view.stamp } };
}
