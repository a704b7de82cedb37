import { annotationOf, annotations } from "../../../api/annotations.ts";
import { rolledOutSince } from "../../../api/rollout-status.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import { entryOf } from "../trust/applied.ts";
import type { Made } from "../trust/revision.ts";
import { revisionSourcesOf } from "../trust/status-sources.ts";
import type { LastGood } from "./held-back.ts";
import { isVerified, pinnedOf } from "./pinned.ts";
import { presentAnnotation, presentRestartRevision, rollsOut } from "./restart-revision.ts";
import {
  again,
  formatHeld,
  formatLastGood,
  type Held,
  parseHeld,
  parseLastGood,
  withoutAgain,
} from "./revert-records.ts";
import { type Facts, isOnce, madeFrom, type Snapshot } from "./snapshot.ts";

/** Whether a failed rollout sets the Secret back. */
export function asksForRevert(resource: SyncedSecret): boolean {
  return rollsOut(resource) && resource.spec.rollout?.onFailure === "Revert" && !isOnce(resource);
}

/** The revision that the annotation keyferry.io/approve names; undefined without one. */
export function approvedRevision(resource: SyncedSecret): string | undefined {
  const approval = approvalOf(resource);
  return approval && withoutAgain(approval);
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
 * The last good revision: as our field manager has recorded it on the Secret, or as the status remembers the record. It
 * counts if the status lists sources that reproduce it.
 */
export function lastGoodOf(facts: Facts): LastGood | undefined {
  const { resource, target, revisions, plan } = facts;
  const { lastGood, sources } = resource.status ?? {};
  const recorded = parseLastGood(presentAnnotation(facts, target.lastGoodAnnotation) ?? lastGood?.record);
  const found = [lastGood?.sources, sources].find(
    (one) => one && revisions.isOf(recorded?.revision, madeFrom(facts, revisionSourcesOf(plan, one))),
  );
  return recorded && found && { ...recorded, sources: found };
}

/** What is held back: as our field manager has recorded it on the Secret, or as the status remembers the record. */
export function heldOf(facts: Facts): Held | undefined {
  const { resource, target } = facts;
  return parseHeld(presentAnnotation(facts, target.heldBackAnnotation) ?? resource.status?.heldBack?.record);
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
  const isProven = revision !== undefined && rolledOutSince(resource.status ?? {}, before ?? revision) !== undefined;
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
export function withUntil(held: Held, { target, present }: Pick<Facts, "target" | "present">): Held {
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
    const isApproved = revisions.isOf(revision, made.from) || approvalOf(resource) === held.token;
    return isApproved ? { ...held, restartRevision: undefined, since: undefined, until: undefined } : undefined;
  }
  return made.restartRevision === presentRestartRevision(snapshot) ? withUntil(held, snapshot) : undefined;
}

/** The annotations that record the last good revision, and what is held back. */
export function revertRecordsOf(
  { target }: Pick<Facts, "target">,
  lastGood: LastGood | undefined,
  held: Held | undefined,
): Record<string, string> {
  return {
    ...(lastGood ? { [target.lastGoodAnnotation]: formatLastGood(lastGood) } : {}),
    ...(held ? { [target.heldBackAnnotation]: formatHeld(held) } : {}),
  };
}
