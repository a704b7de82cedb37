import type { SyncedSecret } from "../../../api/types.ts";
import { coOwners, ownedBy } from "../../../kube/managed-fields.ts";
import type { ObjectMeta } from "../../../kube/resource.ts";
import { referenceKey } from "../../../parameters/reference.ts";
import type { Subscription } from "../../../parameters/subscription.ts";
import { parseDuration } from "../../../runtime/duration.ts";
import type { Lane } from "../../../runtime/lane.ts";
import type { Granted } from "../../grants.ts";
import type { Attempt } from "../act/attempt.ts";
import type { Plan } from "../plan/plan.ts";
import type { Target } from "../plan/target.ts";
import { readyOf } from "../trust/previous-status.ts";
import type { Made, RevisionSource, Revisions } from "../trust/revision.ts";
import type { WarmStart } from "../trust/warm-start.ts";
import { type Damage, damage } from "./drift.ts";
import type { Standing } from "./ownership.ts";
import { leavesBy, type WhenMissing } from "./sources.ts";

/** The facts that one decision about a SyncedSecret is made from, taken once. */
export interface Snapshot {
  resource: SyncedSecret;
  granted: Granted;
  plan: Plan;
  target: Target;
  standing: Standing;
  whenMissing: WhenMissing;
  /** Undefined under Once, which ignores expiries. */
  whenExpired: WhenMissing | undefined;
  lane: Lane;
  attempt: Attempt;
  /** The mark of a pending refresh request. */
  refresh: string | undefined;
  /** The sources according to the previous status. */
  warmStart: WarmStart;
  revisions: Revisions;
  /** Whether another client has applied the Secret under our field manager. */
  isForged: boolean;
}

/** The Secret's metadata, if the Secret is ours. */
export function presentOf({ standing }: Snapshot): ObjectMeta | undefined {
  return standing.state === "ours" ? standing.metadata : undefined;
}

/** The revision in the Secret's annotation, if the Secret is ours. */
export function revisionOf({ standing, target }: Snapshot): string | undefined {
  return standing.state === "ours" ? standing.metadata.annotations?.[target.revisionAnnotation] : undefined;
}

/** The input of the revision of a Secret made from these sources. */
export function madeFrom({ resource, granted, plan }: Snapshot, sources: readonly RevisionSource[]): Made {
  const { account, identity } = granted;
  return { spec: resource.spec, account, region: identity.region, sources, bound: plan.bound };
}

/**
 * Whether the Secret may have been made from the current spec. True also for the unreadable revision of a newer
 * release: a key that the spec has dropped then stays for longer, and no key is removed by mistake.
 */
export function mayBeOfSpec(snapshot: Snapshot): boolean {
  const { resource, revisions } = snapshot;
  const inSecret = revisionOf(snapshot);
  return revisions.isOfSpec(inSecret, resource.spec) || revisions.isForeign(inSecret);
}

/**
 * Whether the Secret, possibly deleted since, was already made from the current spec under Once. True also for a Secret
 * of a newer release: replacing its versions by newer ones could not be undone.
 */
export function isSyncedOnce(snapshot: Snapshot): boolean {
  const { resource, revisions } = snapshot;
  const made = revisionOf(snapshot) ?? resource.status?.revision;
  return revisions.isOfSpec(made, resource.spec) || revisions.isForeign(made);
}

/** Whether the newer release that made the Secret reported it as current for the current spec. */
export function wasCurrent(snapshot: Snapshot): boolean {
  const { status, metadata } = snapshot.resource;
  const ready = readyOf(snapshot.resource);
  const isCurrent = ready?.status === "True" && ready.observedGeneration === metadata.generation;
  return isCurrent && status?.revision === revisionOf(snapshot);
}

/** The drift of the Secret from the last apply; undefined before the first apply. */
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
 * Retained keys: keys of the current spec that no source produces any more. After a restart, or in another account, a
 * missing parameter is not proof of a deletion. The keys are kept until the spec changes or a person requests a
 * refresh. An annotation of the Secret lists them, so they survive a restart.
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
    // The annotation was edited: retain all our keys rather than lose one.
    return own;
  }
  return new Set(Array.isArray(listed) ? listed.filter((key) => typeof key === "string" && own.has(key)) : own);
}

/** The field managers that have changed keys of ours; a manager that removes a key leaves no trace. */
export function editorsOf(snapshot: Snapshot, data: ReadonlyMap<string, unknown>): string[] {
  if (snapshot.isForged) return [`an apply of another client as field manager ${snapshot.target.manager}`];
  const own = keysOf(snapshot);
  const others = coOwners(presentOf(snapshot)?.managedFields, snapshot.target.manager);
  const editors = others.filter((other) => [...other.data].some((key) => data.has(key) && !own.has(key)));
  return [...new Set(editors.map(({ manager }) => manager))].sort();
}

/** Keys that other field managers have added to the Secret, which we do not remove; sorted. */
export function foreignKeysOf(snapshot: Snapshot, data: ReadonlyMap<string, unknown>): string[] {
  const others = coOwners(presentOf(snapshot)?.managedFields, snapshot.target.manager);
  return [...new Set(others.flatMap((other) => [...other.data]))].filter((key) => !data.has(key)).sort();
}

/** Whether the spec sets `refresh.whenExpired`. */
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
 * @param floorMs the connection's interval, the lower bound
 */
export function pollIntervalOf({ spec }: SyncedSecret, floorMs: number): number {
  const own = spec.refresh?.pollInterval;
  return Math.max((own === undefined ? undefined : parseDuration(own)) ?? floorMs, floorMs);
}

/** The subscriptions of a SyncedSecret. */
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
