import type { SyncedSecret } from "../../../api/types.ts";
import type { KubeClient } from "../../../kube/client/client.ts";
import { KubeError } from "../../../kube/errors.ts";
import type { View } from "../../../kube/informer/store.ts";
import { type KubeObject, syncedSecrets } from "../../../kube/resource.ts";
import type { Log } from "../../../runtime/log.ts";
import { mergeManagers } from "../../merge-index.ts";
import type { SecretWriter } from "./write.ts";

/**
 * Removes keys that SyncedSecrets merged into other owners' Secrets and that stayed, because the SyncedSecrets were
 * deleted while no operator ran. Runs at every start, since there is no finalizer.
 */
export async function collectLeftovers(
  { secrets, resources }: { secrets: View<KubeObject>; resources: View<SyncedSecret & KubeObject> },
  { client, writer, log }: { client: KubeClient; writer: SecretWriter; log: Log },
): Promise<void> {
  const living = new Set<string>();
  for (const resource of resources.values()) living.add(resource.metadata.uid!);
  for (const secret of [...secrets.values()]) {
    const left = mergeManagers(secret.metadata).filter(({ uid }) => !living.has(uid));
    if (left.length === 0) continue;
    const { namespace, name } = secret.metadata;
    try {
      // The list of SyncedSecrets may be older than the list of Secrets: read live before removing keys.
      const { items } = await client.list<KubeObject>(syncedSecrets, { namespace: namespace!, metadataOnly: true });
      for (const { metadata } of items) living.add(metadata.uid!);
      for (const { manager, uid } of left) if (!living.has(uid)) await writer.release(namespace!, name!, manager);
    } catch (error) {
      const message = error instanceof KubeError ? error.message : "unknown error";
      const where = { secret: `${namespace}/${name}`, error: message };
      log.warn(where, "could not remove the keys of a deleted SyncedSecret, retrying at the next start");
    }
  }
}
