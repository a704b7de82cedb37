import type { SyncedSecret } from "../../../api/types.ts";
import { failedOver } from "../../conditions.ts";
import { type Plan, plan } from "../plan/plan.ts";
import { revisionSourcesOf } from "../trust/status-sources.ts";
import { noWarmStart } from "../trust/warm-start.ts";
import { hasFailed, type Outcome } from "./outcome.ts";
import { type Facts, madeFrom } from "./snapshot.ts";

/** Whether a service of AWS does not answer an identity. */
export type IsDown = (identityKey: string, service: "ssm" | "kms") => boolean;

/** Whether a SyncedSecret must be reconciled when its connection's region goes down or answers again. */
export function isConcerned(resource: SyncedSecret | undefined): boolean {
  const conditions = resource?.status?.conditions ?? [];
  const isWell = conditions.some(({ type, status }) => type === "Ready" && status === "True");
  return !isWell || conditions.some(({ type }) => type === failedOver);
}

/** The message about parameters or blobs that were read in a failover region. */
export function failoverMessage(what: "parameters" | "blobs", home: string, region: string): string {
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
function mayReadElsewhere(facts: Facts): boolean {
  const { resource, plan: planned } = facts;
  if (!mayMove(resource, planned) || facts.revision !== undefined) return false;
  const { revision, sources = [] } = resource.status ?? {};
  // Sources without a revision belong to a Secret that was deleted under DeleteSecret at home.
  if (revision === undefined) return sources.length === 0;
  return madeElsewhere(facts, revision) !== undefined;
}

/**
 * The failover region that the Secret was made from: the region in which the sources of the status reproduce its
 * revision.
 *
 * @param revision default: the Secret's revision
 */
export function madeElsewhere(facts: Facts, revision = facts.revision): string | undefined {
  const { granted, plan: planned, resource, revisions } = facts;
  const { sources, sourcesOmitted } = resource.status ?? {};
  if (revision === undefined || !sources || (sourcesOmitted ?? 0) > 0 || !granted.standIns?.length) return undefined;
  const made = madeFrom(facts, revisionSourcesOf(planned, sources));
  return granted.standIns.find(({ region }) => revisions.isOf(revision, { ...made, region }))?.region;
}

/**
 * The facts as seen from the failover regions that may serve the parameters now, in order. Empty if the home region
 * answers, or if failover is not allowed.
 */
export function* elsewhereOf(facts: Facts, isDown: IsDown): Iterable<{ region: string; facts: Facts }> {
  const { granted, resource, target } = facts;
  if (!isDown(granted.identity.key, "ssm") || !mayReadElsewhere(facts)) return;
  const owner = { namespace: target.namespace, name: resource.metadata.name! };
  for (const { identity, region } of granted.standIns ?? []) {
    if (isDown(identity.key, "ssm")) continue;
    const there = { ...granted, identity, blobsBy: granted.identity };
    const planned = plan(resource.spec, there, owner);
    if (planned.refused.length > 0) continue;
    yield { region, facts: { ...facts, granted: there, plan: planned, warmStart: noWarmStart } };
  }
}

/** The failover message that stays after an outcome at home, while the Secret still holds values from elsewhere. */
export function remainingMessage(facts: Facts, outcome: Outcome, isDown: IsDown): string | undefined {
  if (outcome.kind !== "current" && !hasFailed(outcome)) return undefined;
  if (outcome.failedOver !== undefined || outcome.wrote !== undefined) return undefined;
  const { granted, resource } = facts;
  const home = granted.identity;
  const region = madeElsewhere(facts);
  if (region !== undefined) return failoverMessage("parameters", home.region, region);
  if (!isDown(home.key, "kms")) return undefined;
  const before = resource.status?.conditions?.find(({ type }) => type === failedOver);
  return before?.observedGeneration === resource.metadata.generation ? before?.message : undefined;
}
