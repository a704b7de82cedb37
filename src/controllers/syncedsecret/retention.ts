import { annotations } from "../../api/annotations.ts";
import type { SyncedSecret } from "../../api/types.ts";
import { Failure } from "../../runtime/failure.ts";
import { secondsOf } from "../conditions.ts";
import type { Granted } from "../connection/connections.ts";
import type { Assessment, Lost } from "./assess.ts";
import type { Outcome } from "./outcome.ts";
import { belongs, type Source } from "./pinned-versions.ts";
import { reportedGone } from "./previous-status.ts";
import { presentOf, type Snapshot } from "./snapshot.ts";

/** Whether a source is missing beyond suspicion, or is still missing after a process before this one had said so. */
export function isLost(assessment: Assessment, resource: SyncedSecret): boolean {
  const lost = goneOf(assessment);
  return reportedGone(resource) ? lost.length > 0 : lost.some(({ missing }) => missing.stage !== "suspect");
}

/** What is said while a source that the Secret was made from is missing. */
export function sourceGone(assessment: Assessment): Failure {
  const lost = goneOf(assessment);
  const held = lost.some(({ missing }) => missing.stage === "held");
  const names = [...new Set(lost.map(({ entry, name }) => `${entry.label}: ${name}`))].sort();
  const message = held
    ? `so many parameters of the connection went missing at once that none is taken for deleted (${names.join(", ")}): see whether the connection still reads the right account and region`
    : `gone from Parameter Store (${names.join(", ")}): what the Secret had of them stays as it is; put them back, or remove the entries`;
  return new Failure("SourceGone", "wait", message);
}

/** What is missing, and not because it has expired. */
function goneOf({ lost }: Assessment): Lost[] {
  return lost.filter((one) => !one.isExpired);
}

/** What is said while a source that has expired keeps its keys, or has taken the Secret along; nothing where none has. */
export function overdue({ overdue: all, deleteSecret }: Assessment): Failure[] {
  if (all.length === 0) return [];
  const names = [...new Set(all.map(({ entry, name, at }) => `${entry.label}: ${name} at ${secondsOf(at)}`))].sort();
  const what = deleteSecret
    ? "the Secret is deleted, as refresh.whenExpired says"
    : "what the Secret had of them stays as it is";
  const remedy = "put versions with a later Expiration, or remove the entries";
  return [new Failure("Expired", "wait", `expired (${names.join(", ")}): ${what}; ${remedy}`)];
}

/** What is said where AWS has told of a source with an older version than before: nothing is made of it yet. */
export function staleSourceProblems({ staleSources }: Assessment): Failure[] {
  return [...new Set(staleSources.map(({ name }) => name))].sort().map((name) => {
    const message = `AWS answered for ${name} with an older version than before; it is asked again`;
    return new Failure("Unreachable", "retry", message);
  });
}

/** Everything that is said of sources that are missing or have expired. */
export function losses(assessment: Assessment): Failure[] {
  return [...(goneOf(assessment).length > 0 ? [sourceGone(assessment)] : []), ...overdue(assessment)];
}

/** What is said while keys are kept of which it is not known why nothing makes them any more. */
export function keysRetained(keys: Iterable<string>, granted: Granted): Failure {
  const where = `account ${granted.account}, region ${granted.identity.region}`;
  const message = `nothing in ${where} makes the keys ${[...keys].sort().join(", ")} any more, and it is not known that it was deleted: they keep what they had; put the parameters back, or drop the keys by the annotation ${annotations.refresh}`;
  return new Failure("SourceGone", "wait", message);
}

/** What is said of a Secret that is there: of what it is in want of, and of keys that it keeps. */
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

/** When AWS was last heard, and what it told of the sources, for an outcome. */
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

/**
 * Why a Secret that was deleted under DeleteSecret is not made again: what it was deleted for is still missing.
 *
 * @param now milliseconds since the epoch
 */
export function missedSinceDeletion(snapshot: Snapshot, assessment: Assessment, now: number): Failure | undefined {
  const { resource, plan, whenMissing, whenExpired } = snapshot;
  // Nothing but that deletion leaves sources in a status without a Secret.
  const { status, metadata } = resource;
  const wasDeletedForIt = status?.secretRef === undefined && status?.observedGeneration === metadata.generation;
  if (presentOf(snapshot) || !wasDeletedForIt) return undefined;
  const there = new Set(assessment.sources.map(({ name }) => name));
  // A name that the spec does not ask for any more is none of its business.
  const isAskedFor = (source: Source) => plan.references.some((reference) => belongs(source, reference));
  const sources = (status?.sources ?? []).filter((source) => !there.has(source.name) && isAskedFor(source));
  const expired = sources.filter(({ expiresAt }) => expiresAt !== undefined && Date.parse(expiresAt) <= now);
  if (whenExpired === "DeleteSecret" && expired.length > 0) {
    const names = expired.map(({ name, expiresAt }) => `${name} at ${secondsOf(Date.parse(expiresAt!))}`).sort();
    const message = `expired (${names.join(", ")}), and the Secret with it, as refresh.whenExpired says; put them back, or change the spec`;
    return new Failure("Expired", "wait", message);
  }
  const missed = sources.map(({ name }) => name);
  if (whenMissing !== "DeleteSecret" || missed.length === 0) return undefined;
  const message = `gone from Parameter Store (${missed.sort().join(", ")}), and the Secret with it, as refresh.whenMissing says; put them back, or change the spec`;
  return new Failure("SourceGone", "wait", message);
}
