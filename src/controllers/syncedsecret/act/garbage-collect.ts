import { fieldManager } from "../../../api/annotations.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import type { Failure } from "../../../runtime/failure.ts";
import { mergeManagers } from "../../merge-index.ts";
import { applierOf, type SecretView } from "../../secret-view.ts";
import type { Target } from "../plan/target.ts";
import { type Attempt, check } from "./attempt.ts";
import type { SecretWriter } from "./write.ts";
import { writeFailure } from "./write-failure.ts";

/**
 * Once the target is written, removes the Secret under an earlier target name, and the keys of an earlier creation
 * policy. The ownership of each Secret decides, not the current policy.
 *
 * @returns undefined when nothing is left; otherwise what prevents the removal
 */
export async function collectGarbage(
  { resource, target, attempt }: { resource: SyncedSecret; target: Target; attempt: Attempt },
  view: SecretView,
  writer: SecretWriter,
): Promise<undefined | "again" | Failure> {
  check(attempt);
  const { uid, namespace } = resource.metadata;
  const names = new Set(
    [...view.controlledBy(uid!), ...view.mergedBy(uid!)].map((key) => key.slice(key.indexOf("/") + 1)),
  );
  const last = resource.status?.secretRef?.name;
  if (last !== undefined) names.add(last);
  names.add(target.name);
  for (const name of names) {
    const isTarget = name === target.name;
    const metadata = view.known(namespace!, name) ?? (isTarget ? undefined : await view.look(namespace!, name));
    if (!metadata) continue;
    const isOwned = applierOf(metadata) === uid;
    if (!isTarget && isOwned) {
      const removed = await writer.remove(namespace!, name, metadata, attempt);
      if (removed.outcome === "again") return "again";
      if (removed.outcome === "refused") return removed.failure;
      continue;
    }
    const managers = mergeManagers(metadata).flatMap((merged) => (merged.uid === uid ? [merged.manager] : []));
    if (isOwned && target.policy === "Merge") managers.push(fieldManager);
    // In the target, the fields of the current manager stay.
    for (const manager of managers.filter((one) => !isTarget || one !== target.manager)) {
      try {
        await writer.release(namespace!, name, manager);
      } catch (error) {
        return writeFailure(error, `Secret ${namespace}/${name}`);
      }
    }
  }
  return undefined;
}
