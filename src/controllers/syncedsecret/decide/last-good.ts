import { annotationOf, annotations } from "../../../api/annotations.ts";
import { rolledOut } from "../../../api/rollout-status.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import { entryOf } from "../trust/applied.ts";
import type { Made } from "../trust/revision.ts";
import { revisionSourcesOf } from "../trust/status-sources.ts";
import type { LastGood } from "./held-back.ts";
import { isVerified, pinnedOf } from "./pinned.ts";
import { presentAnnotation, presentRestartRevision, rollsOut } from "./restart-revision.ts";
import { type Facts, isOnce, madeFrom, type Snapshot } from "./snapshot.ts";

/** A version of the sources that is held back, as the Secret records it. */
export interface Held {
  revision: string;
  /** What an approval names. */
  token: string;
  /** The restart revision of pods that run with it; undefined if it is not known. */
  restartRevision: string | undefined;
  /** When the Secret lost the last good version, by the API server's clock, to the second; undefined if it is not known. */
  since: string | undefined;
  /** When the Secret was set back; undefined if its present version is that write's. */
  until: string | undefined;
}

/** What an approval begins with if the revision had been approved once before it failed. */
const again = "again.";

/** Whether a failed rollout sets the Secret back. */
export function asksForRevert(resource: SyncedSecret): boolean {
  return rollsOut(resource) && resource.spec.rollout?.onFailure === "Revert" && !isOnce(resource);
}

/** The revision that the annotation keyferry.io/approve names; undefined without one. */
export function approvedRevision(resource: SyncedSecret): string | undefined {
  return approvalOf(resource)?.replace(again, "");
}

/** The text of the annotation keyferry.io/approve. */
export function approvalOf({ metadata }: SyncedSecret): string | undefined {
  return annotationOf(metadata.annotations, annotations.approve);
}

/** What an approval must name for a revision that is held back from now on: not what it names already. */
export function tokenFor(resource: SyncedSecret, revision: string): string {
  return approvalOf(resource) === revision ? again + revision : revision;
}

/**
 * The last good revision. It counts if our field manager has recorded it on the Secret, and the status lists sources that
 * reproduce it; without a Secret, if the Secret had it.
 */
export function lastGoodOf(facts: Facts): LastGood | undefined {
  const { resource, standing, target, revisions, plan } = facts;
  const { lastGood, sources, revision } = resource.status ?? {};
  const isGone = standing.state === "absent" && lastGood !== undefined && lastGood.revision === revision;
  const [recorded, restartRevision, until] = isGone
    ? [lastGood.revision]
    : partsOf(presentAnnotation(facts, target.lastGoodAnnotation));
  if (recorded === undefined) return undefined;
  const found = [lastGood?.sources, sources].find(
    (one) => one && revisions.isOf(recorded, madeFrom(facts, revisionSourcesOf(plan, one))),
  );
  return found && { revision: recorded, restartRevision, until, sources: found };
}

/** What is held back: as the Secret records it, or the status if there is no Secret. */
export function heldOf(facts: Facts): Held | undefined {
  const { resource, standing, target } = facts;
  const { heldBack } = resource.status ?? {};
  if (standing.state === "absent")
    return heldBack && heldBack.problem === undefined ? heldIn(heldBack.revision) : undefined;
  return heldIn(presentAnnotation(facts, target.heldBackAnnotation));
}

/**
 * The last good revision once the Secret is written: the present one, if its rollout has succeeded and other bytes follow.
 *
 * @param restartRevision of the Secret to be written
 */
export function lastGoodAfter(snapshot: Snapshot, restartRevision: string | undefined): LastGood | undefined {
  const { resource, revision } = snapshot;
  if (!asksForRevert(resource)) return undefined;
  const before = presentRestartRevision(snapshot);
  const isProven = revision !== undefined && isRolledOut(resource, before ?? revision);
  const isLeft = restartRevision !== before && isVerified(snapshot, pinnedOf(snapshot));
  if (isProven && isLeft)
    return { revision, restartRevision: before, until: undefined, sources: resource.status?.sources ?? [] };
  const known = lastGoodOf(snapshot);
  return known && { ...known, until: lostAt(known, snapshot) };
}

/** When the Secret lost the last good revision, for a write after that one. */
export function lostAt(
  { revision, until }: LastGood,
  { target, present, revision: now }: Pick<Facts, "target" | "present" | "revision">,
): string | undefined {
  return now === revision ? undefined : (until ?? (present && entryOf(target, present)?.time));
}

/** What is held back, for another write after the one that has set the Secret back. */
export function heldSince(held: Held, { target, present }: Pick<Facts, "target" | "present">): Held {
  return { ...held, until: held.until ?? (present && entryOf(target, present)?.time) };
}

/**
 * What of a version that was held back the Secret records on. A version that a person has approved is not taken back again;
 * pods that had started with another one are known as long as the bytes stay the same.
 */
export function heldAfter(
  snapshot: Snapshot,
  made: { from: Made; restartRevision: string | undefined },
): Held | undefined {
  const held = heldOf(snapshot);
  if (!held) return undefined;
  const { resource, revision, revisions } = snapshot;
  if (revisions.isOf(held.revision, made.from)) {
    const isApproved = revision === held.revision || approvalOf(resource) === held.token;
    return isApproved ? { ...held, restartRevision: undefined, since: undefined, until: undefined } : undefined;
  }
  return made.restartRevision === presentRestartRevision(snapshot) ? heldSince(held, snapshot) : undefined;
}

/** The annotations that record the last good revision, and what is held back. */
export function revertRecordsOf(
  { target }: Pick<Facts, "target">,
  lastGood: LastGood | undefined,
  held: Held | undefined,
): Record<string, string> {
  return {
    ...(lastGood
      ? { [target.lastGoodAnnotation]: joined(lastGood.revision, lastGood.restartRevision, lastGood.until) }
      : {}),
    ...(held ? { [target.heldBackAnnotation]: joined(held.token, held.restartRevision, held.since, held.until) } : {}),
  };
}

/** Whether every workload runs with a restart revision, as the status says. */
function isRolledOut({ status = {} }: SyncedSecret, revision: string): boolean {
  const condition = status.conditions?.find(({ type }) => type === rolledOut);
  return condition?.status === "True" && status.rolledOutRevision === revision;
}

/** Reads the annotation of what is held back. */
export function heldIn(text: string | undefined): Held | undefined {
  const [token, restartRevision, since, until] = partsOf(text);
  return token === undefined ? undefined : { token, revision: token.replace(again, ""), restartRevision, since, until };
}

const missing = "-";

/** The texts in an annotation. */
function partsOf(text: string | undefined): (string | undefined)[] {
  return (text?.split(" ") ?? []).map((part) => (part === missing || part === "" ? undefined : part));
}

/** An annotation with these texts. */
function joined(...parts: (string | undefined)[]): string {
  return parts.map((part) => part ?? missing).join(" ");
}
