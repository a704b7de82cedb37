import type { SyncedSecret } from "../../api/types.ts";
import { coOwners, ownedBy } from "../../kube/managed-fields.ts";
import type { ObjectMeta } from "../../kube/resource.ts";
import { referenceKey } from "../../parameters/reference.ts";
import type { Want } from "../../parameters/want.ts";
import { parseDuration } from "../../runtime/duration.ts";
import type { Lane } from "../../runtime/lane.ts";
import type { Granted } from "../connection/connections.ts";
import { leavesBy, type WhenMissing } from "./assess.ts";
import type { Attempt } from "./attempt.ts";
import type { Plan } from "./plan.ts";
import type { Made, RevisionSource, Revisions } from "./revision.ts";
import { readyOf } from "./said.ts";
import { type Damage, damage, type Standing, type Target } from "./target.ts";
import type { WarmStart } from "./warm-start.ts";

/** A SyncedSecret with all that its decisions rest on, gathered once. */
export interface Gathered {
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
export function presentOf({ standing }: Gathered): ObjectMeta | undefined {
  return standing.state === "ours" ? standing.metadata : undefined;
}

/** The revision that the Secret carries, where it is ours. */
export function revisionOf({ standing, target }: Gathered): string | undefined {
  return standing.state === "ours" ? standing.metadata.annotations?.[target.revisionAnnotation] : undefined;
}

/** What a revision is made of, where the Secret is made from these sources. */
export function madeFrom({ resource, granted, plan }: Gathered, sources: readonly RevisionSource[]): Made {
  const { account, identity } = granted;
  return { spec: resource.spec, account, region: identity.region, sources, bound: plan.bound };
}

/**
 * Whether the Secret may have been made from the present spec. What a newer release has written cannot be read, and
 * counts as such: what a spec has dropped is taken away later rather than a key too many now.
 */
export function mayBeOfSpec(gathered: Gathered): boolean {
  const { resource, revisions } = gathered;
  const inSecret = revisionOf(gathered);
  return revisions.isOfSpec(inSecret, resource.spec) || revisions.isForeign(inSecret);
}

/**
 * Whether Once has had its time: the Secret, or one that was deleted since, was made from the present spec. One that a
 * newer release made is never taken for another spec's: a newer version in its place could not be taken back.
 */
export function isSyncedOnce(gathered: Gathered): boolean {
  const { resource, revisions } = gathered;
  const made = revisionOf(gathered) ?? resource.status?.revision;
  return revisions.isOfSpec(made, resource.spec) || revisions.isForeign(made);
}

/** Whether a Secret that a newer release made was found to be current, for the present spec, by that release. */
export function wasCurrent(gathered: Gathered): boolean {
  const { status, metadata } = gathered.resource;
  const ready = readyOf(gathered.resource);
  const isOfNow = ready?.status === "True" && ready.observedGeneration === metadata.generation;
  return isOfNow && status?.revision === revisionOf(gathered);
}

/** What is no longer as it was applied; undefined where nothing has been applied yet. */
export function damageOf(gathered: Gathered): Damage | undefined {
  const present = presentOf(gathered);
  const isApplied = revisionOf(gathered) !== undefined;
  if (!present || !isApplied) return undefined;
  const found = damage(gathered.resource, gathered.target, present);
  return gathered.isForged ? { ...found, data: true } : found;
}

/** The names of the keys that we own in the Secret. */
export function keysOf(gathered: Gathered): ReadonlySet<string> {
  return ownedBy(presentOf(gathered)?.managedFields, gathered.target.manager)?.data ?? new Set();
}

/**
 * Keys that the Secret keeps for the present spec though nothing makes them any more: after a restart, or with another
 * account, "it is not there" is not "it was deleted". They are kept until the spec changes or a person asks for a
 * refresh. The Secret itself says which they are, so that no restart forgets them.
 */
export function keptOf(gathered: Gathered): ReadonlySet<string> {
  const text = presentOf(gathered)?.annotations?.[gathered.target.keptAnnotation];
  if (text === undefined || gathered.refresh !== undefined) return new Set();
  if (!mayBeOfSpec(gathered)) return new Set();
  const own = keysOf(gathered);
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
export function editorsOf(gathered: Gathered, data: ReadonlyMap<string, unknown>): string[] {
  if (gathered.isForged) return [`an apply of somebody else as field manager ${gathered.target.manager}`];
  const own = keysOf(gathered);
  const others = coOwners(presentOf(gathered)?.managedFields, gathered.target.manager);
  const editors = others.filter((other) => [...other.data].some((key) => data.has(key) && !own.has(key)));
  return [...new Set(editors.map(({ manager }) => manager))].sort();
}

/** Keys that others have added to the Secret, which are not ours to remove; sorted. */
export function foreignKeysOf(gathered: Gathered, data: ReadonlyMap<string, unknown>): string[] {
  const others = coOwners(presentOf(gathered)?.managedFields, gathered.target.manager);
  return [...new Set(others.flatMap((other) => [...other.data]))].filter((key) => !data.has(key)).sort();
}

/** Whether it is the resource's wish that something is done when a source expires. */
export function asksForExpiry(resource: SyncedSecret | undefined): boolean {
  return resource?.spec.refresh?.whenExpired !== undefined;
}

/** The account and region that a revision is made for. */
export function asWhom({ granted }: Gathered): string {
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
export function wantsOf({ resource, granted, plan, warmStart, whenMissing, whenExpired }: Gathered): Want[] {
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
