import { labels } from "../api/annotations.ts";
import type { AnyConnection } from "../api/any-connection.ts";
import type { SyncedSecret } from "../api/types.ts";
import type { KubeClient } from "../kube/client/client.ts";
import type { CacheBound } from "../kube/informer/cache-bound.ts";
import { Caches } from "../kube/informer/caches.ts";
import { Reflector } from "../kube/informer/reflector.ts";
import { type Change, keyOf } from "../kube/informer/store.ts";
import { stuckWatch } from "../kube/informer/stuck-watch.ts";
import {
  awsConnections,
  clusterAWSConnections,
  type KubeObject,
  namespaces as namespaceResource,
  type Resource,
  secrets,
  syncedSecrets,
} from "../kube/resource.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Clock, Random } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { secretBound, syncedSecretBound } from "./cache-bounds.ts";
import { trimNamespace, trimSecret, trimSyncedSecret } from "./trim.ts";
import type { Settings, Views } from "./worlds.ts";

export interface WatchCachesOptions {
  client: KubeClient;
  metrics: Metrics;
  clock: Clock;
  random: Random;
  log: Log;
  settings: Settings;
}

/** Receives the changes of the watch caches. */
export interface ChangeListener {
  /** @param hasMoved whether the SyncedSecret came from or went to another shard, and was neither created nor deleted */
  syncedSecretChanged(change: Change<SyncedSecret & KubeObject>, hasMoved?: boolean): void;
  secretChanged(change: Change<KubeObject>): void;
  connectionChanged(kind: "AWSConnection" | "ClusterAWSConnection", change: Change<AnyConnection & KubeObject>): void;
  namespaceChanged(change: Change<KubeObject>): void;
}

/** The caches of one term of work. */
export interface TermCaches {
  /** What the term works on. */
  readonly views: Views;
  /** All SyncedSecrets, also those of other shards. */
  readonly everySyncedSecret: Views["syncedSecrets"];
  listen(listener: ChangeListener, signal: AbortSignal): void;
  watchOne: WatchCaches["watchOne"];
}

interface WatchOptions<T> {
  fieldSelector?: string;
  labelSelector?: string;
  metadataOnly?: boolean;
  trim?: (object: T) => T;
  bound?: CacheBound<T>;
  onChange: (change: Change<T>) => void;
}

/** The operator's watch caches. They are filled and current on a standby, too. */
export class WatchCaches implements TermCaches {
  readonly #options: WatchCachesOptions;
  readonly views: {
    [name in keyof Views]: Views[name] extends { values(): Iterable<infer T extends KubeObject> } ? Caches<T> : never;
  };
  readonly #listeners = new Set<ChangeListener>();

  constructor(options: WatchCachesOptions) {
    this.#options = options;
    this.views = {
      syncedSecrets: this.#everywhere<SyncedSecret & KubeObject>(syncedSecrets, {
        trim: trimSyncedSecret,
        bound: syncedSecretBound,
        onChange: (change) => this.#tell((listener) => listener.syncedSecretChanged(change)),
      }),
      secrets: this.#everywhere<KubeObject>(secrets, {
        trim: trimSecret,
        bound: secretBound,
        labelSelector: `${labels.managed}=${labels.managedValue}`,
        metadataOnly: true,
        onChange: (change) => this.#tell((listener) => listener.secretChanged(change)),
      }),
      connections: this.#everywhere<AnyConnection & KubeObject>(
        awsConnections,
        { onChange: (change) => this.#tell((listener) => listener.connectionChanged("AWSConnection", change)) },
        options.settings.defaultConnection?.namespace,
      ),
      clusterConnections: this.#clusterWide<AnyConnection & KubeObject>(clusterAWSConnections, {
        onChange: (change) => this.#tell((listener) => listener.connectionChanged("ClusterAWSConnection", change)),
      }),
      namespaces: this.#clusterWide<KubeObject>(namespaceResource, {
        metadataOnly: true,
        trim: trimNamespace,
        onChange: (change) => this.#tell((listener) => listener.namespaceChanged(change)),
      }),
    };
  }

  get everySyncedSecret(): Views["syncedSecrets"] {
    return this.views.syncedSecrets;
  }

  /** Whether every cache has held a full state. Before, an absent object may only be unseen. */
  get areFilled(): boolean {
    return Object.values(this.views).every((cache) => cache.hasSynced);
  }

  /** Resolves when every cache has held a full state. */
  get filled(): Promise<unknown> {
    return Promise.all(Object.values(this.views).map((cache) => cache.synced));
  }

  /** Which watch is stuck; undefined if none is. */
  get stuck(): string | undefined {
    const progress = Object.values(this.views).flatMap((cache) => cache.progress);
    return stuckWatch(progress, this.#options.clock.monotonic());
  }

  /** Watches until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(Object.values(this.views).map((cache) => cache.run(signal)));
  }

  /** Passes each object as added, and from now on each change, until `signal` aborts. */
  listen(listener: ChangeListener, signal: AbortSignal): void {
    const { namespaces, connections, clusterConnections, secrets: ownSecrets, syncedSecrets: resources } = this.views;
    for (const change of additions(namespaces)) listener.namespaceChanged(change);
    for (const change of additions(connections)) listener.connectionChanged("AWSConnection", change);
    for (const change of additions(clusterConnections)) listener.connectionChanged("ClusterAWSConnection", change);
    for (const change of additions(ownSecrets)) listener.secretChanged(change);
    for (const change of additions(resources)) listener.syncedSecretChanged(change);
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener));
  }

  /** Watches one object apart from the caches. */
  watchOne<T extends KubeObject>(
    resource: Resource,
    { namespace, name }: { namespace: string; name: string },
    options: Omit<WatchOptions<T>, "fieldSelector">,
  ): Reflector<T> {
    return this.#reflector(resource, namespace, { ...options, fieldSelector: `metadata.name=${name}` });
  }

  /** Watches all objects of a namespace apart from the caches. */
  watchAll<T extends KubeObject>(resource: Resource, namespace: string, options: WatchOptions<T>): Reflector<T> {
    return this.#reflector(resource, namespace, options);
  }

  #tell(tell: (listener: ChangeListener) => void): void {
    for (const listener of this.#listeners) tell(listener);
  }

  /** A cache of every namespace that the operator works in, and one extra namespace. */
  #everywhere<T extends KubeObject>(resource: Resource, options: WatchOptions<T>, also?: string): Caches<T> {
    const { namespaces } = this.#options.settings;
    if (namespaces.length === 0) return new Caches([this.#reflector(resource, undefined, options)]);
    const scopes = new Set(also === undefined ? namespaces : [...namespaces, also]);
    return new Caches([...scopes].map((namespace) => this.#reflector(resource, namespace, options)));
  }

  /** A cache of a cluster-scoped resource; empty if the operator works in some namespaces only and has no access. */
  #clusterWide<T extends KubeObject>(resource: Resource, options: WatchOptions<T>): Caches<T> {
    const isEverywhere = this.#options.settings.namespaces.length === 0;
    return new Caches(isEverywhere ? [this.#reflector(resource, undefined, options)] : []);
  }

  #reflector<T extends KubeObject>(resource: Resource, namespace: string | undefined, options: WatchOptions<T>) {
    const { client, clock, random, metrics, log } = this.#options;
    const scope = namespace === undefined ? {} : { namespace };
    return new Reflector<T>({ source: client, resource, ...scope, ...options, clock, random, metrics, log });
  }
}

function* additions<T extends KubeObject>(cache: Caches<T>): Generator<Change<T>> {
  for (const object of cache.values()) yield { key: keyOf(object), before: undefined, after: object };
}
