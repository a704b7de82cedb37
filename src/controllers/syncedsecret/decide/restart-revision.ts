import { annotationOf } from "../../../api/annotations.ts";
import { rolledOut } from "../../../api/rollout-status.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import { ownedBy } from "../../../kube/write/managed-fields.ts";
import type { RevisionSource } from "../trust/revision.ts";
import type { Intent } from "./decision.ts";
import { type Facts, madeFrom, type Snapshot } from "./snapshot.ts";

/** Whether the bytes of the present Secret decide if pods must be restarted: another revision, with a rollout. */
export function mustCompare(facts: Facts, sources: readonly RevisionSource[]): boolean {
  const { revisions, revision } = facts;
  return rollsOut(facts.resource) && revision !== undefined && !revisions.isOf(revision, madeFrom(facts, sources));
}

/**
 * The restart revision to write: the new revision if bytes change, otherwise the present one. A Secret that was deleted
 * and is made from other versions counts as changed, because its old bytes are not known. A first sync restarts nothing.
 */
export function restartRevisionOf(snapshot: Snapshot, made: Pick<Intent, "data" | "sources">): string | undefined {
  if (!rollsOut(snapshot.resource)) return undefined;
  const { resource, revisions, standing, done } = snapshot;
  const from = madeFrom(snapshot, made.sources);
  const { rolledOutRevision, revision } = resource.status ?? {};
  if (standing.state === "absent") {
    const condition = resource.status?.conditions?.find(({ type }) => type === rolledOut);
    // A restart that was still to be made went with the Secret.
    const isOpen = condition !== undefined && condition.status !== "True";
    const isRemade = rolledOutRevision !== undefined && !revisions.isOf(revision, from);
    return isRemade || isOpen ? revisions.of(from) : undefined;
  }
  // An edit may have set the new bytes already: pods that run since before still have others.
  const isEdited = snapshot.damage?.data === true;
  const isChanged = mustCompare(snapshot, made.sources) && (isEdited || !isSameData(made.data, done.live?.keys));
  return isChanged ? revisions.of(from) : presentRestartRevision(snapshot);
}

/** The restart revision in our Secret, unless another field manager has set it. */
export function presentRestartRevision({ present, target }: Pick<Facts, "present" | "target">): string | undefined {
  return presentAnnotation({ present, target }, target.restartRevisionAnnotation);
}

/** An annotation of our Secret, unless another field manager has set it. */
export function presentAnnotation(
  { present, target }: Pick<Facts, "present" | "target">,
  name: string,
): string | undefined {
  const isOurs = ownedBy(present?.managedFields, target.manager)?.annotations.has(name);
  return isOurs ? annotationOf(present?.annotations, name) : undefined;
}

/** Whether workloads are restarted when the bytes change. */
export function rollsOut({ spec }: SyncedSecret): boolean {
  return (spec.rollout?.mode ?? "None") !== "None";
}

function isSameData(data: ReadonlyMap<string, Uint8Array>, live: ReadonlyMap<string, Uint8Array> | undefined): boolean {
  if (live?.size !== data.size) return false;
  return [...data].every(([key, bytes]) => {
    const before = live.get(key);
    return before !== undefined && Buffer.compare(before, bytes) === 0;
  });
}
