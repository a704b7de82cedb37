import { rolloutOf, withoutRollout, withRolloutOf } from "../../../api/rollout-status.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import type { KubeClient } from "../../../kube/client/client.ts";
import { KubeError } from "../../../kube/errors.ts";
import { type KubeObject, syncedSecrets } from "../../../kube/resource.ts";
import { applyStatus } from "../../../kube/write/status.ts";
import type { WriteLimiter } from "../../../kube/write/write-limiter.ts";
import { isSame } from "../../conditions.ts";
import type { RolloutStatus } from "../report/rollout-status.ts";

type Resource = SyncedSecret & KubeObject;

/**
 * The field manager of the rollout's part of a status. It differs from that of the rest, which may be written by another
 * replica: one shard alone runs rollouts.
 */
const rolloutManager = "keyferry-rollouts";

export interface RolloutStatusesOptions {
  client: Pick<KubeClient, "apply">;
  writes: Pick<WriteLimiter, "run">;
}

/** Writes the rollout's part of statuses, if it has changed, with the resourceVersion that it was decided on. */
export class RolloutStatuses {
  readonly #options: RolloutStatusesOptions;
  /** The last write of each SyncedSecret, which the watch may not have shown yet. */
  readonly #written = new Map<string, { base: string; version: string; status: Partial<RolloutStatus> }>();

  constructor(options: RolloutStatusesOptions) {
    this.#options = options;
  }

  /** The SyncedSecret with the last written status and version, even if the watch has not shown them yet. */
  latest(key: string, resource: Resource): Resource {
    const written = this.#written.get(key);
    const { metadata, status } = resource;
    if (!written || written.base !== metadata.resourceVersion) return resource;
    const known = { ...metadata, resourceVersion: written.version };
    return { ...resource, metadata: known, status: withRolloutOf(withoutRollout(status ?? {}), written.status) };
  }

  /**
   * @param resource that the status was decided on, from `latest`
   * @param status empty to remove the rollout's part
   * @returns false if the SyncedSecret has changed since: the status must be decided again
   * @throws KubeError if the API server rejects it for another reason
   */
  async write(key: string, resource: Resource, status: Partial<RolloutStatus>): Promise<boolean> {
    const { client, writes } = this.#options;
    if (isSame(rolloutOf(resource.status ?? {}), rolloutOf(status))) return true;
    const { namespace, resourceVersion } = resource.metadata;
    try {
      const write = () => applyStatus(client, syncedSecrets, resource, { status, fieldManager: rolloutManager });
      const written = await writes.run("bulk", namespace!, write, "status");
      this.#written.set(key, { base: resourceVersion!, version: written.resourceVersion!, status });
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.kind === "notFound") return true;
      if (error instanceof KubeError && error.kind === "conflict") return false;
      throw error;
    }
  }

  /** @param key of a deleted SyncedSecret */
  forget(key: string): void {
    this.#written.delete(key);
  }
}
