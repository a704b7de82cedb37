import type { SyncedSecret } from "../../../api/types.ts";
import type { KubeClient } from "../../../kube/client/client.ts";
import { ifPresent } from "../../../kube/errors.ts";
import { isCut } from "../../../kube/informer/cache-bound.ts";
import type { View } from "../../../kube/informer/store.ts";
import { type KubeObject, type ObjectMeta, secrets, syncedSecrets } from "../../../kube/resource.ts";
import { trimSecret, trimSyncedSecret } from "../../trim.ts";

type Resource = SyncedSecret & KubeObject;

export interface LookupOptions {
  /** All SyncedSecrets, also those of other shards. */
  resources: View<Resource>;
  /** Metadata of the Secrets that carry our label. */
  secrets: View<KubeObject>;
  client: Pick<KubeClient, "get">;
}

/** SyncedSecrets and the metadata of their Secrets: from the caches, or live where a cache had no room. */
export class Lookup {
  readonly #options: LookupOptions;

  constructor(options: LookupOptions) {
    this.#options = options;
  }

  /** @throws KubeError if a live read fails for another reason than that the object does not exist */
  async resource(key: string): Promise<Resource | undefined> {
    const cached = this.#options.resources.get(key);
    if (!isCut(cached)) return cached;
    const { namespace, name } = cached!.metadata;
    const found = await ifPresent(this.#options.client.get<Resource>(syncedSecrets, namespace, name!));
    return found && trimSyncedSecret(found);
  }

  /** @throws KubeError as above */
  async secretOf({ metadata, spec }: Resource): Promise<ObjectMeta | undefined> {
    const { namespace } = metadata;
    const name = spec.target?.name ?? metadata.name!;
    const cached = this.#options.secrets.get(`${namespace}/${name}`);
    if (!isCut(cached)) return cached?.metadata;
    const { client } = this.#options;
    const found = await ifPresent(client.get<KubeObject>(secrets, namespace, name, { metadataOnly: true }));
    return found && trimSecret(found).metadata;
  }
}
