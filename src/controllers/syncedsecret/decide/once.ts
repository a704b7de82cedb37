import { Failure } from "../../../runtime/failure.ts";
import { type Decision, refuse } from "./decision.ts";
import { readPlaintexts, write } from "./make.ts";
import { isVerified, pinnedOf } from "./pinned.ts";
import { type Facts, isIntact, isOnce, madeFrom, type Snapshot, wasCurrent } from "./snapshot.ts";
import type { Assessment } from "./sources.ts";

/**
 * Whether the Secret keeps the versions that it was made from: it was made from the current spec under Once, even if it
 * was deleted since. True also for a Secret of a newer release: replacing its versions could not be undone.
 */
export function keepsVersions({ resource, refresh, revision, revisions }: Facts): boolean {
  if (!isOnce(resource) || refresh !== undefined) return false;
  const made = revision ?? resource.status?.revision;
  return revisions.isOfSpec(made, resource.spec) || revisions.isForeign(made);
}

/** Whether it must be looked up which versions an intact Secret under Once has. */
export function areVersionsUnknown(facts: Facts): boolean {
  const { revisions, revision } = facts;
  return isIntact(facts) && !revisions.isForeign(revision) && !isVerified(facts, pinnedOf(facts));
}

/**
 * Decides on a Secret that keeps its versions. After an edit these versions are read again by number, if the revision of
 * the Secret, or of the status, matches the sources that the status lists.
 */
export function decideOnce(snapshot: Snapshot): Decision {
  const { revisions, revision, resource, done } = snapshot;
  const made = revision ?? resource.status?.revision;
  const isForeign = revisions.isForeign(made);
  const pinned = pinnedOf(snapshot);
  if (isIntact(snapshot) && (!isForeign || wasCurrent(snapshot))) return keep(snapshot, pinned);
  if (!isVerified(snapshot, pinned)) {
    return refuse(snapshot, pinned, [unknownSources(snapshot)]);
  }
  if (!done.pinned) return { kind: "read", what: "pinnedVersions" };
  if (done.pinned.problems.length > 0 && done.opened) {
    return refuse(snapshot, pinned, [...done.pinned.problems, ...done.opened.problems]);
  }
  const unread = readPlaintexts({ ...snapshot, assessment: pinned });
  if (unread) return unread;
  if (done.pinned.problems.length > 0) return refuse(snapshot, pinned, done.pinned.problems);
  return write(snapshot, pinned, done.pinned.values);
}

/** The failure of a Secret that must be repaired although it is not known from which versions it was made. */
export function unknownSources({ revisions, revision, resource, target }: Facts): Failure {
  const isForeign = revisions.isForeign(revision ?? resource.status?.revision);
  const message = isForeign
    ? `Secret ${target.name} was made by a newer release, and this release cannot tell from which sources: run the newer release, or set the annotation keyferry.io/refresh to make the Secret from the current versions`
    : `the sources of Secret ${target.name} are no longer known: change the spec, or set the annotation keyferry.io/refresh, to make the Secret from the current versions`;
  return new Failure("SourceGone", "wait", message);
}

/** Keeps an intact Secret; its sources are looked up once if the status does not list them. */
function keep(snapshot: Snapshot, pinned: Assessment): Decision {
  const { done, plan, revisions, revision, assessment } = snapshot;
  if (isVerified(snapshot, pinned)) return { kind: "keep", sources: pinned.sources, assessment: undefined };
  if (!areVersionsUnknown(snapshot)) return { kind: "keep", sources: undefined, assessment: undefined };
  if (!done.looked) return { kind: "look", references: plan.references };
  const isOf = revisions.isOf(revision, madeFrom(snapshot, assessment.sources));
  return { kind: "keep", sources: isOf ? assessment.sources : [], assessment: undefined };
}
