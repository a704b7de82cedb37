import { fieldManager } from "../../api/annotations.ts";
import type { AnyConnection } from "../../api/any-connection.ts";
import { readyOf } from "../../api/conditions.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { KubeError } from "../../kube/errors.ts";
import type { LeaderView } from "../../kube/leases/lease-observer.ts";
import { awsConnections, clusterAWSConnections } from "../../kube/resource.ts";
import { applyStatus } from "../../kube/write/status.ts";

type Status = NonNullable<AnyConnection["status"]>;

export interface ConnectionStatusesOptions {
  client: Pick<KubeClient, "apply">;
  /** Leaves statuses of another operator alone: two operators would overwrite each other forever. */
  readOnly: boolean;
  /** With `readOnly`: whether another operator leads. */
  leader: LeaderView | undefined;
}

/** A write: the version that it was decided on, and its result. */
interface Written {
  base: string | undefined;
  version: string | undefined;
  status: Status;
}

/**
 * Writes the statuses of connections. Each write carries the resourceVersion that it was decided on, so that a process
 * that no longer leads overwrites no newer status.
 */
export class ConnectionStatuses {
  readonly #options: ConnectionStatusesOptions;
  /** The last write of each connection, which the watch may not have shown yet. */
  readonly #written = new Map<string, Written>();
  /** With `readOnly`: the status that this process last computed. */
  readonly #own = new Map<string, Status>();

  constructor(options: ConnectionStatusesOptions) {
    this.#options = options;
  }

  /** The connection with its last written status and version, even if the watch has not shown them yet. */
  latest(key: string, connection: AnyConnection): AnyConnection {
    const { metadata } = connection;
    const written = this.#written.get(key);
    if (!written?.version || written.base !== metadata.resourceVersion) return connection;
    return { ...connection, metadata: { ...metadata, resourceVersion: written.version }, status: written.status };
  }

  /**
   * @param connection that the status was decided on, from `latest`
   * @returns false if the connection has changed since: the status must be decided again
   * @throws KubeError if the API server rejects it for another reason
   */
  async write(key: string, connection: AnyConnection, status: Status): Promise<boolean> {
    if (this.#options.readOnly && !this.#isOwn(key, connection)) return true;
    this.#own.set(key, status);
    const { kind, metadata } = connection;
    const resource = kind === "AWSConnection" ? awsConnections : clusterAWSConnections;
    try {
      const written = await applyStatus(this.#options.client, resource, connection, { status, fieldManager });
      this.#written.set(key, { base: metadata.resourceVersion, version: written.resourceVersion, status });
      return true;
    } catch (error) {
      this.#written.delete(key);
      if (!(error instanceof KubeError)) throw error;
      if (error.kind === "conflict") return false;
      // The connection was deleted meanwhile.
      if (error.kind === "notFound") return true;
      throw error;
    }
  }

  /** Drops the state of a deleted connection. */
  forget(key: string): void {
    this.#written.delete(key);
    this.#own.delete(key);
  }

  /** Whether the status belongs to this process: no leader writes it, and no other writer that may still run. */
  #isOwn(key: string, { status }: AnyConnection): boolean {
    const { leader } = this.#options;
    if (leader?.state === "held") return false;
    const was = readyOf(status);
    if (!was) return true;
    const own = readyOf(this.#own.get(key));
    return own ? was.message === own.message && was.status === own.status : leader?.state === "free";
  }
}
