import { annotationOf, annotations } from "../../../api/annotations.ts";
import { readyOf } from "../../../api/conditions.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import { markOf } from "../../refresh-mark.ts";

/** The mark of a refresh request (`kubectl annotate … keyferry.io/refresh=…`) that is not handled yet. */
export function pendingRefresh(resource: SyncedSecret): string | undefined {
  const asked = annotationOf(resource.metadata.annotations, annotations.refresh);
  if (asked === undefined) return undefined;
  const mark = markOf(asked);
  return mark === resource.status?.lastHandledRefresh ? undefined : mark;
}

/** Whether the status reports SourceGone for the current spec. */
export function reportedGone(resource: SyncedSecret): boolean {
  const ready = readyOf(resource.status);
  return ready?.reason === "SourceGone" && ready.observedGeneration === resource.metadata.generation;
}

/** Whether the status reports that a source does not exist. */
export function reportedMissing(resource: SyncedSecret): boolean {
  const reason = readyOf(resource.status)?.reason;
  return reason === "ParameterNotFound" || reason === "VersionNotFound";
}

/**
 * Whether a change needs a reconcile: of the spec, of what a person asks for, a deletion or a rollout that has failed, but
 * not of anything else in the status, or of labels.
 */
export function isAsking(before: SyncedSecret, after: SyncedSecret): boolean {
  const asks = ({ metadata: { annotations: own }, status }: SyncedSecret) =>
    JSON.stringify([own?.[annotations.refresh], own?.[annotations.approve], status?.failedRollout?.restartRevision]);
  return (
    before.metadata.uid !== after.metadata.uid ||
    before.metadata.generation !== after.metadata.generation ||
    before.metadata.deletionTimestamp !== after.metadata.deletionTimestamp ||
    asks(before) !== asks(after)
  );
}
