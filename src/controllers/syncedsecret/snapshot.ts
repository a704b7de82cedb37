import type { SyncedSecret } from "../../api/types.ts";
import { coOwners, ownedBy } from "../../kube/managed-fields.ts";
import type { ObjectMeta } from "../../kube/resource.ts";
import { referenceKey } from "../../parameters/reference.ts";
import type { Subscription } from "../../parameters/subscription.ts";
import { parseDuration } from "../../runtime/duration.ts";
import type { Lane } from "../../runtime/lane.ts";
import type { Granted } from "../connection/connections.ts";
import { leavesBy, type WhenMissing } from "./assess.ts";
import type { Attempt } from "./attempt.ts";
import type { Plan } from "./plan.ts";
import { readyOf } from "./previous-status.ts";
import type { Made, RevisionSource, Revisions } from "./revision.ts";
import { type Damage, damage, type Standing, type Target } from "./target.ts";
import type { WarmStart } from "./warm-start.ts";

/** A SyncedSecret with all that its decisions rest on, gathered once. */
export interface Snapshot {
  resource: SyncedSecret;
  granted: Granted;
  plan: Plan;
  target: Target;
  standing: Standing;
  whenMissing: WhenMissing;
  /** Undefined under Once, where expiries are not followed. */
  whenExpired: WhenMissing | undefined;
  lane: Lane;
  attempt: Attempt;
  /** The mark of a refresh annotation that has not been honoured yet. */
  refresh: string | undefined;
  /** What the status says of the sources. */
  warmStart: WarmStart;
  revisions: Revisions;
  /** Whether somebody else has applied the Secret under our field manager. */
  isForged: boolean;
}

/** The Secret's metadata, where it is ours. */
export function presentOf({ standing }: Snapshot): ObjectMeta | undefined {
  return standing.state === "ours" ? standing.metadata : undefined;
}

/** The revision that the Secret carries, where it is ours. */
export function revisionOf({ standing, target }: Snapshot): string | undefined {
  return standing.state === "ours" ? standing.metadata.annotations?.[target.revisionAnnotation] : undefined;
}

/** What a revision is made of, where the Secret is made from these sources. */
export function madeFrom({ resource, granted, plan }: Snapshot, sources: readonly RevisionSource[]): Made {
  const { account, identity } = granted;
  return { spec: resource.spec, account, region: identity.region, sources, bound: plan.bound };
}

/**
 * Whether the Secret may have been made from the present spec. What a newer release has written cannot be read, and
 * counts as such: what a spec has dropped is taken away later rather than a key too many now.
 */
export function mayBeOfSpec(snapshot: Snapshot): boolean {
  const { resource, revisions } = snapshot;
  const inSecret = revisionOf(snapshot);
  return revisions.isOfSpec(inSecret, resource.spec) || revisions.isForeign(inSecret);
}

/**
 * Whether Once has had its time: the Secret, or one that was deleted since, was made from the present spec. One that a
 * newer release made is never taken for another spec's: a newer version in its place could not be taken back.
 */
export function isSyncedOnce(snapshot: Snapshot): boolean {
  const { resource, revisions } = snapshot;
  const made = revisionOf(snapshot) ?? resource.status?.revision;
  return revisions.isOfSpec(made, resource.spec) || revisions.isForeign(made);
}

/** Whether a Secret that a newer release made was found to be current, for the present spec, by that release. */
export function wasCurrent(snapshot: Snapshot): boolean {
  const { status, metadata } = snapshot.resource;
  const ready = readyOf(snapshot.resource);
  const isOfNow = ready?.status === "True" && ready.observedGeneration === metadata.generation;
  return isOfNow && status?.revision === revisionOf(snapshot);
}

/** What is no longer as it was applied; undefined where nothing has been applied yet. */
export function damageOf(snapshot: Snapshot): Damage | undefined {
  const present = presentOf(snapshot);
  const isApplied = revisionOf(snapshot) !== undefined;
  if (!present || !isApplied) return undefined;
  const found = damage(snapshot.resource, snapshot.target, present);
  return snapshot.isForged ? { ...found, data: true } : found;
}

/** The names of the keys that we own in the Secret. */
export function keysOf(snapshot: Snapshot): ReadonlySet<string> {
  return ownedBy(presentOf(snapshot)?.managedFields, snapshot.target.manager)?.data ?? new Set();
}

/**
 * Keys that the Secret keeps for the present spec though nothing makes them any more: after a restart, or with another
 * account, "it is not there" is not "it was deleted". They are kept until the spec changes or a person asks for a
 * refresh. The Secret itself says which they are, so that no restart forgets them.
 */
export function retainedKeysOf(snapshot: Snapshot): ReadonlySet<string> {
  const text = presentOf(snapshot)?.annotations?.[snapshot.target.retainedKeysAnnotation];
  if (text === undefined || snapshot.refresh !== undefined) return new Set();
  if (!mayBeOfSpec(snapshot)) return new Set();
  const own = keysOf(snapshot);
  let listed: unknown;
  try {
    listed = JSON.parse(text);
  } catch {
    // Somebody has edited it: all that we own is kept rather than anything lost.
    return own;
  }
  return new Set(Array.isArray(listed) ? listed.filter((key) => typeof key === "string" && own.has(key)) : own);
}

/** Who has set keys of ours to something else; whoever removed one leaves no trace. */
export function editorsOf(snapshot: Snapshot, data: ReadonlyMap<string, unknown>): string[] {
  if (snapshot.isForged) return [`an apply of somebody else as field manager ${snapshot.target.manager}`];
  const own = keysOf(snapshot);
  const others = coOwners(presentOf(snapshot)?.managedFields, snapshot.target.manager);
  const editors = others.filter((other) => [...other.data].some((key) => data.has(key) && !own.has(key)));
  return [...new Set(editors.map(({ manager }) => manager))].sort();
}

/** Keys that others have added to the Secret, which are not ours to remove; sorted. */
export function foreignKeysOf(snapshot: Snapshot, data: ReadonlyMap<string, unknown>): string[] {
  const others = coOwners(presentOf(snapshot)?.managedFields, snapshot.target.manager);
  return [...new Set(others.flatMap((other) => [...other.data]))].filter((key) => !data.has(key)).sort();
}

/** Whether it is the resource's wish that something is done when a source expires. */
export function asksForExpiry(resource: SyncedSecret | undefined): boolean {
  return resource?.spec.refresh?.whenExpired !== undefined;
}

/** The account and region that a revision is made for. */
export function asWhom({ granted }: Snapshot): string {
  return `${granted.account} ${granted.identity.region}`;
}

/**
 * Milliseconds between polls for a SyncedSecret.
 *
 * @param floorMs the connection's own interval, which a resource cannot go below
 */
export function pollIntervalOf({ spec }: SyncedSecret, floorMs: number): number {
  const own = spec.refresh?.pollInterval;
  return Math.max((own === undefined ? undefined : parseDuration(own)) ?? floorMs, floorMs);
}

/** What a SyncedSecret observes. */
export function subscriptionsOf({
  resource,
  granted,
  plan,
  warmStart,
  whenMissing,
  whenExpired,
}: Snapshot): Subscription[] {
  const isOnce = resource.spec.refresh?.policy === "Once";
  const pollIntervalMs = isOnce ? Infinity : pollIntervalOf(resource, granted.pollIntervalMs);
  const actsOnExpiry = whenExpired === "DeleteKeys" || whenExpired === "DeleteSecret";
  const leaves = leavesBy({ missing: whenMissing, expired: whenExpired });
  return plan.references.map((reference) => {
    const stored = warmStart.stamps?.get(referenceKey(reference));
    const ofPath = reference.kind === "path" && leaves ? { leaves } : {};
    return {
      reference,
      pollIntervalMs,
      actsOnExpiry,
      ...ofPath,
      ...(stored ? { stored } : {}),
    };
  });
}
