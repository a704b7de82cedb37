import type { Failure } from "../../runtime/failure.ts";
import type { SecretView } from "../secret-view.ts";
import type { Gathered } from "./gathered.ts";
import { mergeManagers } from "./sweep.ts";
import type { SecretWriter } from "./write.ts";

/**
 * Removes what else is ours once the target is written: the Secret under the name, or the keys under the policy, that
 * the target had before. What each Secret is decides, not the present policy.
 *
 * @returns undefined when nothing is left; what stands in the way otherwise
 */
export async function removeOthers(
  { resource, target }: Gathered,
  view: SecretView,
  writer: SecretWriter,
): Promise<undefined | "again" | Failure> {
  const { uid, namespace } = resource.metadata;
  const names = new Set([...view.controlledBy(uid!)].map((key) => key.slice(key.indexOf("/") + 1)));
  const last = resource.status?.secretRef?.name;
  if (last !== undefined) names.add(last);
  names.delete(target.name);
  for (const name of names) {
    const metadata = view.known(namespace!, name) ?? (await view.look(namespace!, name));
    if (!metadata) continue;
    if (metadata.ownerReferences?.some((owner) => owner.controller && owner.uid === uid)) {
      const removed = await writer.remove(namespace!, name, metadata);
      if (removed.outcome === "again") return "again";
      if (removed.outcome === "refused") return removed.failure;
    }
    for (const merged of mergeManagers(metadata)) {
      if (merged.uid === uid) await writer.sweep(namespace!, name, merged.manager);
    }
  }
  return undefined;
}
