import type { SyncedSecret } from "../../api/types.ts";
import { type About, isOfFuture, type Sight, type Stored } from "../../parameters/entry.ts";
import { type Reference, referenceKey } from "../../parameters/reference.ts";
import { belongs, isAmbiguous, pinnedAssessment, type Source, sightIn } from "./pin.ts";
import type { Grant, Plan } from "./plan.ts";
import type { Revisions } from "./revision.ts";
import type { Vouchers } from "./vouchers.ts";

/**
 * What a SyncedSecret's own status says of its references, by the key of each. Whoever may write the status may say
 * anything, so that it counts for this SyncedSecret alone, and is never a reason to delete.
 */
export interface WarmStart {
  /** The versions that the Secret was made from; undefined where the Secret does not vouch for them. */
  stamps: ReadonlyMap<string, Stored> | undefined;
  /** Whether a version was left out of `stamps` for a date of the future: what the Secret was made from is not known then. */
  isPartial: boolean;
  /** Expiries and keys, by parameter name: a reason to look. */
  abouts: ReadonlyMap<string, ReadonlyMap<string, About>>;
}

export const noWarmStart: WarmStart = { stamps: undefined, isPartial: false, abouts: new Map() };

/** What a warm start is taken from. */
export interface Told {
  resource: SyncedSecret;
  plan: Plan;
  granted: Grant;
  revisions: Revisions;
  vouchers: Vouchers;
  /** Whether expiries are followed. */
  followsExpiry: boolean;
}

/**
 * Takes from a status what this process can start with. Versions count only where the Secret vouches for them: where
 * the revision that follows from them, for this account and region, is the one that the Secret carries.
 *
 * @param inSecret the Secret's revision
 * @param wall milliseconds since the epoch: a version of the future is none
 */
export function warmStartOf(told: Told, inSecret: string | undefined, wall: number): WarmStart {
  const { resource, plan, followsExpiry } = told;
  const { sources = [] } = resource.status ?? {};
  const verified = inSecret === undefined ? undefined : verifiedSources(told, inSecret);
  const stamps = verified && stampsOf(plan, verified, wall);
  const abouts = new Map<string, ReadonlyMap<string, About>>();
  for (const reference of followsExpiry ? plan.references : []) {
    const found = aboutsOf(sources, reference);
    if (found) abouts.set(referenceKey(reference), found);
  }
  const isPartial = verified?.some((source) => isOfFuture(sightIn(source), wall)) ?? false;
  return { stamps, isPartial, abouts };
}

/** What the Secret was made from by its own word, once that was verified also where the status has been edited since. */
function verifiedSources(told: Told, inSecret: string): readonly Source[] | undefined {
  const { resource, vouchers } = told;
  const { sources, sourcesOmitted = 0 } = resource.status ?? {};
  if (!sources || sourcesOmitted > 0 || !isVouchedFor(told, sources, inSecret)) {
    const known = vouchers.sourcesOf(resource, inSecret);
    return known && isVouchedFor(told, known, inSecret) ? known : undefined;
  }
  vouchers.verified(resource, inSecret, sources);
  return sources;
}

function isVouchedFor({ resource, plan, granted, revisions }: Told, sources: readonly Source[], inSecret: string) {
  const { account, identity } = granted;
  const from = pinnedAssessment(plan, sources).sources;
  return revisions.isOf(inSecret, {
    ...{ spec: resource.spec, account, region: identity.region },
    ...{ sources: from, bound: plan.bound },
  });
}

function stampsOf(plan: Plan, sources: readonly Source[], wall: number): Map<string, Stored> {
  const stamps = new Map<string, Stored>();
  for (const reference of plan.references) {
    const sights = new Map<string, Sight>();
    let isOfNow = true;
    for (const source of sources) {
      if (!belongs(source, reference)) continue;
      if (reference.kind === "path" && isAmbiguous(source, reference, plan)) continue;
      const sight = sightIn(source);
      if (isOfFuture(sight, wall)) isOfNow = false;
      sights.set(source.name, sight);
    }
    // AWS is asked rather than a date taken for one that nothing can be newer than.
    if (!isOfNow) continue;
    if (reference.kind === "parameter") stamps.set(referenceKey(reference), sights.get(reference.name) ?? "left");
    else if (sights.size > 0) stamps.set(referenceKey(reference), sights);
  }
  return stamps;
}

function aboutsOf(sources: readonly Source[], reference: Reference): Map<string, About> | undefined {
  const abouts = new Map<string, About>();
  for (const source of sources) {
    const { name, expiresAt, keyId } = source;
    if ((expiresAt === undefined && keyId === undefined) || !belongs(source, reference)) continue;
    const at = expiresAt === undefined ? Number.NaN : Date.parse(expiresAt);
    abouts.set(name, {
      unsure: "stored",
      ...(keyId === undefined ? {} : { keyId }),
      ...(Number.isNaN(at) ? {} : { policies: { expiresAt: at } }),
    });
  }
  return abouts.size > 0 ? abouts : undefined;
}

/** Names whose Expiration has passed by the status's word, by the key of the reference. */
export function pastOf({ abouts }: WarmStart, wall: number): Map<string, Set<string>> {
  const past = new Map<string, Set<string>>();
  for (const [key, names] of abouts) {
    for (const [name, { policies }] of names) {
      if ((policies?.expiresAt ?? Infinity) > wall) continue;
      past.set(key, (past.get(key) ?? new Set()).add(name));
    }
  }
  return past;
}
