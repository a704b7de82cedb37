import type { SyncedSecret } from "../../api/types.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Outages } from "../../parameters/outages.ts";
import type { Outcome } from "./outcome.ts";
import { pinnedAssessment } from "./pinned-versions.ts";
import { type Plan, plan, type StandIn } from "./plan.ts";
import { madeFrom, presentOf, revisionOf, type Snapshot } from "./snapshot.ts";
import { noWarmStart } from "./warm-start.ts";

/** The condition that something was read in a region that stood in. */
export const failedOver = "FailedOver";

/** Whether it concerns a SyncedSecret that its connection's region is down, or answers again. */
export function isConcerned(resource: SyncedSecret | undefined): boolean {
  const conditions = resource?.status?.conditions ?? [];
  const isWell = conditions.some(({ type, status }) => type === "Ready" && status === "True");
  return !isWell || conditions.some(({ type }) => type === failedOver);
}

/** What is said of parameters, or blobs, that were read elsewhere. */
export function saidOf(what: "parameters" | "blobs", home: string, region: string): string {
  return what === "blobs"
    ? `blobs were opened in ${region}, since ${home} does not answer`
    : `parameters were read in ${region}, since ${home} does not answer, and versions there are its own: they are read in ${home} as soon as it answers`;
}

/**
 * Whether the parameters of a spec are such that a region may stand in for them. Not where a version is named, whose
 * number means another value there, and not under Once, which would never be read at home again.
 */
export function mayMove({ spec }: Pick<SyncedSecret, "spec">, { references }: Plan): boolean {
  if (spec.refresh?.policy === "Once" || references.length === 0) return false;
  return !references.some((reference) => reference.kind === "parameter" && /^:[0-9]+$/.test(reference.selector));
}

/**
 * Whether a SyncedSecret's parameters may be read in a region that stands in: it has never had a Secret, or one of such
 * a region only.
 */
function mayReadElsewhere(snapshot: Snapshot): boolean {
  const { resource, plan: planned } = snapshot;
  if (!mayMove(resource, planned)) return false;
  if (presentOf(snapshot) && revisionOf(snapshot) !== undefined) return false;
  const { revision, sources = [] } = resource.status ?? {};
  // Sources without a revision are those of a Secret that was deleted for what became of them at home.
  if (revision === undefined) return sources.length === 0;
  return madeElsewhere(snapshot, revision) !== undefined;
}

/**
 * The region that stood in when the Secret was made. The Secret itself says so: its revision is the one that follows
 * from what the status lists, in that region.
 *
 * @param revision the Secret's when left out
 */
export function madeElsewhere(snapshot: Snapshot, revision = revisionOf(snapshot)): string | undefined {
  const { granted, plan: planned, resource, revisions } = snapshot;
  const { sources, sourcesOmitted } = resource.status ?? {};
  if (revision === undefined || !sources || (sourcesOmitted ?? 0) > 0 || !granted.standIns?.length) return undefined;
  const made = madeFrom(snapshot, pinnedAssessment(planned, sources).sources);
  return granted.standIns.find(({ region }) => revisions.isOf(revision, { ...made, region }))?.region;
}

/** A SyncedSecret as one whose parameters a region that stands in has. */
function at(snapshot: Snapshot, { identity }: StandIn): Snapshot {
  const { granted, resource, target } = snapshot;
  const there = { ...granted, identity, blobsBy: granted.identity };
  const owner = { namespace: target.namespace, name: resource.metadata.name! };
  return { ...snapshot, granted: there, plan: plan(resource.spec, there, owner), warmStart: noWarmStart };
}

/**
 * Decides on a SyncedSecret at home, or, where it may be and home is down, in the first region that stands in and has
 * all of it.
 *
 * @param decide decides on it as it is gathered for one region
 * @param comeHome has it depend on what is at home, and on nothing else
 */
export async function decideSomewhere(
  snapshot: Snapshot,
  { outages, metrics }: { outages: Pick<Outages, "isDown">; metrics: Pick<Metrics, "failoverReads"> },
  decide: (snapshot: Snapshot) => Promise<Outcome>,
  comeHome: () => void,
): Promise<Outcome> {
  const { granted } = snapshot;
  const home = granted.identity;
  if (outages.isDown(home.key, "ssm") && mayReadElsewhere(snapshot)) {
    for (const standIn of granted.standIns ?? []) {
      if (outages.isDown(standIn.identity.key, "ssm")) continue;
      const there = at(snapshot, standIn);
      if (there.plan.refused.length > 0) continue;
      const outcome = await decide(there);
      if (outcome.kind === "failed" && outcome.made === undefined) continue;
      comeHome();
      metrics.failoverReads.inc({ service: "ssm", region: standIn.region });
      if (outcome.kind !== "current" && outcome.kind !== "failed") return outcome;
      return { ...outcome, failedOver: saidOf("parameters", home.region, standIn.region) };
    }
  }
  const outcome = await decide(snapshot);
  const said = stillSaid(snapshot, outages, outcome);
  return said === undefined ? outcome : { ...outcome, failedOver: said };
}

/** What is still to be said after a decision at home that has read nothing elsewhere. */
function stillSaid(snapshot: Snapshot, outages: Pick<Outages, "isDown">, outcome: Outcome): string | undefined {
  if (outcome.kind !== "current" && outcome.kind !== "failed") return undefined;
  if (outcome.failedOver !== undefined || outcome.wrote !== undefined) return undefined;
  const { granted, resource } = snapshot;
  const home = granted.identity;
  const region = madeElsewhere(snapshot);
  if (region !== undefined) return saidOf("parameters", home.region, region);
  if (!outages.isDown(home.key, "kms")) return undefined;
  const before = resource.status?.conditions?.find(({ type }) => type === failedOver);
  return before?.observedGeneration === resource.metadata.generation ? before?.message : undefined;
}
