import type { AnyConnection } from "../api/any-connection.ts";
import type { Identity } from "../aws/identity.ts";
import { RateLimiters } from "../aws/ratelimit/limiters.ts";
import { Outages } from "../aws/ratelimit/outages.ts";
import type { Service } from "../aws/ratelimit/quota-registry.ts";
import { QuotaRegistry } from "../aws/ratelimit/quota-registry.ts";
import { KeyWatch } from "../ciphertexts/key-watch.ts";
import { EventRecorder } from "../kube/events/recorder.ts";
import type { Change } from "../kube/informer/store.ts";
import type { KubeObject } from "../kube/resource.ts";
import { WorkQueue } from "../kube/work-queue.ts";
import { WriteLimiter } from "../kube/write/write-limiter.ts";
import { Observer } from "../parameters/observer.ts";
import { PathReader } from "../parameters/read/path-reader.ts";
import { Reader } from "../parameters/read/reader.ts";
import type { IsWanted } from "../runtime/cancellation.ts";
import { ClockWatch } from "../runtime/clock-watch.ts";
import { namespaceOf } from "../runtime/fair-queue.ts";
import { laneOf } from "../runtime/lane.ts";
import { noTracer } from "../runtime/tracing.ts";
import { Assembler } from "../values/assembler.ts";
import { Connections } from "./connection/connections.ts";
import { ConnectionController } from "./connection/controller.ts";
import { ConnectionReconciler } from "./connection/reconcile.ts";
import { ServiceAccounts } from "./connection/service-accounts.ts";
import { EventHub } from "./events/hub.ts";
import { SecretView } from "./secret-view.ts";
import { SecretWriter } from "./syncedsecret/act/write.ts";
import { SyncedSecretController } from "./syncedsecret/controller.ts";
import { isConcerned } from "./syncedsecret/decide/failover.ts";
import { SyncedSecretReconciler } from "./syncedsecret/reconcile.ts";
import { ReconcileBounds } from "./syncedsecret/reconcile-bounds.ts";
import { Revisions } from "./syncedsecret/trust/revision.ts";
import { VerifiedRevisions } from "./syncedsecret/trust/verified-revisions.ts";
import { newTopics, type Topics } from "./topics.ts";
import type { Views, Worlds } from "./worlds.ts";

/** The probe targets need not exist: NotFound or AccessDenied also proves that the service answers. */
const probed = { ssm: "/keyferry/probe", kms: "alias/keyferry-probe" };

/** Wires queues, controllers and the observer. Nothing starts by itself. */
export class Engine {
  readonly queues: { syncedSecrets: WorkQueue; connections: WorkQueue };
  readonly quotas: QuotaRegistry;
  readonly limiters: RateLimiters;
  readonly outages: Outages;
  readonly observer: Observer;
  readonly keys: KeyWatch;
  readonly assembler: Assembler;
  readonly recorder: EventRecorder;
  readonly writer: SecretWriter;
  readonly syncedSecrets: SyncedSecretController;
  readonly connections: ConnectionController;
  readonly events: EventHub;
  readonly serviceAccounts: ServiceAccounts;
  readonly #view: SecretView;
  readonly #worlds: Worlds;
  readonly writes: WriteLimiter;
  readonly #stopping = new AbortController();
  readonly #endMeasuring: () => void;

  constructor(worlds: Worlds, views: Views) {
    const {
      client,
      clock,
      random,
      metrics,
      log,
      settings,
      audit,
      revisions = new Revisions(),
      tracer = noTracer,
    } = worlds;
    const stopping = this.#stopping.signal;
    this.#worlds = worlds;
    const topics = newTopics();
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
      probe: (identity, service, isWanted) => probe(limiters, identity, service, isWanted),
      changed: topics.regionChanged.publish,
    });
    const limiters = new RateLimiters({ quotas, clock, metrics, outages: this.outages });
    this.limiters = limiters;
    this.observer = new Observer({
      reader: new Reader(limiters),
      pathReader: new PathReader(limiters),
      limiters,
      quotas,
      clock,
      random,
      metrics,
      ...(audit ? { audit } : {}),
      clockWatch,
      missingGraceMs: settings.missingGraceMs,
      isBusy: () => this.queues.syncedSecrets.depth + this.queues.syncedSecrets.inWork > 0,
      notify: topics.sourcesChanged.publish,
      isAnnounced: (reference) => this.events.isAnnounced(reference),
      missed: topics.changeMissed.publish,
      stretched: topics.stretchChanged.publish,
      seen: topics.visibilityChanged.publish,
    });
    this.keys = new KeyWatch({
      describe: async (identity, keyId, lane, isWanted) => {
        const permit = await limiters.acquire({ service: "kms", identity, lane, isWanted });
        return identity.kms.describeKey(permit, keyId);
      },
      ...{ clock, metrics, log },
      changed: topics.keysChanged.publish,
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
    this.writes = writes;
    this.assembler = new Assembler({ clock });
    this.#view = new SecretView(views.secrets, client, clock, topics.secretChanged.publish);
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
        limiters,
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
      tracer,
      perObjectMetrics,
      readOnly,
      leader: worlds.leader,
      verifiedRevisions,
      stopping,
    });
    this.events = new EventHub({
      observer: this.observer,
      keys: this.keys,
      syncedSecrets: this.syncedSecrets,
      clusterName: settings.clusterName,
      ...{ clock, random, metrics, log },
      changed: topics.eventsChanged.publish,
    });
    this.serviceAccounts = new ServiceAccounts({
      ...{ client, clock, random, log },
      changed: topics.serviceAccountChanged.publish,
    });
    const reconciler = new ConnectionReconciler({
      serviceAccounts: this.serviceAccounts,
      events: this.events,
      find: (key) => connectionIn(views, key),
      connections,
      quotas,
      stretch: (identityKey) => this.observer.stretch(identityKey),
      visibilityOf: (identityKey) => this.observer.expiries.visibilityOf(identityKey),
      limited: (account, region) => topics.stretchChanged.publish({ account, region }),
      identities: worlds.identities,
      clusterName: settings.clusterName,
      client,
      recorder: this.recorder,
      clock,
      log,
      changed: topics.grantsChanged.publish,
      outages: this.outages,
      usedFrom: (key) => new Set([...this.syncedSecrets.triggers.usersOf(key)].map(namespaceOf)),
      readOnly,
      leader: worlds.leader,
      stopping,
      placement: worlds.placement,
    });
    this.connections = new ConnectionController({
      ...{ reconciler, connections, metrics, log, stopping },
      queue: this.queues.connections,
      changed: topics.grantsChanged.publish,
    });
    this.#connect(topics, connections, views);
    worlds.leader?.onFree(() => {
      for (const key of connections.keys()) this.queues.connections.add(key);
      for (const key of views.syncedSecrets.keys()) this.syncedSecrets.triggers.enqueue(key, "bulk");
    });
    this.#endMeasuring = metrics.atScrape(() => {
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

  /** Subscribes each part to what concerns it. */
  #connect(topics: Topics, connections: Connections, { syncedSecrets }: Views): void {
    const { connections: connectionQueue } = this.queues;
    topics.sourcesChanged.subscribe((key, lane) => this.syncedSecrets.triggers.enqueue(key, lane));
    topics.secretChanged.subscribe((change) => this.syncedSecrets.triggers.secretChanged(change));
    topics.keysChanged.subscribe((users, lane) => this.syncedSecrets.triggers.keysChanged(users, lane));
    topics.grantsChanged.subscribe((key) => this.syncedSecrets.triggers.connectionChanged(key));
    topics.serviceAccountChanged.subscribe((account) => this.syncedSecrets.triggers.serviceAccountChanged(account));
    topics.eventsChanged.subscribe((key) => connectionQueue.add(key));
    topics.changeMissed.subscribe((reference) => this.events.missed(reference));
    topics.stretchChanged.subscribe(({ account, region }) => this.connections.stretched(account, region));
    topics.regionChanged.subscribe((key) => {
      connectionQueue.add(key);
      for (const user of this.syncedSecrets.triggers.usersOf(key)) {
        if (isConcerned(syncedSecrets.get(user))) this.syncedSecrets.triggers.enqueue(user, "bulk");
      }
    });
    topics.visibilityChanged.subscribe((identityKey) => {
      for (const key of connections.of(identityKey)) {
        connectionQueue.add(key);
        this.syncedSecrets.triggers.expiriesSeen(key);
      }
    });
  }

  /**
   * Starts no further call to AWS and no further write. Waiting calls are rejected; calls in flight may finish. Later
   * errors are not reported, because the next process detects them again.
   *
   * @param writesMs milliseconds that writes in flight have to finish
   * @returns resolves when no write is under way
   */
  stop(writesMs: number): Promise<void> {
    const { client, identities } = this.#worlds;
    this.#stopping.abort();
    this.#endMeasuring();
    const drained = client.stop(writesMs);
    identities.stop();
    this.writes.stop();
    this.limiters.stop();
    this.observer.stop();
    this.outages.stop();
    this.keys.stop();
    this.serviceAccounts.stop();
    this.assembler.stop();
    return drained;
  }

  /** Handles a change of a Secret's metadata. */
  secretChanged(change: Change<KubeObject>): void {
    const { namespace, name } = (change.after ?? change.before)!.metadata;
    // Credentials may be the target of a SyncedSecret, so our own writes count as changes too.
    this.connections.secretChanged(namespace!, name!);
    this.#view.changed(change);
    if (!change.after) this.syncedSecrets.triggers.secretRemoved(change.key);
  }

  /** Handles a change of a namespace's metadata. Only its labels matter. */
  namespaceChanged({ key, before, after }: Change<KubeObject>): void {
    this.syncedSecrets.triggers.namespaceChanged(key, before?.metadata.labels, after?.metadata.labels);
  }
}

/** The connection under a key of `connectionKey`. */
function connectionIn(views: Views, key: string): (AnyConnection & KubeObject) | undefined {
  const [kind, namespace, name] = key.split("/") as [string, string, string];
  return kind === "AWSConnection" ? views.connections.get(`${namespace}/${name}`) : views.clusterConnections.get(name);
}

/** One cheap call that shows whether a service answers. Rejects with what the call threw. */
async function probe(limiters: RateLimiters, identity: Identity, service: Service, isWanted: IsWanted): Promise<void> {
  // Highest priority: a probe queued behind calls to a service that does not answer would be sent minutes later.
  const turn = { identity, lane: "event", isWanted } as const;
  if (service === "kms") {
    const permit = await limiters.acquire({ service: "kms", ...turn });
    await identity.kms.describeKey(permit, probed.kms);
  } else {
    const permit = await limiters.acquire({ service: "ssm", ...turn });
    await identity.ssm.getParameters(permit, () => [probed.ssm], { decrypt: false });
  }
}
