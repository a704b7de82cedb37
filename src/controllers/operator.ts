import PQueue from "p-queue";
import { labels } from "../api/annotations.ts";
import type { SyncedSecret } from "../api/types.ts";
import type { Identities } from "../aws/identity.ts";
import { Caches } from "../kube/caches.ts";
import type { KubeClient } from "../kube/client.ts";
import { EventRecorder } from "../kube/recorder.ts";
import { Reflector } from "../kube/reflector.ts";
import {
  awsConnections,
  clusterAWSConnections,
  type KubeObject,
  namespaces as namespaceResource,
  type Resource,
  secrets,
  syncedSecrets,
} from "../kube/resource.ts";
import type { Change } from "../kube/store.ts";
import { runWorkers, WorkQueue } from "../kube/work-queue.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { Lanes } from "../parameters/lanes.ts";
import { Observer } from "../parameters/observer.ts";
import { PathReader } from "../parameters/path-reader.ts";
import { Reader } from "../parameters/reader.ts";
import { type Clock, type Random, sleep } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { Connections } from "./connection/connections.ts";
import { ConnectionController } from "./connection/controller.ts";
import { ConnectionReconciler } from "./connection/reconcile.ts";
import type { AnyConnection } from "./connection/resolve.ts";
import { SecretView } from "./secret-view.ts";
import { SyncedSecretController } from "./syncedsecret/controller.ts";
import { SyncedSecretReconciler } from "./syncedsecret/reconcile.ts";
import { sweepLeftovers } from "./syncedsecret/sweep.ts";
import { trimSecret, trimSyncedSecret } from "./trim.ts";
import { SecretWriter } from "./syncedsecret/write.ts";

export interface OperatorSettings {
  /** Namespaces to work in; empty for all, which takes a ClusterRole. */
  namespaces: readonly string[];
  /** The AWSConnection that plays the default's part where cluster connections cannot be seen. */
  defaultConnection?: { namespace: string; name: string };
  readOnly: boolean;
  protectedNamespaces: ReadonlySet<string>;
  missingGraceMs: number;
  /** Whether each SyncedSecret has series of its own. */
  perObjectMetrics: boolean;
  /** Name of this process in events. */
  instance: string;
}

export interface OperatorOptions {
  client: KubeClient;
  identities: Identities;
  metrics: Metrics;
  clock: Clock;
  random: Random;
  log: Log;
  settings: OperatorSettings;
}

/** Writes to the API server under way at once. More than the server's own share of a priority level only queue there. */
const writesAtOnce = 32;
/** Reconciles under way at once: most of them wait for AWS, and none may wait behind another's silence. */
const reconcilesAtOnce = 500;
const connectionsAtOnce = 20;

/** The operator: caches, queues, controllers and the observer, put together. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #observer: Observer;
  readonly #recorder: EventRecorder;
  readonly #queues: { syncedSecrets: WorkQueue; connections: WorkQueue };
  readonly #caches: {
    syncedSecrets: Caches<SyncedSecret & KubeObject>;
    secrets: Caches<KubeObject>;
    connections: Caches<AnyConnection & KubeObject>;
    clusterConnections: Caches<AnyConnection & KubeObject>;
    namespaces: Caches<KubeObject>;
  };
  readonly #view: SecretView;
  readonly #writer: SecretWriter;
  readonly #syncedSecretController: SyncedSecretController;
  readonly #connectionController: ConnectionController;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { client, clock, random, metrics, log, settings } = options;
    this.#queues = {
      syncedSecrets: new WorkQueue({ clock, random }),
      connections: new WorkQueue({ clock, random }),
    };
    this.#recorder = new EventRecorder({
      client,
      clock,
      log,
      reportingController: "keyferry.io/controller",
      reportingInstance: settings.instance,
    });
    const lanes = new Lanes(metrics);
    this.#observer = new Observer({
      reader: new Reader(lanes),
      pathReader: new PathReader(lanes),
      clock,
      random,
      metrics,
      missingGraceMs: settings.missingGraceMs,
      notify: (key) => this.#syncedSecretController.enqueue(key, "bulk"),
    });
    const isClusterWide = settings.namespaces.length === 0;
    this.#caches = {
      syncedSecrets: this.#cache(syncedSecrets, {
        trim: trimSyncedSecret,
        onChange: (change) => this.#syncedSecretController.changed(change),
      }),
      secrets: this.#cache<KubeObject>(secrets, {
        trim: trimSecret,
        labelSelector: `${labels.managed}=${labels.managedValue}`,
        metadataOnly: true,
        onChange: (change) => this.#secretChanged(change),
      }),
      connections: this.#cache(awsConnections, {
        onChange: (change) => this.#connectionController.changed("AWSConnection", change),
      }),
      clusterConnections: new Caches(
        isClusterWide
          ? [
              this.#reflector<AnyConnection & KubeObject>(clusterAWSConnections, undefined, {
                onChange: (change) => this.#connectionController.changed("ClusterAWSConnection", change),
              }),
            ]
          : [],
      ),
      namespaces: new Caches(
        isClusterWide
          ? [
              this.#reflector<KubeObject>(namespaceResource, undefined, {
                metadataOnly: true,
                onChange: (change) => this.#namespaceChanged(change),
              }),
            ]
          : [],
      ),
    };
    const connections = new Connections({
      namespaceLabels: (name) => this.#caches.namespaces.get(name)?.metadata.labels,
      ...(settings.defaultConnection ? { fallback: settings.defaultConnection } : {}),
    });
    const writes = new PQueue({ concurrency: writesAtOnce });
    this.#view = new SecretView(this.#caches.secrets, client, clock);
    this.#writer = new SecretWriter(client, this.#view, writes);
    const reconciler = new SyncedSecretReconciler({
      connections,
      observer: this.#observer,
      view: this.#view,
      writer: this.#writer,
      readOnly: settings.readOnly,
      protectedNamespaces: settings.protectedNamespaces,
    });
    this.#syncedSecretController = new SyncedSecretController({
      resources: this.#caches.syncedSecrets,
      reconciler,
      connections,
      observer: this.#observer,
      queue: this.#queues.syncedSecrets,
      writer: this.#writer,
      writes,
      client,
      recorder: this.#recorder,
      clock,
      random,
      metrics,
      log,
      perObjectMetrics: settings.perObjectMetrics,
    });
    const connectionReconciler = new ConnectionReconciler({
      views: { AWSConnection: this.#caches.connections, ClusterAWSConnection: this.#caches.clusterConnections },
      connections,
      identities: options.identities,
      client,
      recorder: this.#recorder,
      clock,
      log,
      changed: (key) => this.#syncedSecretController.connectionChanged(key),
    });
    this.#connectionController = new ConnectionController(connectionReconciler, this.#queues.connections, log);
    this.#queues.syncedSecrets.onIdle(() => this.#observer.endWave());
  }

  /** Whether every cache has been filled: before that, what is absent might only not have been seen. */
  get isReady(): boolean {
    return Object.values(this.#caches).every((cache) => cache.hasSynced);
  }

  /** How many keys wait or are worked on; 0 when all is done for now. */
  get busy(): number {
    const { syncedSecrets: a, connections: b } = this.#queues;
    return a.depth + a.inWork + b.depth + b.inWork;
  }

  /** Works until `signal` aborts, and returns when what was under way has ended. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#options;
    const watching = Promise.all(Object.values(this.#caches).map((cache) => cache.run(signal)));
    await this.#untilReady(signal);
    if (!signal.aborted) {
      log.info({}, "caches are filled; work begins");
      // Connections first: a SyncedSecret that comes before its connection would be found wanting for nothing.
      const connecting = runWorkers(this.#queues.connections, {
        concurrency: connectionsAtOnce,
        handle: (key) => this.#connectionController.handle(key),
        signal,
        log,
      });
      await this.#connectionController.firstRound(clock, signal);
      this.#syncedSecretController.begin();
      if (!this.#options.settings.readOnly) {
        void sweepLeftovers(this.#caches.secrets, this.#caches.syncedSecrets, this.#writer, log);
      }
      const syncing = runWorkers(this.#queues.syncedSecrets, {
        concurrency: reconcilesAtOnce,
        handle: (key) => this.#syncedSecretController.handle(key),
        signal,
        log,
      });
      await Promise.all([connecting, syncing]);
    }
    await watching;
    this.#observer.stop();
    await this.#recorder.flush();
  }

  async #untilReady(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.isReady) await sleep(this.#options.clock, 20, signal);
  }

  #secretChanged(change: Change<KubeObject>): void {
    if (!this.#view.changed(change)) return;
    this.#syncedSecretController.secretChanged(change);
    const { namespace, name } = (change.after ?? change.before)!.metadata;
    this.#connectionController.secretChanged(namespace!, name!);
  }

  #namespaceChanged({ key, before, after }: Change<KubeObject>): void {
    const labelsOf = (object: KubeObject | undefined) => JSON.stringify(object?.metadata.labels ?? {});
    if (labelsOf(before) !== labelsOf(after)) this.#syncedSecretController.namespaceChanged(key);
  }

  #cache<T extends KubeObject>(resource: Resource, options: WatchOptions<T>): Caches<T> {
    const { namespaces } = this.#options.settings;
    const scopes = namespaces.length === 0 ? [undefined] : namespaces;
    return new Caches(scopes.map((namespace) => this.#reflector(resource, namespace, options)));
  }

  #reflector<T extends KubeObject>(resource: Resource, namespace: string | undefined, options: WatchOptions<T>) {
    const { client, clock, random, metrics, log } = this.#options;
    return new Reflector<T>({
      source: client,
      resource,
      ...(namespace === undefined ? {} : { namespace }),
      ...options,
      clock,
      random,
      metrics,
      log,
    });
  }
}

interface WatchOptions<T> {
  labelSelector?: string;
  metadataOnly?: boolean;
  trim?: (object: T) => T;
  onChange: (change: Change<T>) => void;
}

