import type { SyncedSecret } from "../api/types.ts";
import type { Identities } from "../aws/identity.ts";
import { KeyWatch } from "../ciphertexts/key-watch.ts";
import type { KubeClient } from "../kube/client.ts";
import { EventRecorder } from "../kube/recorder.ts";
import type { KubeObject } from "../kube/resource.ts";
import type { Change, View } from "../kube/store.ts";
import { WorkQueue } from "../kube/work-queue.ts";
import { WriteLimiter } from "../kube/write-limiter.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { Observer } from "../parameters/observer.ts";
import { Outages } from "../parameters/outages.ts";
import { PathReader } from "../parameters/path-reader.ts";
import { QuotaRegistry } from "../parameters/quota-registry.ts";
import { RateLimiters } from "../parameters/rate-limiters.ts";
import { Reader } from "../parameters/reader.ts";
import type { Audit } from "../runtime/audit.ts";
import type { Clock, Random } from "../runtime/clock.ts";
import { ClockWatch } from "../runtime/clock-watch.ts";
import { namespaceOf } from "../runtime/fair-queue.ts";
import { laneOf } from "../runtime/lane.ts";
import type { Log } from "../runtime/log.ts";
import { Assembler } from "../values/assembler.ts";
import { Connections } from "./connection/connections.ts";
import { ConnectionController } from "./connection/controller.ts";
import { ConnectionReconciler } from "./connection/reconcile.ts";
import type { AnyConnection } from "./connection/resolve.ts";
import { EventHub } from "./events/hub.ts";
import { SecretView } from "./secret-view.ts";
import { SyncedSecretController } from "./syncedsecret/controller.ts";
import { isConcerned } from "./syncedsecret/failover.ts";
import { SyncedSecretReconciler } from "./syncedsecret/reconcile.ts";
import { ReconcileBounds } from "./syncedsecret/reconcile-bounds.ts";
import { Revisions } from "./syncedsecret/revision.ts";
import { VerifiedRevisions } from "./syncedsecret/verified-revisions.ts";
import { SecretWriter } from "./syncedsecret/write.ts";

export interface Settings {
  /** Namespaces to work in; empty for all, which requires a ClusterRole. */
  namespaces: readonly string[];
  /**
   * The AWSConnection that replaces the default ClusterAWSConnection if the operator cannot see cluster connections.
   */
  defaultConnection?: { namespace: string; name: string };
  /** If true, everything is checked and reported, and no Secret is written. */
  readOnly: boolean;
  /** Namespaces in which no Secret is written, whatever their SyncedSecrets request. */
  protectedNamespaces: ReadonlySet<string>;
  /** Domains of labels and annotations that targets may have although other programs act on them. */
  allowedTargetMetadata: readonly string[];
  /** Milliseconds between the two looks that confirm a deletion. */
  missingGraceMs: number;
  /** Whether each SyncedSecret has its own time series. */
  perObjectMetrics: boolean;
  /** The cluster's name in queue tags and bound ciphertexts; empty if not set. */
  clusterName: string;
  /** This process's name in Events. */
  instance: string;
}

/** The engine's dependencies: Kubernetes, AWS, clock and randomness. */
export interface Worlds {
  client: KubeClient;
  identities: Identities;
  metrics: Metrics;
  clock: Clock;
  random: Random;
  log: Log;
  settings: Settings;
  /** Records every decryption. Default: none. */
  audit?: Audit;
  /** Formats of revisions. Default: the formats of this release. */
  revisions?: Revisions;
}

/** The watch caches. The caller passes each change to the engine. */
export interface Views {
  syncedSecrets: View<SyncedSecret & KubeObject>;
  /** Metadata of the Secrets that carry our label. */
  secrets: View<KubeObject>;
  connections: View<AnyConnection & KubeObject>;
  clusterConnections: View<AnyConnection & KubeObject>;
  /** Metadata. */
  namespaces: View<KubeObject>;
}

/** The probe targets need not exist: NotFound or AccessDenied also proves that the service answers. */
const probed = { ssm: "/keyferry/probe", kms: "alias/keyferry-probe" };

/** Wires queues, controllers and the observer. Nothing starts by itself. */
export class Engine {
  readonly queues: { syncedSecrets: WorkQueue; connections: WorkQueue };
  readonly quotas: QuotaRegistry;
  readonly lanes: RateLimiters;
  readonly outages: Outages;
  readonly observer: Observer;
  readonly keys: KeyWatch;
  readonly assembler: Assembler;
  readonly recorder: EventRecorder;
  readonly writer: SecretWriter;
  readonly syncedSecrets: SyncedSecretController;
  readonly connections: ConnectionController;
  readonly events: EventHub;
  readonly #view: SecretView;
  readonly #worlds: Worlds;
  readonly #writes: WriteLimiter;
  readonly #stopping = new AbortController();

  constructor(worlds: Worlds, views: Views) {
    const { client, clock, random, metrics, log, settings, audit, revisions = new Revisions() } = worlds;
    const stopping = this.#stopping.signal;
    this.#worlds = worlds;
    const clockWatch = new ClockWatch(clock);
    const bounds = new ReconcileBounds((key) => {
      const resource = views.syncedSecrets.get(key);
      return resource && connections.keyFor(resource);
    });
    this.queues = {
      syncedSecrets: new WorkQueue({ clock, random, bounds }),
      connections: new WorkQueue({ clock, random }),
    };
    this.recorder = new EventRecorder({
      client,
      clock,
      log,
      reportingController: "keyferry.io/controller",
      reportingInstance: settings.instance,
    });
    const quotas = new QuotaRegistry(clock);
    this.quotas = quotas;
    this.outages = new Outages({
      clock,
      probe: (identity, service) => {
        const look = async () => {
          if (service === "ssm") await identity.ssm.getParameters([probed.ssm], { decrypt: false });
          else await identity.kms.describeKey(probed.kms);
        };
        // Highest priority: a probe queued behind calls to a service that does not answer would be sent minutes later.
        const isWanted = () => this.outages.isWatched(identity.key);
        return lanes.run(identity, "event", look, { service, isWanted });
      },
      changed: (key) => {
        this.queues.connections.add(key);
        for (const user of this.syncedSecrets.usersOf(key)) {
          if (isConcerned(views.syncedSecrets.get(user))) this.syncedSecrets.enqueue(user, "bulk");
        }
      },
    });
    const lanes = new RateLimiters({ quotas, clock, metrics, outages: this.outages });
    this.lanes = lanes;
    this.observer = new Observer({
      reader: new Reader(lanes),
      pathReader: new PathReader(lanes),
      lanes,
      quotas,
      clock,
      random,
      metrics,
      ...(audit ? { audit } : {}),
      clockWatch,
      missingGraceMs: settings.missingGraceMs,
      isBusy: () => this.queues.syncedSecrets.depth + this.queues.syncedSecrets.inWork > 0,
      notify: (key, lane) => this.syncedSecrets.enqueue(key, lane),
      isAnnounced: (reference) => this.events.isAnnounced(reference),
      missed: (reference) => this.events.missed(reference),
      stretched: ({ account, region }) => this.connections.stretched(account, region),
      seen: (identityKey) => {
        for (const key of connections.of(identityKey)) {
          this.queues.connections.add(key);
          this.syncedSecrets.expiriesSeen(key);
        }
      },
    });
    this.keys = new KeyWatch({
      describe: async (identity, keyId, lane, isWanted) =>
        (await lanes.run(identity, lane, () => identity.kms.describeKey(keyId), { service: "kms", isWanted }))!,
      ...{ clock, metrics, log },
      changed: (users, lane) => this.syncedSecrets.keysChanged(users, lane),
    });
    const connections = new Connections({
      namespaceLabels: (name) => views.namespaces.get(name)?.metadata.labels,
      exists: (key) => {
        const connection = connectionIn(views, key);
        return connection !== undefined && !connection.metadata.deletionTimestamp;
      },
      clusterName: settings.clusterName,
      isNamespaced: settings.namespaces.length > 0,
      ...(settings.defaultConnection ? { fallback: settings.defaultConnection } : {}),
    });
    const writes = new WriteLimiter({ clock, random });
    this.#writes = writes;
    this.assembler = new Assembler({ clock });
    this.#view = new SecretView(views.secrets, client, clock);
    this.writer = new SecretWriter(client, this.#view, writes);
    const { readOnly, protectedNamespaces, allowedTargetMetadata, perObjectMetrics } = settings;
    const verifiedRevisions = new VerifiedRevisions();
    this.syncedSecrets = new SyncedSecretController({
      clockWatch,
      resources: views.syncedSecrets,
      reconciler: new SyncedSecretReconciler({
        assembler: this.assembler,
        connections,
        observer: this.observer,
        lanes,
        audit,
        outages: this.outages,
        metrics,
        view: this.#view,
        writer: this.writer,
        readOnly,
        protectedNamespaces,
        allowedTargetMetadata,
        isTerminating: (name) => views.namespaces.get(name)?.metadata.deletionTimestamp !== undefined,
        verifiedRevisions,
        revisions,
        clock,
      }),
      connections,
      observer: this.observer,
      keys: this.keys,
      queue: this.queues.syncedSecrets,
      writer: this.writer,
      view: this.#view,
      writes,
      client,
      recorder: this.recorder,
      clock,
      random,
      metrics,
      log,
      perObjectMetrics,
      readOnly,
      verifiedRevisions,
      stopping,
    });
    this.events = new EventHub({
      observer: this.observer,
      keys: this.keys,
      syncedSecrets: this.syncedSecrets,
      clusterName: settings.clusterName,
      ...{ clock, random, metrics, log },
      changed: (key) => this.queues.connections.add(key),
    });
    const reconciler = new ConnectionReconciler({
      events: this.events,
      find: (key) => connectionIn(views, key),
      connections,
      quotas,
      stretch: (identityKey) => this.observer.stretch(identityKey),
      visibilityOf: (identityKey) => this.observer.expiries.visibilityOf(identityKey),
      limited: (account, region) => this.connections.stretched(account, region),
      identities: worlds.identities,
      clusterName: settings.clusterName,
      client,
      recorder: this.recorder,
      clock,
      log,
      changed: (key) => this.syncedSecrets.connectionChanged(key),
      outages: this.outages,
      usedFrom: (key) => new Set([...this.syncedSecrets.usersOf(key)].map(namespaceOf)),
      readOnly,
      stopping,
    });
    this.connections = new ConnectionController({
      ...{ reconciler, connections, metrics, log, stopping },
      queue: this.queues.connections,
      changed: (key) => this.syncedSecrets.connectionChanged(key),
    });
    metrics.atScrape(() => {
      for (const { priority, forMs } of this.queues.syncedSecrets.waits()) metrics.waits(laneOf(priority), 1, forMs);
      for (const { lane, depth, oldestMs } of writes.waits()) metrics.waits(lane, depth, oldestMs);
    });
    clockWatch.onJump(({ wallMs, suspendedMs }) => {
      for (const queue of [this.queues.syncedSecrets, this.queues.connections]) {
        queue.hasten(Math.max(Math.abs(wallMs), suspendedMs));
      }
    });
    this.queues.syncedSecrets.onIdle(() => this.observer.dropValues());
  }

  /**
   * Starts no further call to AWS and no further write. Waiting calls are rejected; calls in flight may finish. Later
   * errors are not reported, because the next process detects them again.
   *
   * @param writesMs milliseconds that writes in flight have to finish
   */
  stop(writesMs: number): void {
    const { client, identities } = this.#worlds;
    this.#stopping.abort();
    client.stop(writesMs);
    identities.stop();
    this.#writes.stop();
    this.lanes.stop();
    this.observer.stop();
    this.outages.stop();
    this.keys.stop();
    this.assembler.stop();
  }

  /** Handles a change of a Secret's metadata. */
  secretChanged(change: Change<KubeObject>): void {
    const { namespace, name } = (change.after ?? change.before)!.metadata;
    // Credentials may be the target of a SyncedSecret, so our own writes count as changes too.
    this.connections.secretChanged(namespace!, name!);
    if (this.#view.changed(change)) this.syncedSecrets.secretChanged(change);
    else if (!change.after) this.syncedSecrets.secretRemoved(change.key);
  }

  /** Handles a change of a namespace's metadata. Only its labels matter. */
  namespaceChanged({ key, before, after }: Change<KubeObject>): void {
    this.syncedSecrets.namespaceChanged(key, before?.metadata.labels, after?.metadata.labels);
  }
}

/** The connection under a key of `connectionKey`. */
function connectionIn(views: Views, key: string): (AnyConnection & KubeObject) | undefined {
  const [kind, namespace, name] = key.split("/") as [string, string, string];
  return kind === "AWSConnection" ? views.connections.get(`${namespace}/${name}`) : views.clusterConnections.get(name);
}
