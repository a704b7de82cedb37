import { annotationOf, annotations } from "../../../api/annotations.ts";
import { Failure } from "../../../runtime/failure.ts";
import { openingOf } from "../../windows.ts";
import { type Decision, refuse } from "./decision.ts";
import { madeElsewhere } from "./failover.ts";
import { approvedRevision, asksForRevert } from "./last-good.ts";
import { readPlaintexts, write } from "./make.ts";
import { unknownSources } from "./once.ts";
import type { PendingChange } from "./pending.ts";
import { isVerified, pinnedOf } from "./pinned.ts";
import { isIntact, isOnce, madeFrom, type Snapshot } from "./snapshot.ts";
import { changesAtMost, changesBetween, versionsOf } from "./source-changes.ts";

/** Sources of a Secret whose changes can wait: a status lists no more, so it does not tell what was applied. */
const sourcesAtMost = 100;

/** Whether a spec lets changes of the sources wait at times. */
function delaysChanges({ resource }: Pick<Snapshot, "resource">): boolean {
  const { windows, approval } = resource.spec.refresh ?? {};
  return (windows?.length ?? 0) > 0 || approval === "Manual";
}

/**
 * The change of the sources that must not be applied now; undefined if there is none. A first sync, a change of the spec
 * and a refresh that a person asks for never wait, an expiry only with `windowOverride: None`.
 */
export function pendingChangeOf(snapshot: Snapshot): PendingChange | undefined {
  const { resource, revisions, assessment, refresh, wall } = snapshot;
  // A Secret that was deleted is repaired, with the versions that were applied.
  const revision = snapshot.revision ?? resource.status?.revision;
  if (!delaysChanges(snapshot) || revision === undefined || refresh !== undefined || isOnce(resource)) return undefined;
  if (!revisions.isOfSpec(revision, resource.spec) || madeElsewhere(snapshot, revision) !== undefined) return undefined;
  const { unknown, problems, staleSources, sources, deleteSecret } = assessment;
  if (unknown.length + problems.length + staleSources.length > 0) return undefined;
  const from = madeFrom(snapshot, sources);
  if (revisions.isOf(revision, from) && !deleteSecret) return undefined;
  const { windows, approval, windowOverride = "Expiry" } = resource.spec.refresh!;
  if (windowOverride === "Expiry" && actsOnExpiry(snapshot)) return undefined;
  const pending = deleteSecret ? `delete.${revision}` : revisions.of(from);
  const approved = annotationOf(resource.metadata.annotations, annotations.approve);
  const needsApproval = approval === "Manual" && approvedRevision(resource) !== pending;
  const opening = openingOf(windows, wall);
  if (!needsApproval && opening.state === "open") return undefined;
  const all = changesBetween(pinnedOf(snapshot).sources, deleteSecret ? [] : sources);
  // The connection leads elsewhere, or binds otherwise: no source has changed.
  if (all.length === 0) return undefined;
  return {
    revision: pending,
    changes: all.slice(0, changesAtMost),
    count: all.length,
    needsApproval,
    approved,
    opening,
  };
}

/** Decides while a change waits: the Secret keeps its versions, and a repair reads them by number. */
export function decidePending(snapshot: Snapshot, pending: PendingChange): Decision {
  const { assessment, done, isOthers, plan } = snapshot;
  const pinned = pinnedOf(snapshot);
  // Another leader may have written the Secret from newer versions than this process knows.
  if (isOthers && !done.looked) return { kind: "look", references: plan.references };
  const areKnown = isVerified(snapshot, pinned);
  if (isIntact(snapshot)) return { kind: "keep", sources: areKnown ? pinned.sources : undefined, assessment, pending };
  if (!areKnown) return refuse(snapshot, assessment, [unknownSources(snapshot)]);
  if (!done.pinned) return { kind: "read", what: "pinnedVersions" };
  const unread = readPlaintexts({ ...snapshot, assessment: pinned });
  if (unread) return unread;
  if (done.pinned.problems.length > 0) return refuse(snapshot, assessment, done.pinned.problems);
  const decision = write(snapshot, pinned, done.pinned.values);
  return decision.kind === "apply" ? { ...decision, pending } : decision;
}

/** Refuses a spec that holds changes back for more sources than a status lists. */
export function hasTooManyToHold(snapshot: Snapshot): Decision | undefined {
  const { assessment, resource } = snapshot;
  const isConcerned = delaysChanges(snapshot) || asksForRevert(resource);
  if (!isConcerned || assessment.sources.length <= sourcesAtMost) return undefined;
  const message = `refresh.windows, refresh.approval: Manual and rollout.onFailure: Revert work with ${sourcesAtMost} sources at most, and there are ${assessment.sources.length}: split the SyncedSecret, or remove them`;
  return refuse(snapshot, assessment, [new Failure("InvalidData", "stalled", message)]);
}

/** Whether a source of the Secret has expired, and a policy drops its keys or deletes the Secret. */
function actsOnExpiry(snapshot: Snapshot): boolean {
  const { expired, deleteSecret } = snapshot.assessment;
  if (deleteSecret && "at" in deleteSecret) return true;
  const applied = new Set(versionsOf(pinnedOf(snapshot).sources).keys());
  return expired.some((name) => [...applied].some((source) => source === name || source.startsWith(`${name}:`)));
}
