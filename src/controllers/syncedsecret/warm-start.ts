import type { SyncedSecret } from "../../api/types.ts";
import { isOfFuture, type ParameterMetadata, type Stored, type VersionStamp } from "../../parameters/cache-entry.ts";
import { type Reference, referenceKey } from "../../parameters/reference.ts";
import { belongs, isAmbiguous, pinnedAssessment, type Source, stampOfSource } from "./pinned-versions.ts";
import type { Grant, Plan } from "./plan.ts";
import type { Revisions } from "./revision.ts";
import type { VerifiedRevisions } from "./verified-revisions.ts";

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
  metadata: ReadonlyMap<string, ReadonlyMap<string, ParameterMetadata>>;
}

export const noWarmStart: WarmStart = { stamps: undefined, isPartial: false, metadata: new Map() };

/** What a warm start is taken from. */
export interface Told {
  resource: SyncedSecret;
  plan: Plan;
  granted: Grant;
  revisions: Revisions;
  verifiedRevisions: VerifiedRevisions;
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
  const metadata = new Map<string, ReadonlyMap<string, ParameterMetadata>>();
  for (const reference of followsExpiry ? plan.references : []) {
    const found = metadataByName(sources, reference);
    if (found) metadata.set(referenceKey(reference), found);
  }
  const isPartial = verified?.some((source) => isOfFuture(stampOfSource(source), wall)) ?? false;
  return { stamps, isPartial, metadata };
}

/** What the Secret was made from by its own word, once that was verified also where the status has been edited since. */
function verifiedSources(told: Told, inSecret: string): readonly Source[] | undefined {
  const { resource, verifiedRevisions } = told;
  const { sources, sourcesOmitted = 0 } = resource.status ?? {};
  if (!sources || sourcesOmitted > 0 || !reproducesRevision(told, sources, inSecret)) {
    const known = verifiedRevisions.sourcesOf(resource, inSecret);
    return known && reproducesRevision(told, known, inSecret) ? known : undefined;
  }
  verifiedRevisions.verified(resource, inSecret, sources);
  return sources;
}

function reproducesRevision(
  { resource, plan, granted, revisions }: Told,
  sources: readonly Source[],
  inSecret: string,
) {
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
    const stampsByName = new Map<string, VersionStamp>();
    let isOfNow = true;
    for (const source of sources) {
      if (!belongs(source, reference)) continue;
      if (reference.kind === "path" && isAmbiguous(source, reference, plan)) continue;
      const stamp = stampOfSource(source);
      if (isOfFuture(stamp, wall)) isOfNow = false;
      stampsByName.set(source.name, stamp);
    }
    // AWS is asked rather than a date taken for one that nothing can be newer than.
    if (!isOfNow) continue;
    if (reference.kind === "parameter") stamps.set(referenceKey(reference), stampsByName.get(reference.name) ?? "left");
    else if (stampsByName.size > 0) stamps.set(referenceKey(reference), stampsByName);
  }
  return stamps;
}

function metadataByName(sources: readonly Source[], reference: Reference): Map<string, ParameterMetadata> | undefined {
  const metadata = new Map<string, ParameterMetadata>();
  for (const source of sources) {
    const { name, expiresAt, keyId } = source;
    if ((expiresAt === undefined && keyId === undefined) || !belongs(source, reference)) continue;
    const at = expiresAt === undefined ? Number.NaN : Date.parse(expiresAt);
    metadata.set(name, {
      unsure: "stored",
      ...(keyId === undefined ? {} : { keyId }),
      ...(Number.isNaN(at) ? {} : { policies: { expiresAt: at } }),
    });
  }
  return metadata.size > 0 ? metadata : undefined;
}

/** Names whose Expiration has passed by the status's word, by the key of the reference. */
export function pastOf({ metadata }: WarmStart, wall: number): Map<string, Set<string>> {
  const past = new Map<string, Set<string>>();
  for (const [key, names] of metadata) {
    for (const [name, { policies }] of names) {
      if ((policies?.expiresAt ?? Infinity) > wall) continue;
      past.set(key, (past.get(key) ?? new Set()).add(name));
    }
  }
  return past;
}
