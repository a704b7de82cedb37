import { labels } from "../api/annotations.ts";
import type { AnyConnection } from "../api/any-connection.ts";
import type { SyncedSecret } from "../api/types.ts";
import { AccessCheck } from "../kube/client/access-check.ts";
import type { CacheBound } from "../kube/informer/cache-bound.ts";
import { Caches } from "../kube/informer/caches.ts";
import { Reflector } from "../kube/informer/reflector.ts";
import type { Change } from "../kube/informer/store.ts";
import {
  awsConnections,
  clusterAWSConnections,
  type KubeObject,
  namespaces as namespaceResource,
  type Resource,
  secrets,
  syncedSecrets,
} from "../kube/resource.ts";
import { runWorkers } from "../kube/work-queue.ts";
import { endsWithin, sleep } from "../runtime/clock.ts";
import { secretBound, syncedSecretBound } from "./cache-bounds.ts";
import { CredentialsWatch } from "./connection/credentials-watch.ts";
import { collectLeftovers } from "./syncedsecret/act/startup-collection.ts";
import { trimNamespace, trimSecret, trimSyncedSecret } from "./trim.ts";
import { Engine } from "./wiring.ts";
import type { Worlds } from "./worlds.ts";

/**
 * Milliseconds that a stop allows for work in flight: writes, calls to AWS, work left after these are cancelled, and
 * Events. Together with the audit's time the sum is below the five seconds that a stop may take.
 */
const endsWithinMs = { writes: 1_000, calls: 2_000, rest: 250, events: 750 };

/** The operator: watches that fill the caches, and workers that process the engine's queues. */
export class Operator {
  readonly #worlds: Worlds;
  readonly #engine: Engine;
  readonly #access: AccessCheck;
  readonly #caches: {
    syncedSecrets: Caches<SyncedSecret & KubeObject>;
    secrets: Caches<KubeObject>;
    connections: Caches<AnyConnection & KubeObject>;
    clusterConnections: Caches<AnyConnection & KubeObject>;
    namespaces: Caches<KubeObject>;
  };

  constructor(worlds: Worlds) {
    this.#worlds = worlds;
    this.#caches = {
      syncedSecrets: this.#everywhere<SyncedSecret & KubeObject>(syncedSecrets, {
        trim: trimSyncedSecret,
        bound: syncedSecretBound,
        onChange: (change) => this.#engine.syncedSecrets.changed(change),
      }),
      secrets: this.#everywhere<KubeObject>(secrets, {
        trim: trimSecret,
        bound: secretBound,
        labelSelector: `${labels.managed}=${labels.managedValue}`,
        metadataOnly: true,
        onChange: (change) => this.#engine.secretChanged(change),
      }),
      connections: this.#everywhere<AnyConnection & KubeObject>(
        awsConnections,
        { onChange: (change) => this.#engine.connections.changed("AWSConnection", change) },
        worlds.settings.defaultConnection?.namespace,
      ),
      clusterConnections: this.#clusterWide<AnyConnection & KubeObject>(clusterAWSConnections, {
        onChange: (change) => this.#engine.connections.changed("ClusterAWSConnection", change),
      }),
      namespaces: this.#clusterWide<KubeObject>(namespaceResource, {
        metadataOnly: true,
        trim: trimNamespace,
        onChange: (change) => this.#engine.namespaceChanged(change),
      }),
    };
    this.#engine = new Engine(worlds, this.#caches);
    const { client, clock, log, settings } = worlds;
    this.#access = new AccessCheck({ client, clock, log, namespace: settings.namespaces[0] });
  }

  /**
   * Why the operator is not ready; undefined if it is. Before every cache is filled, an absent object may only be
   * unseen.
   */
  get unready(): string | undefined {
    if (!this.#isFilled) return "caches are being filled";
    return this.#access.isRefused ? "the API server rejects the operator's credentials" : undefined;
  }

  get #isFilled(): boolean {
    return Object.values(this.#caches).every((cache) => cache.hasSynced);
  }

  /**
   * Runs until `signal` aborts. From then on no call to AWS and no write starts. Resolves when work in flight has
   * ended, or after three seconds, with all AWS clients closed and the Events written.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { identities, clock } = this.#worlds;
    const { recorder } = this.#engine;
    const stop = () => this.#engine.stop(endsWithinMs.writes);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    const working = this.#work(signal);
    await Promise.race([working, aborted(signal)]);
    await endsWithin(clock, working, endsWithinMs.calls);
    // Calls that hang fail now, so that the audit records each of them.
    identities.close();
    await endsWithin(clock, working, endsWithinMs.rest);
    await recorder.flush(endsWithinMs.events);
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { client, log, clock, settings, metrics } = this.#worlds;
    const { queues, connections, syncedSecrets: resources, events, writer } = this.#engine;
    const watching = Promise.all([
      ...Object.values(this.#caches).map((cache) => cache.run(signal)),
      this.#access.run(signal),
    ]);
    while (!signal.aborted && !this.#isFilled) await sleep(clock, 20, signal);
    if (!signal.aborted) {
      log.info({}, "caches filled, starting workers");
      // Connections first: otherwise SyncedSecrets would be refused because their connection is not resolved yet.
      const connecting = runWorkers(queues.connections, {
        // Limited per namespace instead, as for SyncedSecrets.
        concurrency: Number.POSITIVE_INFINITY,
        handle: (key) => connections.handle(key),
        failed: () => metrics.internalErrors.inc({ controller: "connection" }),
        signal,
        log,
      });
      connections.watchCredentials(new CredentialsWatch((...secret) => this.#watchCredentials(signal, secret)));
      await connections.firstRound(clock, signal);
      resources.begin();
      events.begin();
      // Immediately: no worker would process messages received from here on.
      signal.addEventListener("abort", () => void events.stop(), { once: true });
      if (!settings.readOnly)
        void collectLeftovers(
          { secrets: this.#caches.secrets, resources: this.#caches.syncedSecrets },
          { client, writer, log },
        );
      const syncing = runWorkers(queues.syncedSecrets, {
        // ReconcileBounds limits them by namespace and connection: under a global limit, one tenant that hangs would
        // block all.
        concurrency: Number.POSITIVE_INFINITY,
        handle: (key) => resources.handle(key),
        failed: () => metrics.internalErrors.inc({ controller: "syncedsecret" }),
        signal,
        log,
      });
      await Promise.all([connecting, syncing]);
    }
    await Promise.all([watching, events.stop()]);
  }

  /** Reconciles a connection when the Secret with its credentials changes or is deleted. */
  #watchCredentials(stop: AbortSignal, [namespace, name, signal]: [string, string, AbortSignal]): void {
    const { namespaces } = this.#worlds.settings;
    if (namespaces.length > 0 && !namespaces.includes(namespace)) return;
    const { connections } = this.#engine;
    const reflector = this.#reflector<KubeObject>(secrets, namespace, {
      fieldSelector: `metadata.name=${name}`,
      metadataOnly: true,
      trim: ({ metadata: { labels: _labels, annotations: _annotations, managedFields: _fields, ...metadata } }) => ({
        metadata,
      }),
      onChange: () => isFollowed && connections.secretChanged(namespace, name),
    });
    // The initial state has just been read.
    let isFollowed = false;
    void reflector.synced.then(() => {
      isFollowed = true;
    });
    void reflector.run(AbortSignal.any([stop, signal]));
  }

  /** A cache of every namespace that the operator works in, and one extra namespace. */
  #everywhere<T extends KubeObject>(resource: Resource, options: WatchOptions<T>, also?: string): Caches<T> {
    const { namespaces } = this.#worlds.settings;
    if (namespaces.length === 0) return new Caches([this.#reflector(resource, undefined, options)]);
    const scopes = new Set(also === undefined ? namespaces : [...namespaces, also]);
    return new Caches([...scopes].map((namespace) => this.#reflector(resource, namespace, options)));
  }

  /** A cache of a cluster-scoped resource; empty if the operator works in some namespaces only and has no access. */
  #clusterWide<T extends KubeObject>(resource: Resource, options: WatchOptions<T>): Caches<T> {
    const isEverywhere = this.#worlds.settings.namespaces.length === 0;
    return new Caches(isEverywhere ? [this.#reflector(resource, undefined, options)] : []);
  }

  #reflector<T extends KubeObject>(resource: Resource, namespace: string | undefined, options: WatchOptions<T>) {
    const { client, clock, random, metrics, log } = this.#worlds;
    const scope = namespace === undefined ? {} : { namespace };
    return new Reflector<T>({ source: client, resource, ...scope, ...options, clock, random, metrics, log });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

interface WatchOptions<T> {
  fieldSelector?: string;
  labelSelector?: string;
  metadataOnly?: boolean;
  trim?: (object: T) => T;
  bound?: CacheBound<T>;
  onChange: (change: Change<T>) => void;
}
