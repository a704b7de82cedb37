import { annotations } from "../../../api/annotations.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import { Failure } from "../../../runtime/failure.ts";
import { secondsOf } from "../../conditions.ts";
import type { Granted } from "../../grants.ts";
import { reportedGone } from "../trust/previous-status.ts";
import { belongs, type Source } from "../trust/status-sources.ts";

import type { Outcome } from "./outcome.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Assessment, Lost } from "./sources.ts";

/** Whether a source is missing and not only suspected to be, or is still missing after an earlier SourceGone. */
export function isLost(assessment: Assessment, resource: SyncedSecret): boolean {
  const lost = goneOf(assessment);
  return reportedGone(resource) ? lost.length > 0 : lost.some(({ missing }) => missing.stage !== "suspect");
}

/** The failure while a source that the Secret was made from is missing. */
function sourceGone(assessment: Assessment): Failure {
  const lost = goneOf(assessment);
  const held = lost.some(({ missing }) => missing.stage === "held");
  const names = [...new Set(lost.map(({ entry, name }) => `${entry.label}: ${name}`))].sort();
  const message = held
    ? `many parameters of the connection disappeared at once, which is probably a mistake, so none is treated as deleted (${names.join(", ")}): check that the connection reads the right account and region`
    : `no longer in Parameter Store (${names.join(", ")}): the Secret keeps their last values; put the parameters back, or ${dropsOf(lost)}`;
  return new Failure("SourceGone", "wait", message);
}

/** How to drop the keys of lost sources: a member of a path has no entry of its own. */
function dropsOf(lost: readonly Lost[]): string {
  const members = lost.filter(({ entry }) => entry.kind === "path").length;
  const drops = [
    ...(members < lost.length ? ["remove the entries"] : []),
    ...(members > 0 ? ["exclude the path's members", "set refresh.whenMissing: DeleteKeys"] : []),
  ];
  return drops.join(", or ");
}

/** Lost sources that have not expired. */
function goneOf({ lost }: Assessment): Lost[] {
  return lost.filter((one) => !one.isExpired);
}

/** The failure while an expired source keeps its keys, or has had the Secret deleted; empty if none has expired. */
export function overdue({ overdue: all, deleteSecret }: Assessment): Failure[] {
  if (all.length === 0) return [];
  const names = [...new Set(all.map(({ entry, name, at }) => `${entry.label}: ${name} at ${secondsOf(at)}`))].sort();
  const what = deleteSecret
    ? "the Secret is deleted because of refresh.whenExpired"
    : "the Secret keeps their last values";
  const remedy = "put versions with a later Expiration, or remove the entries";
  return [new Failure("Expired", "wait", `expired (${names.join(", ")}): ${what}; ${remedy}`)];
}

/** One failure for each source with a stale answer, from which no Secret is made yet. */
export function staleSourceProblems({ staleSources }: Assessment): Failure[] {
  return [...new Set(staleSources.map(({ name }) => name))].sort().map((name) => {
    const message = `AWS returned an older version of ${name} than before, retrying`;
    return new Failure("Unreachable", "retry", message);
  });
}

/** The failures of all sources that are missing or have expired. */
export function losses(assessment: Assessment): Failure[] {
  return [...(goneOf(assessment).length > 0 ? [sourceGone(assessment)] : []), ...overdue(assessment)];
}

/** The failure while keys are retained and it is not known whether their source was deleted. */
function keysRetained(keys: Iterable<string>, granted: Granted): Failure {
  const where = `account ${granted.account}, region ${granted.identity.region}`;
  const message = `no source in ${where} produces the keys ${[...keys].sort().join(", ")} any more, and it is not known whether it was deleted: the keys keep their last values; put the parameters back, or set the annotation ${annotations.refresh} to drop the keys`;
  return new Failure("SourceGone", "wait", message);
}

/** The failures of a Secret that exists: missing or expired sources, and retained keys. */
export function wanting(
  assessment: Assessment,
  resource: SyncedSecret,
  retained: ReadonlySet<string>,
  granted: Granted,
): Failure[] {
  return [
    ...(isLost(assessment, resource) ? [sourceGone(assessment)] : []),
    ...overdue(assessment),
    ...(retained.size > 0 ? [keysRetained(retained, granted)] : []),
  ];
}

/** The fields of an outcome that come from the assessment. */
export function heard(
  assessment: Assessment,
): Pick<Outcome, "heardAt" | "unheard" | "sourcesMetadata" | "isFromStatus" | "staleSources"> {
  const { heardAt, unheard, sourcesMetadata, isFromStatus } = assessment;
  const staleSources = [...new Set(assessment.staleSources.map(({ name }) => name))].sort();
  return {
    ...(staleSources.length > 0 ? { staleSources } : {}),
    ...(isFromStatus ? { isFromStatus: true as const } : {}),
    ...(heardAt === undefined ? {} : { heardAt }),
    ...(unheard ? { unheard } : {}),
    ...(sourcesMetadata ? { sourcesMetadata } : {}),
  };
}

/** Why a Secret that was deleted under DeleteSecret is not recreated: the source is still missing or expired. */
export function missedSinceDeletion(snapshot: Snapshot): Failure | undefined {
  const { resource, plan, whenMissing, whenExpired, present, assessment, wall } = snapshot;
  // Only a deletion under DeleteSecret leaves sources in a status without secretRef.
  const { status, metadata } = resource;
  const wasDeletedForIt = status?.secretRef === undefined && status?.observedGeneration === metadata.generation;
  if (present || !wasDeletedForIt) return undefined;
  const there = new Set(assessment.sources.map(({ name }) => name));
  // Sources that the spec no longer references do not count.
  const isAskedFor = (source: Source) => plan.references.some((reference) => belongs(source, reference));
  const sources = (status?.sources ?? []).filter((source) => !there.has(source.name) && isAskedFor(source));
  const expired = sources.filter(({ expiresAt }) => expiresAt !== undefined && Date.parse(expiresAt) <= wall);
  if (whenExpired === "DeleteSecret" && expired.length > 0) {
    const names = expired.map(({ name, expiresAt }) => `${name} at ${secondsOf(Date.parse(expiresAt!))}`).sort();
    const message = `expired (${names.join(", ")}): the Secret was deleted because of refresh.whenExpired; put versions with a later Expiration, or change the spec`;
    return new Failure("Expired", "wait", message);
  }
  const missed = sources.map(({ name }) => name);
  if (whenMissing !== "DeleteSecret" || missed.length === 0) return undefined;
  const message = `no longer in Parameter Store (${missed.sort().join(", ")}): the Secret was deleted because of refresh.whenMissing; put the parameters back, or change the spec`;
  return new Failure("SourceGone", "wait", message);
}
