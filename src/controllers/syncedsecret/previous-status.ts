import { annotations } from "../../api/annotations.ts";
import type { SyncedSecret } from "../../api/types.ts";
import { markOf } from "../refresh-mark.ts";

/** What `kubectl annotate … keyferry.io/refresh=…` asks for, until it has been done. */
export function pendingRefresh(resource: SyncedSecret): string | undefined {
  const { annotations: own } = resource.metadata;
  const asked = own && Object.hasOwn(own, annotations.refresh) ? own[annotations.refresh] : undefined;
  if (asked === undefined) return undefined;
  const mark = markOf(asked);
  return mark === resource.status?.lastHandledRefresh ? undefined : mark;
}

/** The condition Ready as it was last written. */
export function readyOf({ status }: SyncedSecret) {
  return status?.conditions?.find(({ type }) => type === "Ready");
}

/** Whether the present spec was said before to be in want of a source. */
export function reportedGone(resource: SyncedSecret): boolean {
  const ready = readyOf(resource);
  return ready?.reason === "SourceGone" && ready.observedGeneration === resource.metadata.generation;
}

/** Whether it was said that a source has never been there. */
export function reportedMissing(resource: SyncedSecret): boolean {
  const reason = readyOf(resource)?.reason;
  return reason === "ParameterNotFound" || reason === "VersionNotFound";
}

/** Whether a change asks for work: a spec, a refresh, a deletion. A status or a label does not. */
export function isAsking(before: SyncedSecret, after: SyncedSecret): boolean {
  const refresh = (resource: SyncedSecret) => resource.metadata.annotations?.[annotations.refresh];
  return (
    before.metadata.uid !== after.metadata.uid ||
    before.metadata.generation !== after.metadata.generation ||
    before.metadata.deletionTimestamp !== after.metadata.deletionTimestamp ||
    refresh(before) !== refresh(after)
  );
}
