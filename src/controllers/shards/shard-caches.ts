import type { AnyConnection } from "../../api/any-connection.ts";
import type { SyncedSecret } from "../../api/types.ts";
import { type Change, keyOf } from "../../kube/informer/store.ts";
import type { KubeObject } from "../../kube/resource.ts";
import { connectionKey } from "../connection/resolve.ts";
import type { ChangeListener, TermCaches } from "../watch-caches.ts";
import type { Views } from "../worlds.ts";
import { FilteredView } from "./filtered-view.ts";

type Kind = "AWSConnection" | "ClusterAWSConnection";
type Connection = AnyConnection & KubeObject;
type Resource = SyncedSecret & KubeObject;

/** Whether a shard owns the connection under a key, and the SyncedSecrets that name it. */
export type Owns = (connectionKey: string) => boolean;

export interface ShardCachesOptions {
  all: TermCaches;
  /** May change only within `move`. */
  owns: Owns;
  /** The key of the connection that a SyncedSecret names. */
  connectionOf: (resource: SyncedSecret) => string;
}

/** The watch caches as one shard sees them: its own connections and SyncedSecrets, and all Secrets and namespaces. */
export class ShardCaches implements TermCaches {
  readonly views: Views;
  readonly everySyncedSecret: TermCaches["everySyncedSecret"];
  readonly watchOne: TermCaches["watchOne"];
  readonly #options: ShardCachesOptions;
  #listener: ChangeListener | undefined;

  constructor(options: ShardCachesOptions) {
    this.#options = options;
    const { all, owns, connectionOf } = options;
    const { syncedSecrets, secrets, connections, clusterConnections, namespaces } = all.views;
    this.views = {
      syncedSecrets: new FilteredView(syncedSecrets, (resource) => owns(connectionOf(resource))),
      secrets,
      connections: new FilteredView(connections, (connection) => owns(keyFor("AWSConnection", connection))),
      clusterConnections: new FilteredView(clusterConnections, (connection) =>
        owns(keyFor("ClusterAWSConnection", connection)),
      ),
      namespaces,
    };
    this.everySyncedSecret = syncedSecrets;
    this.watchOne = all.watchOne.bind(all);
  }

  listen(listener: ChangeListener, signal: AbortSignal): void {
    const { all, owns, connectionOf } = this.#options;
    this.#listener = listener;
    signal.addEventListener("abort", () => {
      this.#listener = undefined;
    });
    all.listen(
      {
        secretChanged: (change) => listener.secretChanged(change),
        namespaceChanged: (change) => listener.namespaceChanged(change),
        connectionChanged: (kind, change) => {
          const { namespace = "", name } = (change.after ?? change.before)!.metadata;
          if (owns(connectionKey(kind, namespace, name!))) listener.connectionChanged(kind, change);
        },
        syncedSecretChanged: ({ key, before, after }) => {
          const [was, is] = [before, after].map((resource) => resource !== undefined && owns(connectionOf(resource)));
          if (!was && !is) return;
          // If only one of two versions is ours, spec.connectionRef has changed.
          const hasMoved = before !== undefined && after !== undefined && was !== is;
          const change = { key, before: was ? before : undefined, after: is ? after : undefined };
          listener.syncedSecretChanged(change, hasMoved);
        },
      },
      signal,
    );
  }

  /**
   * Changes what the shard owns, and tells the listener what has come and gone.
   *
   * @param change changes what `owns` returns
   * @returns the SyncedSecrets that have gone
   */
  move(change: () => void): string[] {
    const { owns, connectionOf } = this.#options;
    const before = this.#owned(owns, connectionOf);
    change();
    const after = this.#owned(owns, connectionOf);
    for (const [key, resource] of before.resources) {
      if (!after.resources.has(key)) {
        this.#listener?.syncedSecretChanged({ key, before: resource, after: undefined }, true);
      }
    }
    for (const [key, one] of before.connections) if (!after.connections.has(key)) this.#tell(one, "gone");
    for (const [key, one] of after.connections) if (!before.connections.has(key)) this.#tell(one, "come");
    for (const [key, resource] of after.resources) {
      if (!before.resources.has(key)) {
        this.#listener?.syncedSecretChanged({ key, before: undefined, after: resource }, true);
      }
    }
    return [...before.resources.keys()].filter((key) => !after.resources.has(key));
  }

  #owned(owns: Owns, connectionOf: (resource: SyncedSecret) => string) {
    const connections = new Map<string, { kind: Kind; connection: Connection }>();
    for (const [key, one] of everyConnection(this.#options.all.views)) if (owns(key)) connections.set(key, one);
    const resources = new Map<string, Resource>();
    for (const resource of this.everySyncedSecret.values()) {
      if (owns(connectionOf(resource))) resources.set(keyOf(resource), resource);
    }
    return { connections, resources };
  }

  #tell({ kind, connection }: { kind: Kind; connection: Connection }, what: "come" | "gone"): void {
    const [before, after] = what === "come" ? [undefined, connection] : [connection, undefined];
    const change: Change<Connection> = { key: keyOf(connection), before, after };
    this.#listener?.connectionChanged(kind, change);
  }
}

/** All connections of both kinds, by their keys. */
export function* everyConnection({
  connections,
  clusterConnections,
}: Pick<Views, "connections" | "clusterConnections">): Generator<[string, { kind: Kind; connection: Connection }]> {
  for (const connection of connections.values()) {
    yield [keyFor("AWSConnection", connection), { kind: "AWSConnection", connection }];
  }
  for (const connection of clusterConnections.values()) {
    yield [keyFor("ClusterAWSConnection", connection), { kind: "ClusterAWSConnection", connection }];
  }
}

function keyFor(kind: Kind, { metadata }: Connection): string {
  return connectionKey(kind, metadata.namespace ?? "", metadata.name!);
}
