import type { SyncedSecret } from "../../../api/types.ts";
import { isOfFuture, type ParameterMetadata, type Stored } from "../../../parameters/cache/cache-entry.ts";
import { type Reference, referenceKey } from "../../../parameters/read/reference.ts";
import type { VersionStamp } from "../../../parameters/read/version-stamp.ts";
import type { Grant } from "../../grants.ts";
import type { Plan } from "../plan/plan.ts";
import type { Revisions } from "./revision.ts";
import { belongs, isAmbiguous, revisionSourcesOf, type Source, stampOfSource } from "./status-sources.ts";
import type { VerifiedRevisions } from "./verified-revisions.ts";

/**
 * The facts about a SyncedSecret's references from its status, by the key of each reference. Clients that may write the
 * status can write anything, so it counts for this SyncedSecret only, and never leads to a deletion.
 */
export interface WarmStart {
  /** The versions that the Secret was made from; undefined if they do not reproduce the Secret's revision. */
  stamps: ReadonlyMap<string, Stored> | undefined;
  /** Whether `stamps` lacks a version with a date in the future, so that the Secret's sources are not fully known. */
  isPartial: boolean;
  /** Expiries and keys by parameter name; they only cause looks. */
  metadata: ReadonlyMap<string, ReadonlyMap<string, ParameterMetadata>>;
}

export const noWarmStart: WarmStart = { stamps: undefined, isPartial: false, metadata: new Map() };

/** The input of a warm start. */
export interface Told {
  resource: SyncedSecret;
  plan: Plan;
  granted: Grant;
  revisions: Revisions;
  verifiedRevisions: VerifiedRevisions;
  /** False under Once. */
  followsExpiry: boolean;
}

/**
 * Computes the warm start from a status. Versions count only if they reproduce the Secret's revision, for this account
 * and region.
 *
 * @param inSecret the Secret's revision
 * @param wall milliseconds since the epoch: versions with a later date do not count
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

/** The sources that reproduce the Secret's revision: from the status, or remembered if the status was edited since. */
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
  const from = revisionSourcesOf(plan, sources);
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
    // Ask AWS instead: nothing could be newer than a date in the future.
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

/** Names whose Expiration has passed according to the status, by the key of the reference. */
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
