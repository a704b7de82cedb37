import { readyOf } from "../../../api/conditions.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import type { ObjectMeta } from "../../../kube/resource.ts";
import { coOwners, ownedBy } from "../../../kube/write/managed-fields.ts";
import { type Reference, referenceKey } from "../../../parameters/read/reference.ts";
import type { Subscription } from "../../../parameters/subscription.ts";
import { durationOr } from "../../../runtime/duration.ts";
import type { Failure } from "../../../runtime/failure.ts";
import type { Granted } from "../../grants.ts";
import type { Plan } from "../plan/plan.ts";
import type { Target } from "../plan/target.ts";
import type { Made, RevisionSource, Revisions } from "../trust/revision.ts";
import type { WarmStart } from "../trust/warm-start.ts";
import { type Damage, damage } from "./drift.ts";
import type { Done } from "./material.ts";
import type { Standing } from "./ownership.ts";
import { type Assessment, leavesBy, newAssessment, type WhenMissing } from "./sources.ts";

/** What is known before the sources are looked at: the spec, the grant, the Secret and the previous status. */
export interface Facts {
  resource: SyncedSecret;
  granted: Granted;
  plan: Plan;
  target: Target;
  whenMissing: WhenMissing;
  /** Undefined under Once, which ignores expiries. */
  whenExpired: WhenMissing | undefined;
  /** The mark of a pending refresh request. */
  refresh: string | undefined;
  /** No Secret is written. */
  readOnly: boolean;

  standing: Standing;
  /** The Secret's metadata, if the Secret is ours. */
  present: ObjectMeta | undefined;
  /** The revision in the Secret's annotation, if the Secret is ours. */
  revision: string | undefined;
  /** The names of the keys that we own in the Secret. */
  ownKeys: ReadonlySet<string>;
  /** The drift of the Secret from the last apply; undefined before the first apply. */
  damage: Damage | undefined;
  /** Whether another client has applied the Secret under our field manager. */
  isForged: boolean;
  /**
   * Whether the Secret has another revision than the one that this process has found to be current: another leader, or a
   * forger, has written it, and may know newer versions.
   */
  isOthers: boolean;

  revisions: Revisions;
  /** The sources according to the previous status. */
  warmStart: WarmStart;
  /** The account and region for which this process has found the Secret's revision to be current. */
  verifiedAs: string | undefined;
  /** The API server's last rejection of this Secret as too large. */
  tooLarge: { revision: string; failure: Failure } | undefined;
}

/** The sources, as far as AWS has answered. */
export interface Observed {
  assessment: Assessment;
  /** References whose last look failed or found nothing, and that may be looked at again. */
  lookAgain: readonly Reference[];
  /** Whether the last look at one of `lookAgain` failed. */
  hasFailedLook: boolean;
  /** References that this process has not looked at. */
  unseen: readonly Reference[];
  /** References with a stale answer whose last look was a while ago. */
  staleSources: readonly Reference[];
  /** Milliseconds since the epoch. */
  wall: number;
}

/**
 * No sources, for a decision that does not depend on them.
 *
 * @param wall milliseconds since the epoch
 */
export function nothingObserved(wall: number): Observed {
  return { assessment: newAssessment(), lookAgain: [], hasFailedLook: false, unseen: [], staleSources: [], wall };
}

/** The input of one decision about a SyncedSecret. */
export interface Snapshot extends Facts, Observed {
  /** What this reconcile has done already. */
  done: Done;
}

/** The metadata and the revision of a Secret that is ours; undefined otherwise. */
export function secretOf(standing: Standing, target: Target): Pick<Facts, "present" | "revision"> {
  const present = standing.state === "ours" ? standing.metadata : undefined;
  return { present, revision: present?.annotations?.[target.revisionAnnotation] };
}

/** What the caller of factsOf() knows; the other facts follow from it. */
export type Given = Omit<Facts, "present" | "revision" | "ownKeys" | "damage">;

/** Derives the facts about the Secret, once for all decisions of a reconcile. */
export function factsOf(given: Given): Facts {
  const { standing, target, resource, isForged } = given;
  const { present, revision } = secretOf(standing, target);
  const owned = ownedBy(present?.managedFields, target.manager);
  const ownKeys = owned?.data ?? new Set<string>();
  const found = present && revision !== undefined ? damage(resource, target, present, owned) : undefined;
  return { ...given, present, revision, ownKeys, damage: found && isForged ? { ...found, data: true } : found };
}

/** The input of the revision of a Secret made from these sources. */
export function madeFrom(
  { resource, granted, plan }: Pick<Facts, "resource" | "granted" | "plan">,
  sources: readonly RevisionSource[],
): Made {
  const { account, identity } = granted;
  return { spec: resource.spec, account, region: identity.region, sources, bound: plan.bound };
}

/** Whether the Secret is as the last apply left it. */
export function isIntact({ damage: found }: Facts): boolean {
  return found !== undefined && !found.data && !found.metadata;
}

/**
 * Whether the Secret may have been made from the current spec. True also for the unreadable revision of a newer
 * release: a key that the spec has dropped then stays for longer, and no key is removed by mistake.
 */
export function mayBeOfSpec({ resource, revisions, revision }: Facts): boolean {
  return revisions.isOfSpec(revision, resource.spec) || revisions.isForeign(revision);
}

/** Whether the Secret was made from the current spec and holds no edited data. */
export function isGood(facts: Facts): boolean {
  return mayBeOfSpec(facts) && !facts.damage?.data;
}

/** Whether the newer release that made the Secret reported it as current for the current spec. */
export function wasCurrent({ resource, revision }: Facts): boolean {
  const ready = readyOf(resource.status);
  const isCurrent = ready?.status === "True" && ready.observedGeneration === resource.metadata.generation;
  return isCurrent && resource.status?.revision === revision;
}

/**
 * Retained keys: keys of the current spec that no source produces any more. After a restart, or in another account, a
 * missing parameter is not proof of a deletion. The keys are kept until the spec changes or a person requests a
 * refresh. An annotation of the Secret lists them, so they survive a restart.
 */
export function retainedKeysOf(facts: Facts): ReadonlySet<string> {
  const { present, target, refresh, ownKeys } = facts;
  const text = present?.annotations?.[target.retainedKeysAnnotation];
  if (text === undefined || refresh !== undefined || !mayBeOfSpec(facts)) return new Set();
  let listed: unknown;
  try {
    listed = JSON.parse(text);
  } catch {
    // The annotation was edited: retain all our keys rather than lose one.
    return ownKeys;
  }
  return new Set(Array.isArray(listed) ? listed.filter((key) => typeof key === "string" && ownKeys.has(key)) : ownKeys);
}

/** The field managers that have changed keys of ours; a manager that removes a key leaves no trace. */
export function editorsOf({ isForged, target, present, ownKeys }: Facts, data: ReadonlyMap<string, unknown>): string[] {
  if (isForged) return [`an apply of another client as field manager ${target.manager}`];
  const others = coOwners(present?.managedFields, target.manager);
  const editors = others.filter((other) => [...other.data].some((key) => data.has(key) && !ownKeys.has(key)));
  return [...new Set(editors.map(({ manager }) => manager))].sort();
}

/** Keys that other field managers have added to the Secret, which we do not remove; sorted. */
export function foreignKeysOf({ present, target }: Facts, data: ReadonlyMap<string, unknown>): string[] {
  const others = coOwners(present?.managedFields, target.manager);
  return [...new Set(others.flatMap((other) => [...other.data]))].filter((key) => !data.has(key)).sort();
}

/** Whether the spec sets `refresh.whenExpired`. */
export function asksForExpiry(resource: SyncedSecret | undefined): boolean {
  return resource?.spec.refresh?.whenExpired !== undefined;
}

/** Whether the spec sets `refresh.policy: Once`. */
export function isOnce({ spec }: SyncedSecret): boolean {
  return spec.refresh?.policy === "Once";
}

/** The account and region that a revision is made for. */
export function asWhom({ granted }: Pick<Facts, "granted">): string {
  return `${granted.account} ${granted.identity.region}`;
}

/**
 * Milliseconds between polls for a SyncedSecret.
 *
 * @param floorMs the connection's interval, the lower bound
 */
export function pollIntervalOf({ spec }: SyncedSecret, floorMs: number): number {
  return Math.max(durationOr(spec.refresh?.pollInterval, floorMs), floorMs);
}

/** The subscriptions of a SyncedSecret. */
export function subscriptionsOf(facts: Facts): Subscription[] {
  const { resource, granted, plan, warmStart, whenMissing, whenExpired } = facts;
  const pollIntervalMs = isOnce(resource) ? Infinity : pollIntervalOf(resource, granted.pollIntervalMs);
  const actsOnExpiry = whenExpired === "DeleteKeys" || whenExpired === "DeleteSecret";
  const leaves = leavesBy({ missing: whenMissing, expired: whenExpired });
  return plan.references.map((reference) => {
    const stored = warmStart.stamps?.get(referenceKey(reference));
    const ofPath = reference.kind === "path" && leaves ? { leaves } : {};
    return { reference, pollIntervalMs, actsOnExpiry, ...ofPath, ...(stored ? { stored } : {}) };
  });
}
