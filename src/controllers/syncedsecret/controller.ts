import type { SyncedSecret } from "../../api/types.ts";
import type { KeyWatch } from "../../ciphertexts/key-watch.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { KubeError } from "../../kube/errors.ts";
import type { EventRecorder } from "../../kube/events/recorder.ts";
import { isCut } from "../../kube/informer/cache-bound.ts";
import type { Change, View } from "../../kube/informer/store.ts";
import { type KubeObject, syncedSecrets } from "../../kube/resource.ts";
import type { ServiceAccountName } from "../../kube/service-account-tokens.ts";
import type { WorkQueue } from "../../kube/work-queue.ts";
import type { WriteLimiter } from "../../kube/write/write-limiter.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Observer } from "../../parameters/observer.ts";
import { Canceled } from "../../runtime/cancellation.ts";
import type { Clock, Random } from "../../runtime/clock.ts";
import type { ClockWatch } from "../../runtime/clock-watch.ts";
import { defectOf, internalError } from "../../runtime/defect.ts";
import { type Lane, laneOf, priorityOf } from "../../runtime/lane.ts";
import type { Log } from "../../runtime/log.ts";
import { isSame } from "../conditions.ts";
import type { Connections } from "../connection/connections.ts";
import { defaultPollIntervalMs } from "../connection/reconcile.ts";
import { allowsNamespace, isOfServiceAccounts } from "../connection/resolve.ts";
import { applierOf, type SecretView } from "../secret-view.ts";
import { trimSyncedSecret } from "../trim.ts";
import { type Attempt, Attempts } from "./act/attempt.ts";
import { DeletedResources } from "./act/deleted-resources.ts";
import type { SecretWriter } from "./act/write.ts";
import { hasFailed, type Outcome } from "./decide/outcome.ts";
import { asksForExpiry } from "./decide/snapshot.ts";
import { nextExpiryOf } from "./decide/source-metadata.ts";
import { Indexes } from "./indexes.ts";
import type { SyncedSecretReconciler } from "./reconcile.ts";
import { RepairBackoff } from "./repair-backoff.ts";
import { isKeyNews, keysInUse } from "./report/key-conditions.ts";
import { measure } from "./report/measure.ts";
import { staleAfterMs } from "./report/stale-after.ts";
import { StatusWriter } from "./report/status-writer.ts";
import { summarize } from "./report/summarize.ts";
import { isAsking, readyOf } from "./trust/previous-status.ts";
import type { VerifiedRevisions } from "./trust/verified-revisions.ts";

type Resource = SyncedSecret & KubeObject;
/** Labels of a namespace; undefined if they are not known. */
type Labels = Readonly<Record<string, string>> | undefined;

export interface SyncedSecretControllerOptions {
  resources: View<Resource>;
  reconciler: SyncedSecretReconciler;
  connections: Connections;
  observer: Observer;
  keys: Pick<KeyWatch, "depend" | "findings">;
  queue: WorkQueue;
  writer: SecretWriter;
  view: SecretView;
  writes: WriteLimiter;
  client: KubeClient;
  recorder: EventRecorder;
  clock: Clock;
  clockWatch: ClockWatch;
  random: Random;
  metrics: Metrics;
  log: Log;
  perObjectMetrics: boolean;
  /** No Secret is written. */
  readOnly: boolean;
  verifiedRevisions: VerifiedRevisions;
  /** Aborted at shutdown: no new work begins, and failures are not reported. */
  stopping: AbortSignal;
}

/** Milliseconds after which a cause that sends no event is rechecked: an enabled key, a granted role. */
const slowRetryMs = 300_000;
/** SyncedSecrets that are checked against their connection's grant before the event loop runs other work. */
const recheckedAtOnce = 100;
/** Milliseconds after which a status that another client has edited is repaired. */
const statusRepairMs = 2_000;

/** Decides when SyncedSecrets are reconciled, and reports each outcome as status, events and metrics. */
export class SyncedSecretController {
  readonly #options: SyncedSecretControllerOptions;
  readonly #indexes: Indexes;
  readonly #statuses: StatusWriter;
  readonly #deleted: DeletedResources;
  readonly #repairs: RepairBackoff;
  readonly #attempts: Attempts;
  /** Callers that wait for a SyncedSecret to be settled. */
  readonly #settling = new Map<string, (() => void)[]>();
  readonly #startedAt: number;
  #begun = false;

  constructor(options: SyncedSecretControllerOptions) {
    this.#options = options;
    this.#indexes = new Indexes((resource) => options.connections.keyFor(resource));
    this.#statuses = new StatusWriter(options);
    this.#deleted = new DeletedResources(options);
    const { connections, resources } = options;
    this.#attempts = new Attempts({ connections, find: (key) => resources.get(key) });
    this.#repairs = new RepairBackoff(options.clock);
    this.#startedAt = options.clockWatch.elapsed();
  }

  /** Ends the initial list: from now on a change has the lane interactive instead of bulk. */
  begin(): void {
    this.#begun = true;
  }

  /** Enqueues a SyncedSecret, in the more urgent of this lane and the lane that it waits in or is delayed in. */
  enqueue(key: string, lane: Lane): void {
    const { queue } = this.#options;
    this.#statuses.overtake(key, lane);
    queue.add(key, Math.max(priorityOf(lane), queue.delayedPriority(key) ?? 0));
  }

  /**
   * Resolves when no reconcile of these SyncedSecrets is queued or under way.
   *
   * @returns whether none of them is being retried
   */
  async settled(keys: readonly string[]): Promise<boolean> {
    const { queue } = this.#options;
    const isOpen = (key: string) => queue.isWaiting(key) || queue.isInWork(key);
    await Promise.all(
      keys.filter(isOpen).map(
        (key) =>
          new Promise<void>((resolve) => {
            this.#settling.set(key, [...(this.#settling.get(key) ?? []), resolve]);
          }),
      ),
    );
    return keys.every((key) => queue.attempts(key) === 0);
  }

  /** Handles a change from the watch of SyncedSecrets; our own status writes are ignored. */
  changed({ key, before, after }: Change<Resource>): void {
    const last = before && this.#statuses.latest(key, before);
    const isOwnWrite = this.#statuses.shown(key, after);
    this.#indexes.changed(key, before, after);
    if (before && before.metadata.generation !== after?.metadata.generation) this.#revoke(key);
    if (before && after && !isAsking(before, after)) {
      // Another client's edit of the status is repaired after a delay, which limits how often.
      const isForeign = !isOwnWrite && !isSame(before.status, after.status);
      if (isForeign) this.#options.queue.addAfter(key, statusRepairMs);
      return;
    }
    if (before && !after) this.#deleted.note(key, last ?? before);
    this.enqueue(key, this.#begun ? "interactive" : "bulk");
  }

  /** Handles a change of a Secret; the caller filters out our own writes. */
  secretChanged({ key, before, after }: Change<KubeObject>): void {
    const namespace = key.slice(0, key.indexOf("/"));
    for (const object of [before, after]) {
      // Any client may write an owner reference: it counts only if we applied it for an existing SyncedSecret.
      const uid = applierOf(object?.metadata);
      const owner = object?.metadata.ownerReferences?.find((one) => one.uid === uid);
      if (uid === undefined || !owner) continue;
      const resource = `${namespace}/${owner.name}`;
      if (this.#options.resources.get(resource)?.metadata.uid === uid) this.#repair(resource);
    }
    for (const dependent of this.#indexes.writersOf(key)) this.#repair(dependent);
  }

  /** Handles the removal of a Secret: another SyncedSecret may be waiting for its name. */
  secretRemoved(key: string): void {
    const dependents = [...this.#indexes.writersOf(key)];
    const isAwaited = (dependent: string) => {
      const cached = this.#options.resources.get(dependent);
      return cached !== undefined && readyOf(this.#statuses.latest(dependent, cached))?.reason === "SecretConflict";
    };
    for (const dependent of dependents) if (isAwaited(dependent)) this.enqueue(dependent, "drift");
  }

  /** Enqueues a SyncedSecret after a change of its Secret by others, delayed by the repair backoff. */
  #repair(key: string): void {
    const waitMs = this.#repairs.waitMs(key);
    if (waitMs === 0) this.enqueue(key, "drift");
    else this.#options.queue.addAfter(key, waitMs, priorityOf("drift"));
  }

  /** Handles new findings about KMS keys: enqueues the users whose status differs from the findings. */
  keysChanged(users: readonly string[], lane: Lane): void {
    const { resources, keys } = this.#options;
    for (const key of users) {
      const cached = resources.get(key);
      if (cached && isKeyNews(keys.findings(key), this.#statuses.latest(key, cached))) this.enqueue(key, lane);
    }
  }

  /** Enqueues every user of a connection, and stops reads that the connection no longer allows. */
  connectionChanged(connectionKey: string): void {
    this.#recheck([...this.#indexes.usersOf(connectionKey)]);
  }

  /** The SyncedSecrets that name a connection. */
  usersOf(connectionKey: string): Iterable<string> {
    return this.#indexes.usersOf(connectionKey);
  }

  /** Enqueues the users of a connection that set `refresh.whenExpired`. */
  expiriesSeen(connectionKey: string): void {
    const asks = (key: string) => asksForExpiry(this.#options.resources.get(key));
    for (const key of [...this.#indexes.usersOf(connectionKey)].filter(asks)) this.enqueue(key, "bulk");
  }

  /** Enqueues the SyncedSecrets of a namespace whose connection allows the namespace only before or only after. */
  namespaceChanged(namespace: string, before: Labels, after: Labels): void {
    const { connections, resources } = this.#options;
    const differs = (connectionKey: string) => {
      const connection = connections.get(connectionKey)?.connection;
      if (!connection) return true;
      return allowsNamespace(connection, namespace, before) !== allowsNamespace(connection, namespace, after);
    };
    const verdicts = new Map<string, boolean>();
    const isConcerned = (key: string) => {
      const connectionKey = connections.keyFor(resources.get(key)!);
      const known = verdicts.get(connectionKey) ?? differs(connectionKey);
      verdicts.set(connectionKey, known);
      return known;
    };
    const all = [...this.#indexes.in(namespace)];
    this.#recheck(all.filter((key) => resources.has(key) && isConcerned(key)));
  }

  /** Enqueues the SyncedSecrets of a namespace that read by its ServiceAccount of this name. */
  serviceAccountChanged({ namespace, name }: ServiceAccountName): void {
    const { connections, resources } = this.#options;
    const isConcerned = (key: string) => {
      const resource = resources.get(key);
      const connection = resource && connections.get(connections.keyFor(resource))?.connection;
      if (!connection || !isOfServiceAccounts(connection)) return false;
      return connection.spec.auth?.serviceAccountRef?.name === name;
    };
    this.#recheck([...this.#indexes.in(namespace)].filter(isConcerned));
  }

  /** Enqueues SyncedSecrets, and stops reads that are no longer allowed. */
  #recheck(keys: readonly string[]): void {
    for (const key of keys) this.enqueue(key, "bulk");
    const { queue } = this.#options;
    const isBusy = (key: string) => queue.isInWork(key);
    for (const key of keys.filter(isBusy)) this.#revokeIfDenied(key);
    // Checking thousands at once would block the event loop.
    const rest = keys.filter((key) => !isBusy(key));
    const next = () => {
      for (const key of rest.splice(0, recheckedAtOnce)) this.#revokeIfDenied(key);
      if (rest.length > 0) setImmediate(next);
    };
    next();
  }

  #revokeIfDenied(key: string): void {
    if (!this.#attempts.recheck(key)) this.#pause(key);
  }

  /** Handles a new generation or a deletion: cancels the attempt under way, and pauses polls. */
  #revoke(key: string): void {
    const { observer, resources } = this.#options;
    this.#attempts.recheck(key);
    const resource = resources.get(key);
    if (!resource || resource.metadata.deletionTimestamp || resource.spec.suspend) this.#pause(key);
    else observer.pause(key);
  }

  /** Stops all AWS calls for a SyncedSecret until its next reconcile. */
  #pause(key: string): void {
    const { observer, keys, resources } = this.#options;
    if (resources.has(key)) observer.pause(key);
    else observer.depend(key, []);
    keys.depend(key, undefined, []);
  }

  /** Reconciles one SyncedSecret. */
  async handle(key: string): Promise<void> {
    const { resources, queue } = this.#options;
    const lane = laneOf(queue.priorityInWork(key) ?? 0);
    const isCollected = await this.#deleted.collect(key);
    const cached = resources.get(key);
    if (!cached) {
      if (isCollected) this.#forget(key);
      else queue.retry(key);
      this.#settle(key);
      return;
    }
    if (!isCollected) queue.addAfter(key, slowRetryMs);
    try {
      const resource = this.#statuses.latest(key, cached);
      const isOver = await this.#reconcile(key, resource, this.#attempts.begin(key, resource, lane));
      if (isOver && !queue.isWaiting(key)) this.#settle(key);
    } catch (error) {
      if (!(error instanceof Canceled)) throw error;
      this.enqueue(key, lane);
    } finally {
      this.#attempts.end(key);
    }
  }

  #settle(key: string): void {
    const waiting = this.#settling.get(key) ?? [];
    this.#settling.delete(key);
    for (const resolve of waiting) resolve();
  }

  /**
   * @returns whether the reconcile is over; false if it restarts at once because something changed meanwhile
   * @throws Canceled if the attempt's basis has changed
   */
  async #reconcile(key: string, cached: Resource, attempt: Attempt): Promise<boolean> {
    const { lane } = attempt;
    const resource = isCut(cached) ? await this.#whole(key, cached) : cached;
    if (!resource) return true;
    const { reconciler, queue, metrics, clock, log, stopping } = this.#options;
    const startedAt = clock.monotonic();
    const endWaiting = lane === "interactive" ? this.#statuses.tellWhenItLasts(key, resource) : async () => resource;
    let outcome: Outcome;
    let latest = resource;
    try {
      outcome = await reconciler.reconcile(resource, attempt);
    } catch (error) {
      if (stopping.aborted) return true;
      if (error instanceof Canceled) throw error;
      if (error instanceof KubeError) {
        log.warn({ syncedSecret: key, error: error.message }, "reconcile failed, retrying");
        metrics.syncs.inc({ result: "error", reason: "" });
        queue.retry(key, priorityOf(lane));
        return true;
      }
      outcome = this.#defect(key, resource, error);
    } finally {
      latest = await endWaiting();
    }
    if (stopping.aborted && outcome.kind !== "current") return true;
    metrics.syncDuration.observe((clock.monotonic() - startedAt) / 1_000);
    if (outcome.kind === "nothing") {
      queue.forget(key);
      return true;
    }
    const isWritten = "wrote" in outcome && outcome.wrote !== undefined;
    if (lane === "drift" && (isWritten || hasFailed(outcome) || outcome.kind === "again")) this.#repairs.note(key);
    if (outcome.kind === "again") {
      queue.retry(key, priorityOf(lane));
      return false;
    }
    try {
      await this.#conclude(key, latest, outcome, attempt);
    } catch (error) {
      if (stopping.aborted || error instanceof KubeError || error instanceof Canceled) throw error;
      await this.#conclude(key, latest, this.#defect(key, resource, error), attempt);
    }
    return true;
  }

  /** Reads a SyncedSecret that the cache has cut; undefined if it is deleted, has changed or cannot be read now. */
  async #whole(key: string, { metadata }: Resource): Promise<Resource | undefined> {
    const { client, queue, log } = this.#options;
    try {
      const live = trimSyncedSecret(await client.get<Resource>(syncedSecrets, metadata.namespace!, metadata.name!));
      // Deleted, recreated or changed meanwhile: the watch will show it.
      const isSame = live.metadata.uid === metadata.uid && live.metadata.generation === metadata.generation;
      return isSame ? this.#statuses.latest(key, live) : undefined;
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      if (error.kind === "notFound") return undefined;
      log.warn({ syncedSecret: key, error: error.message }, "could not read a SyncedSecret, retrying");
      queue.retry(key);
      return undefined;
    }
  }

  /** The outcome of an unexpected error: the status reports InternalError, and the Secret stays. */
  #defect(key: string, { status }: Resource, error: unknown): Extract<Outcome, { kind: "failed" }> {
    const { metrics, log } = this.#options;
    const defect = defectOf(error);
    log.error({ syncedSecret: key, ...defect }, "the operator itself failed on a SyncedSecret, retrying");
    metrics.internalErrors.inc({ controller: "syncedsecret" });
    const hasGoodSecret = status?.secretRef !== undefined;
    return { kind: "failed", problems: [internalError(defect)], hasGoodSecret };
  }

  async #conclude(
    key: string,
    resource: Resource,
    outcome: Exclude<Outcome, { kind: "again" | "nothing" }>,
    attempt: Attempt,
  ): Promise<void> {
    const { lane } = attempt;
    const { queue, clock, clockWatch, recorder, random, keys, connections, observer, stopping } = this.#options;
    const grant = connections.grant(resource);
    const identity = grant.state === "granted" ? grant.granted.identity : undefined;
    // A key of a refused spec is not watched.
    const isRefused = hasFailed(outcome) && outcome.problems.some(({ reason }) => reason === "NotAllowed");
    keys.depend(key, identity, identity && !isRefused ? keysInUse(resource, outcome, identity.region) : []);
    const summary = summarize({
      resource,
      outcome,
      // Without a connection no key is checked, and KeyAtRisk stays as it is.
      ...(identity ? { keys: keys.findings(key) } : {}),
      now: clock.now(),
      elapsed: clockWatch.elapsed(),
      staleAfterMs: staleAfterMs(resource, {
        floorMs: grant.state === "granted" ? grant.granted.pollIntervalMs : defaultPollIntervalMs,
        factorOf: (askedMs) => observer.longestFactor(key, askedMs),
      }),
      startedAt: this.#startedAt,
      slowRetryMs,
      repairsApartMs: this.#repairs.spacingMs(key),
    });
    measure(this.#options, key, outcome, summary);
    const { apiVersion, kind, metadata } = resource;
    const { name, namespace, uid } = metadata;
    const regarding = { apiVersion: apiVersion!, kind: kind!, namespace: namespace!, name: name!, uid: uid! };
    for (const event of summary.events) recorder.record(regarding, { ...event, action: "Sync" });
    if (stopping.aborted) return;
    // The status may wait for all Secrets of bulk work: meanwhile others are reconciled.
    queue.release(key);
    if (summary.statusChanged && !(await this.#statuses.write(key, resource, summary.status, attempt))) {
      queue.retry(key, priorityOf(lane));
      return;
    }
    if (summary.retry) queue.retry(key, priorityOf("bulk"));
    else queue.forget(key);
    // An Expiration that is known only from the status has no expiry timer yet: reconcile when it is due.
    const expiry = outcome.sourcesMetadata?.isStored ? nextExpiryOf(outcome.sourcesMetadata) : undefined;
    const untilExpiryMs = (expiry ?? 0) - clock.now();
    if (untilExpiryMs > 0) queue.addAfter(key, untilExpiryMs);
    const quietInMs = this.#repairs.spacingMs(key) === undefined ? undefined : this.#repairs.quietInMs(key);
    if (quietInMs !== undefined) queue.addAfter(key, quietInMs);
    if (summary.againAfterMs !== undefined) queue.addAfter(key, summary.againAfterMs * (1 + 0.1 * random()));
  }

  /** Drops all state of a deleted SyncedSecret. */
  #forget(key: string): void {
    const { observer, queue, metrics, verifiedRevisions, keys } = this.#options;
    observer.depend(key, []);
    keys.depend(key, undefined, []);
    verifiedRevisions.forget(key);
    this.#options.reconciler.forget(key);
    this.#repairs.forget(key);
    queue.forget(key);
    metrics.ready.remove(key);
    metrics.lastSuccess.remove(key);
    metrics.expiration.remove(key);
  }
}
