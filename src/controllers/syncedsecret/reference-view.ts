import {
  type About,
  type At,
  type Doubt,
  describedBefore,
  doubtedMs,
  type Entry,
  isOfFuture,
  type Missing,
  type Sight,
  type Spot,
  type Stored,
} from "../../parameters/entry.ts";
import { isPassedThrough, memberSelector, type Reference, referenceKey } from "../../parameters/reference.ts";
import { stampIn } from "../../parameters/stored.ts";
import type { WarmStart } from "./warm-start.ts";

/** A parameter as one SyncedSecret sees it. */
export interface SpotView extends Omit<Spot, "missing"> {
  /** `left`: its Secret was made without the parameter, and AWS has not shown it since. */
  missing?: Missing | (Omit<Missing, "stage" | "confirmed"> & { stage: "left" });
  /** When it has expired, in milliseconds since the epoch, where the own status alone says so: to be said, not acted on. */
  saidExpiredAt?: number;
}

/**
 * What one SyncedSecret decides by: what AWS has told this process, and until then what its own status says. An entry is
 * shared by all who depend on it; a view is nobody else's.
 */
export interface ReferenceView
  extends Pick<Entry, "looked" | "failure" | "heardAt" | "unreadSince" | "openedAt" | "askedAt"> {
  spot: SpotView;
  members: ReadonlyMap<string, SpotView>;
  /** Whether AWS has not answered yet, and the own status stands in. */
  isStored?: boolean;
}

/** How an entry is looked at. */
export interface Looking extends At {
  warmStart: WarmStart;
  /** Whether a person asked for everything anew, so that an older version than the status tells of is taken at once. */
  mayGoBack: boolean;
}

/** What of a reference's own status is looked at. */
interface Own {
  stored: Stored | undefined;
  abouts: ReadonlyMap<string, About> | undefined;
}

/** An entry as one SyncedSecret sees it. Pure. */
export function viewOf(entry: Readonly<Entry>, looking: Looking): ReferenceView {
  const key = referenceKey(entry.reference);
  const { warmStart } = looking;
  const own: Own = { stored: warmStart.stamps?.get(key), abouts: warmStart.abouts.get(key) };
  const { looked, failure, openedAt, heardAt, unreadSince, askedAt } = entry;
  return {
    ...{ looked, openedAt, failure, heardAt, unreadSince, askedAt },
    isStored: !looked && own.stored !== undefined,
    spot: entry.reference.kind === "parameter" ? parameterOf(entry, own, looking) : entry.spot,
    members: entry.reference.kind === "path" ? membersOf(entry, own, looking) : entry.members,
  } as ReferenceView;
}

function parameterOf(entry: Readonly<Entry>, own: Own, looking: Looking): SpotView {
  const { reference, spot, looked } = entry;
  const name = reference.kind === "parameter" ? reference.name : "";
  const { stored } = own;
  if (stored === "left" && (!looked || spot.missing)) {
    const { since, at } = spot.missing ?? { since: looking.now, at: looking.wall };
    const reason = spot.missing?.reason ?? "ParameterNotFound";
    return { ...spot, missing: { reason, since, at, stage: "left" } };
  }
  return spotOf(entry, spot, { stamp: stampIn(stored, name), about: own.abouts?.get(name) }, looking);
}

function membersOf(entry: Readonly<Entry>, { stored, abouts }: Own, looking: Looking): ReadonlyMap<string, SpotView> {
  const { members, claimed, looked } = entry;
  const views = new Map<string, SpotView>();
  if (looked) {
    for (const [name, spot] of members) {
      views.set(name, spotOf(entry, spot, { stamp: stampIn(stored, name), about: abouts?.get(name) }, looking));
    }
  }
  if (!(stored instanceof Map)) return views;
  for (const [name, stamp] of stored as ReadonlyMap<string, Sight>) {
    if (views.has(name)) continue;
    const spot = (looked ? claimed?.get(name) : members.get(name)) ?? {};
    const { now: since, wall: at } = looking;
    const missing: Missing = { reason: "ParameterNotFound", stage: "suspect", since, at };
    const seen = looked ? { missing, ...spot } : spot;
    views.set(name, spotOf(entry, seen, { stamp, about: abouts?.get(name) }, looking));
  }
  return views;
}

function spotOf(
  entry: Readonly<Entry>,
  spot: Spot,
  own: { stamp: Sight | undefined; about: About | undefined },
  looking: Looking,
): SpotView {
  const { stamp } = own;
  const view: SpotView = { ...spot };
  const about = aboutOf(spot, own, entry.looked);
  if (about) view.about = about;
  if (!entry.looked) {
    delete view.missing;
    if (stamp) view.sight = stamp;
    return view;
  }
  const { missing, sight } = spot;
  if (missing) {
    if (stamp) view.sight ??= stamp;
    const isOwn = sight !== undefined || stamp !== undefined;
    const { reason, since, at } = missing;
    // What a status of another says was there has never been there for this one.
    if (!isOwn) view.missing = { reason, since, at, stage: "absent" };
    else if (missing.stage === "absent") view.missing = { reason, since, at, stage: "suspect" };
    return expire(view, missing, about);
  }
  const doubt = stamp && sight && !looking.mayGoBack ? doubtOf(entry, spot, stamp, looking) : undefined;
  if (!doubt) return view;
  return { ...view, sight: stamp!, doubt };
}

/** What is known of keys and policies: AWS's word where there is one, else that of the own status. */
function aboutOf(
  { about, missing }: Spot,
  own: { stamp: Sight | undefined; about: About | undefined },
  looked: boolean,
): About | undefined {
  // Of what is missing AWS tells nothing, which is no word on what it was.
  const isTold = about && about.unsure !== "stored" && !(missing && !about.policies && about.keyId === undefined);
  if (isTold) return about;
  return own.about ?? about ?? (own.stamp && !looked ? describedBefore : undefined);
}

/**
 * What AWS says that is older than what the Secret was made from: doubted until it has stood for a minute, as an answer
 * that is older than another.
 */
function doubtOf(entry: Readonly<Entry>, spot: Spot, stamp: Sight, { wall }: Looking): Doubt | undefined {
  const { sight, since = 0 } = spot;
  if (!sight || canGoBack(entry.reference) || isOfFuture(stamp, wall)) return undefined;
  if (sight.modified >= stamp.modified) return undefined;
  const stoodMs = (entry.failure ? since : (entry.askedAt ?? since)) - since;
  return stoodMs >= doubtedMs ? undefined : { sight, since, times: 2 };
}

function canGoBack(reference: Reference): boolean {
  if (reference.kind === "path") return memberSelector(reference) !== "";
  return reference.selector !== "" || isPassedThrough(reference.name);
}

/**
 * What the own status says has an Expiration, and is missing since that instant, has expired. Something is done about it
 * once it is gone: which of two policies of the own spec holds is all that the status decides.
 */
function expire(view: SpotView, missing: Missing, about: About | undefined): SpotView {
  const expiresAt = about?.unsure === "stored" ? about.policies?.expiresAt : undefined;
  if (view.expired || expiresAt === undefined || expiresAt > missing.at) return view;
  if (missing.stage !== "gone") return { ...view, saidExpiredAt: expiresAt };
  return { ...view, expired: { at: expiresAt, sight: view.sight } };
}
