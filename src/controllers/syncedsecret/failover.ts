import type { SyncedSecret } from "../../api/types.ts";
import type { Outages } from "../../aws/ratelimit/outages.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Outcome } from "./outcome.ts";
import { pinnedAssessment } from "./pinned-versions.ts";
import { type Plan, plan, type StandIn } from "./plan.ts";
import { madeFrom, presentOf, revisionOf, type Snapshot } from "./snapshot.ts";
import { noWarmStart } from "./warm-start.ts";

/** The condition while the Secret holds values from a failover region. */
export const failedOver = "FailedOver";

/** Whether a SyncedSecret must be reconciled when its connection's region goes down or answers again. */
export function isConcerned(resource: SyncedSecret | undefined): boolean {
  const conditions = resource?.status?.conditions ?? [];
  const isWell = conditions.some(({ type, status }) => type === "Ready" && status === "True");
  return !isWell || conditions.some(({ type }) => type === failedOver);
}

/** The message about parameters or blobs that were read in a failover region. */
export function saidOf(what: "parameters" | "blobs", home: string, region: string): string {
  return what === "blobs"
    ? `blobs were decrypted in ${region} because ${home} does not answer`
    : `parameters were read in ${region} because ${home} does not answer; versions there are independent, so the parameters are read in ${home} as soon as it answers`;
}

/**
 * Whether failover regions may serve the parameters of a spec. Not for a numbered version, which is another value in
 * another region, and not under Once, which would never read at home again.
 */
export function mayMove({ spec }: Pick<SyncedSecret, "spec">, { references }: Plan): boolean {
  if (spec.refresh?.policy === "Once" || references.length === 0) return false;
  return !references.some((reference) => reference.kind === "parameter" && /^:[0-9]+$/.test(reference.selector));
}

/**
 * Whether a SyncedSecret's parameters may be read in a failover region: it has never had a Secret, or only one from a
 * failover region.
 */
function mayReadElsewhere(snapshot: Snapshot): boolean {
  const { resource, plan: planned } = snapshot;
  if (!mayMove(resource, planned)) return false;
  if (presentOf(snapshot) && revisionOf(snapshot) !== undefined) return false;
  const { revision, sources = [] } = resource.status ?? {};
  // Sources without a revision belong to a Secret that was deleted under DeleteSecret at home.
  if (revision === undefined) return sources.length === 0;
  return madeElsewhere(snapshot, revision) !== undefined;
}

/**
 * The failover region that the Secret was made from: the region in which the sources of the status reproduce its
 * revision.
 *
 * @param revision default: the Secret's revision
 */
export function madeElsewhere(snapshot: Snapshot, revision = revisionOf(snapshot)): string | undefined {
  const { granted, plan: planned, resource, revisions } = snapshot;
  const { sources, sourcesOmitted } = resource.status ?? {};
  if (revision === undefined || !sources || (sourcesOmitted ?? 0) > 0 || !granted.standIns?.length) return undefined;
  const made = madeFrom(snapshot, pinnedAssessment(planned, sources).sources);
  return granted.standIns.find(({ region }) => revisions.isOf(revision, { ...made, region }))?.region;
}

/** The snapshot with the parameters of a failover region. */
function at(snapshot: Snapshot, { identity }: StandIn): Snapshot {
  const { granted, resource, target } = snapshot;
  const there = { ...granted, identity, blobsBy: granted.identity };
  const owner = { namespace: target.namespace, name: resource.metadata.name! };
  return { ...snapshot, granted: there, plan: plan(resource.spec, there, owner), warmStart: noWarmStart };
}

/**
 * Decides on a SyncedSecret in the home region. If home is down and failover is allowed, decides in the first failover
 * region that has all parameters.
 *
 * @param decide decides from the snapshot of one region
 * @param comeHome subscribes to the references of the home region only
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
  const message = remainingMessage(snapshot, outages, outcome);
  return message === undefined ? outcome : { ...outcome, failedOver: message };
}

/** The failover message that stays after a decision at home, while the Secret still holds values from elsewhere. */
function remainingMessage(snapshot: Snapshot, outages: Pick<Outages, "isDown">, outcome: Outcome): string | undefined {
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
