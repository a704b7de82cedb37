import type { Identities } from "../aws/identity.ts";
import type { KubeClient } from "../kube/client/client.ts";
import { type KubeObject, secrets } from "../kube/resource.ts";
import { runWorkers } from "../kube/work-queue.ts";
import { aborted } from "../runtime/cancellation.ts";
import { endsWithin } from "../runtime/clock.ts";
import { CredentialsWatch } from "./connection/credentials-watch.ts";
import { ensureDefaultConnection } from "./connection/default.ts";
import { followRollouts } from "./rollout/start.ts";
import { collectLeftovers } from "./syncedsecret/act/startup-collection.ts";
import type { TermCaches } from "./watch-caches.ts";
import { Engine } from "./wiring.ts";
import type { Worlds } from "./worlds.ts";

/**
 * Milliseconds that the end of a term allows for work in flight: writes, calls to AWS, work left after these are
 * cancelled, and Events. Together with the audit's time the sum is below the five seconds that a stop may take.
 */
const endsWithinMs = { writes: 1_000, calls: 2_000, rest: 250, events: 750 };

/** The client and the identities of one term: both end with it. */
export interface TermClients {
  client: KubeClient;
  identities: Identities;
}

/** What only some terms have. */
export interface TermExtras {
  rolloutCaches?: TermCaches;
  isOthers?: (key: string) => boolean;
}

/**
 * The time for which this process works: until it stops, or until it no longer leads. Each term has its own engine. With
 * shards, each shard that this process owns is one term.
 */
export class WorkTerm {
  /** Resolves after the term's end when no write is under way. */
  readonly drained: Promise<void>;
  /** Resolves after the term's end to whether all work has ended. Rejects if a worker fails. */
  readonly ended: Promise<boolean>;
  readonly #worlds: Worlds;
  readonly #caches: TermCaches;
  readonly #isOthers: (key: string) => boolean;
  readonly #rolloutCaches: TermCaches | undefined;
  readonly #engine: Engine;

  /**
   * Begins the work. From the abort of `signal` on, no call to AWS and no write starts.
   *
   * @param caches filled
   * @param also.rolloutCaches all caches, if this term restarts workloads: one term does, for those of all shards
   * @param also.isOthers whether another term of this process works on a SyncedSecret
   */
  constructor(worlds: Worlds, caches: TermCaches, signal: AbortSignal, also: TermExtras = {}) {
    const { rolloutCaches, isOthers = () => false } = also;
    this.#worlds = worlds;
    this.#caches = caches;
    this.#isOthers = isOthers;
    this.#rolloutCaches = rolloutCaches;
    this.#engine = new Engine(worlds, caches.views);
    this.drained = new Promise((resolve) => {
      const stop = () => resolve(this.#engine.stop(endsWithinMs.writes));
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    });
    this.ended = this.#run(signal);
  }

  /** Whether a write is under way that has not become slow. */
  get isWriting(): boolean {
    return this.#engine.writes.isWriting;
  }

  /** Resolves when no reconcile of these SyncedSecrets is queued or under way. */
  async settled(keys: readonly string[]): Promise<void> {
    await this.#engine.syncedSecrets.settled(keys);
  }

  /** Reconciles a connection at once. */
  reconsider(connectionKey: string): void {
    this.#engine.queues.connections.add(connectionKey);
  }

  async #run(signal: AbortSignal): Promise<boolean> {
    const { identities, clock, metrics } = this.#worlds;
    const { recorder } = this.#engine;
    const working = this.#work(signal);
    await Promise.race([working, aborted(signal)]);
    await endsWithin(clock, working, endsWithinMs.calls);
    // Calls that hang fail now, so that the audit records each of them.
    identities.close();
    const isOver = await endsWithin(clock, working, endsWithinMs.rest);
    await recorder.flush(endsWithinMs.events);
    metrics.forgetObjects(this.#isOthers);
    return isOver;
  }

  async #work(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { client, log, clock, settings, metrics } = this.#worlds;
    const engine = this.#engine;
    const { queues, connections, syncedSecrets: resources, events, writer } = engine;
    this.#caches.listen(
      {
        syncedSecretChanged: (change, hasMoved) => resources.triggers.changed(change, hasMoved),
        secretChanged: (change) => engine.secretChanged(change),
        connectionChanged: (kind, change) => connections.changed(kind, change),
        namespaceChanged: (change) => engine.namespaceChanged(change),
      },
      signal,
    );
    if (settings.defaultConnectionRegion !== undefined) {
      void ensureDefaultConnection(settings.defaultConnectionRegion, { client, clock, log }, signal);
    }
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
    resources.triggers.begin();
    events.begin();
    // Immediately: no worker would process messages received from here on.
    if (signal.aborted) void events.stop();
    else signal.addEventListener("abort", () => void events.stop(), { once: true });
    if (!settings.readOnly) {
      const { everySyncedSecret, views } = this.#caches;
      void collectLeftovers({ secrets: views.secrets, resources: everySyncedSecret }, { client, writer, log });
    }
    const syncing = runWorkers(queues.syncedSecrets, {
      // ReconcileBounds limits them by namespace and connection: under a global limit, one tenant that hangs would
      // block all.
      concurrency: Number.POSITIVE_INFINITY,
      handle: (key) => resources.handle(key),
      failed: () => metrics.internalErrors.inc({ controller: "syncedsecret" }),
      signal,
      log,
    });
    await Promise.all([connecting, syncing, this.#rollOut(signal)]);
    await events.stop();
  }

  /** Restarts workloads, if this term does. */
  async #rollOut(signal: AbortSignal): Promise<void> {
    if (!this.#rolloutCaches || this.#worlds.settings.readOnly) return;
    const { recorder, writes } = this.#engine;
    const caches = this.#rolloutCaches;
    await followRollouts({ ...this.#worlds, caches, recorder, writes }, signal).run(signal);
  }

  /** Reconciles a connection when the Secret with its credentials changes or is deleted. */
  #watchCredentials(stop: AbortSignal, [namespace, name, signal]: [string, string, AbortSignal]): void {
    const { namespaces } = this.#worlds.settings;
    if (namespaces.length > 0 && !namespaces.includes(namespace)) return;
    const { connections } = this.#engine;
    const reflector = this.#caches.watchOne<KubeObject>(
      secrets,
      { namespace, name },
      {
        metadataOnly: true,
        trim: ({ metadata: { labels: _labels, annotations: _annotations, managedFields: _fields, ...metadata } }) => ({
          metadata,
        }),
        onChange: () => isFollowed && connections.secretChanged(namespace, name),
      },
    );
    // The initial state has just been read.
    let isFollowed = false;
    void reflector.synced.then(() => {
      isFollowed = true;
    });
    void reflector.run(AbortSignal.any([stop, signal]));
  }
}
