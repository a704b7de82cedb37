import { annotations } from "../../api/annotations.ts";
import type { SyncedSecret } from "../../api/types.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Granted } from "../connection/connections.ts";
import type { Assessment } from "./assess.ts";
import { type Gathered, presentOf } from "./gathered.ts";
import { saidGone } from "./said.ts";

/** Whether a source is missing beyond suspicion, or is still missing after a process before this one had said so. */
export function isLost({ lost }: Assessment, resource: SyncedSecret): boolean {
  return saidGone(resource) ? lost.length > 0 : lost.some(({ missing }) => missing.stage !== "suspect");
}

/** What is said while a source that the Secret was made from is missing. */
export function sourceGone(assessment: Assessment): Failure {
  const held = assessment.lost.some(({ missing }) => missing.stage === "held");
  const names = [...new Set(assessment.lost.map(({ entry, name }) => `${entry.label}: ${name}`))].sort();
  const message = held
    ? `so many parameters of the connection went missing at once that none is taken for deleted (${names.join(", ")}): see whether the connection still reads the right account and region`
    : `gone from Parameter Store (${names.join(", ")}): what the Secret had of them stays as it is; put them back, or remove the entries`;
  return new Failure("SourceGone", "wait", message);
}

/** What is said while keys are kept of which it is not known why nothing makes them any more. */
export function keysKept(keys: Iterable<string>, granted: Granted): Failure {
  const where = `account ${granted.account}, region ${granted.identity.region}`;
  const message = `nothing in ${where} makes the keys ${[...keys].sort().join(", ")} any more, and it is not known that it was deleted: they keep what they had; put the parameters back, or drop the keys by the annotation ${annotations.refresh}`;
  return new Failure("SourceGone", "wait", message);
}

/** When AWS was last heard, for an outcome. */
export function heard({ heardAt, unheard }: Assessment): { heardAt?: number; unheard?: Failure } {
  return { ...(heardAt === undefined ? {} : { heardAt }), ...(unheard ? { unheard } : {}) };
}

/** Why a Secret that was deleted under DeleteSecret is not made again: what it was deleted for is still missing. */
export function missedSinceDeletion(gathered: Gathered, assessment: Assessment): Failure | undefined {
  const { resource, whenMissing } = gathered;
  // Nothing but that deletion leaves sources in a status without a Secret.
  const { status, metadata } = resource;
  const wasDeletedForIt = status?.secretRef === undefined && status?.observedGeneration === metadata.generation;
  if (whenMissing !== "DeleteSecret" || presentOf(gathered) || !wasDeletedForIt) return undefined;
  const there = new Set(assessment.sources.map(({ name }) => name));
  const missed = (status?.sources ?? []).filter(({ name }) => !there.has(name)).map(({ name }) => name);
  if (missed.length === 0) return undefined;
  const message = `gone from Parameter Store (${missed.sort().join(", ")}), and the Secret with it, as refresh.whenMissing says; put them back, or change the spec`;
  return new Failure("SourceGone", "wait", message);
}
