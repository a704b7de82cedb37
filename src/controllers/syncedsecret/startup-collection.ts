import type { SyncedSecret } from "../../api/types.ts";
import type { KubeClient } from "../../kube/client.ts";
import { KubeError } from "../../kube/errors.ts";
import { type KubeObject, syncedSecrets } from "../../kube/resource.ts";
import type { View } from "../../kube/store.ts";
import type { Log } from "../../runtime/log.ts";
import { mergeManagers } from "../merge-index.ts";
import type { SecretWriter } from "./write.ts";

/**
 * Takes back what SyncedSecrets merged into the Secrets of others and left there, because they were deleted while
 * nobody listened. There is no finalizer, so this is done at every start.
 */
export async function collectLeftovers(
  secrets: View<KubeObject>,
  resources: View<SyncedSecret & KubeObject>,
  client: KubeClient,
  writer: SecretWriter,
  log: Log,
): Promise<void> {
  const living = new Set<string>();
  for (const resource of resources.values()) living.add(resource.metadata.uid!);
  for (const secret of [...secrets.values()]) {
    const left = mergeManagers(secret.metadata).filter(({ uid }) => !living.has(uid));
    if (left.length === 0) continue;
    const { namespace, name } = secret.metadata;
    try {
      // The first list may be older than the one of Secrets: what is about to be swept is asked for live.
      const { items } = await client.list<KubeObject>(syncedSecrets, { namespace: namespace!, metadataOnly: true });
      for (const { metadata } of items) living.add(metadata.uid!);
      for (const { manager, uid } of left) if (!living.has(uid)) await writer.release(namespace!, name!, manager);
    } catch (error) {
      const said = error instanceof KubeError ? error.message : "unknown error";
      const where = { secret: `${namespace}/${name}`, error: said };
      log.warn(where, "what a deleted SyncedSecret left could not be taken back; it is tried at the next start");
    }
  }
}
