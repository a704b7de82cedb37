import { fieldManager } from "../../api/annotations.ts";
import type { SyncedSecret } from "../../api/types.ts";
import { KubeError } from "../../kube/errors.ts";
import type { KubeObject } from "../../kube/resource.ts";
import type { View } from "../../kube/store.ts";
import type { Log } from "../../runtime/log.ts";
import type { SecretWriter } from "./write.ts";

/** The field managers under which a SyncedSecret merged into a Secret: `keyferry-<uid>`. */
export function mergeManagers(secret: KubeObject): { manager: string; uid: string }[] {
  const prefix = `${fieldManager}-`;
  const found: { manager: string; uid: string }[] = [];
  for (const { manager, operation } of secret.metadata.managedFields ?? []) {
    if (operation !== "Apply" || !manager?.startsWith(prefix)) continue;
    found.push({ manager, uid: manager.slice(prefix.length) });
  }
  return found;
}

/**
 * Takes back what SyncedSecrets merged into the Secrets of others and left there, because they were deleted while
 * nobody listened. There is no finalizer, so this is done at every start.
 */
export async function sweepLeftovers(
  secrets: View<KubeObject>,
  resources: View<SyncedSecret & KubeObject>,
  writer: SecretWriter,
  log: Log,
): Promise<void> {
  const living = new Set<string>();
  for (const resource of resources.values()) living.add(resource.metadata.uid!);
  for (const secret of [...secrets.values()]) {
    for (const { manager, uid } of mergeManagers(secret)) {
      if (living.has(uid)) continue;
      const { namespace, name } = secret.metadata;
      try {
        await writer.sweep(namespace!, name!, manager);
      } catch (error) {
        const said = error instanceof KubeError ? error.message : "unknown error";
        log.warn(
          { secret: `${namespace}/${name}`, error: said },
          "what a deleted SyncedSecret left could not be taken back",
        );
      }
    }
  }
}
