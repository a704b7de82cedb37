import type { SyncedSecret } from "../../api/types.ts";
import type { KeyWatch } from "../../ciphertexts/key-watch.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { KubeError } from "../../kube/errors.ts";
import { regardingOf } from "../../kube/events/event-series.ts";
import type { EventRecorder } from "../../kube/events/recorder.ts";
import { isCut } from "../../kube/informer/cache-bound.ts";
import { keyOf, type View } from "../../kube/informer/store.ts";
import type { LeaderView } from "../../kube/leases/lease-observer.ts";
import { type KubeObject, syncedSecrets } from "../../kube/resource.ts";
import type { WorkQueue } from "../../kube/work-queue.ts";
import type { WriteLimiter } from "../../kube/write/write-limiter.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Observer } from "../../parameters/observer.ts";
import { Canceled } from "../../runtime/cancellation.ts";
import type { Clock, Random } from "../../runtime/clock.ts";
import type { ClockWatch } from "../../runtime/clock-watch.ts";
import { defectOf, internalError } from "../../runtime/defect.ts";
import { laneOf, priorityOf } from "../../runtime/lane.ts";
import type { Log } from "../../runtime/log.ts";
import { once } from "../../runtime/once.ts";
import { noteError, type Span, type Tracer, traced } from "../../runtime/tracing.ts";
import type { Connections } from "../connection/connections.ts";
import { defaultPollIntervalMs } from "../connection/reconcile.ts";
import type { SecretView } from "../secret-view.ts";
import { trimSyncedSecret } from "../trim.ts";
import { type Attempt, Attempts } from "./act/attempt.ts";
import { DeletedResources } from "./act/deleted-resources.ts";
import type { SecretWriter } from "./act/write.ts";
import { hasFailed, type Outcome, writeOf } from "./decide/outcome.ts";
import { nextExpiryOf } from "./decide/source-metadata.ts";
import type { SyncedSecretReconciler } from "./reconcile.ts";
import { RepairBackoff } from "./repair-backoff.ts";
import { keysInUse } from "./report/key-conditions.ts";
import { measure, measureWrite } from "./report/measure.ts";
import { staleAfterMs } from "./report/stale-after.ts";
import { StatusWriter } from "./report/status-writer.ts";
import { type SummarizeInput, type Summary, summarize } from "./report/summarize.ts";
import { attributesOf, noteOutcome } from "./report/trace.ts";
import { TransitionLog } from "./report/transition-log.ts";
import { Triggers } from "./triggers.ts";
import type { VerifiedRevisions } from "./trust/verified-revisions.ts";

type Resource = SyncedSecret & KubeObject;
type Reported = Exclude<Outcome, { kind: "again" | "nothing" }>;

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
  /** Records each reconcile. */
  tracer: Tracer;
  perObjectMetrics: boolean;
  /** No Secret is written. */
  readOnly: boolean;
  /** With `readOnly`: whether another operator leads. */
  leader: LeaderView | undefined;
  verifiedRevisions: VerifiedRevisions;
  /** Aborted at shutdown: no new work begins, and failures are not reported. */
  stopping: AbortSignal;
}

/** Milliseconds after which a cause that sends no event is rechecked: an enabled key, a granted role. */
const slowRetryMs = 300_000;
/** Reconciles SyncedSecrets, and reports each outcome as status, events and metrics. */
export class SyncedSecretController {
  /** What enqueues SyncedSecrets. */
  readonly triggers: Triggers;
  readonly #options: SyncedSecretControllerOptions;
  readonly #statuses: StatusWriter;
  readonly #deleted: DeletedResources;
  readonly #repairs: RepairBackoff;
  readonly #transitions: TransitionLog;
  readonly #attempts: Attempts;
  /** Callers that wait for a SyncedSecret to be settled. */
  readonly #settling = new Map<string, (() => void)[]>();
  readonly #startedAt: number;

  constructor(options: SyncedSecretControllerOptions) {
    this.#options = options;
    this.#statuses = new StatusWriter(options);
    this.#transitions = new TransitionLog(options);
    this.#deleted = new DeletedResources(options);
    const { connections, resources } = options;
    this.#attempts = new Attempts({ connections, find: (key) => resources.get(key) });
    this.#repairs = new RepairBackoff(options.clock);
    this.#startedAt = options.clockWatch.elapsed();
    const [statuses, deleted, attempts, repairs] = [this.#statuses, this.#deleted, this.#attempts, this.#repairs];
    this.triggers = new Triggers({ ...options, statuses, deleted, attempts, repairs });
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

  /** Reconciles one SyncedSecret. */
  async handle(key: string): Promise<void> {
    const { resources, queue, tracer } = this.#options;
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
    const span = tracer.start("reconcile", attributesOf(cached, lane, queue.attempts(key)));
    try {
      const resource = this.#statuses.latest(key, cached);
      const isOver = await this.#reconcile(key, resource, this.#attempts.begin(key, resource, lane, span));
      if (isOver && !queue.isWaiting(key)) this.#settle(key);
    } catch (error) {
      noteError(span, error);
      if (!(error instanceof Canceled)) throw error;
      this.triggers.enqueue(key, lane);
    } finally {
      span.end();
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
        noteError(attempt.span, error);
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
    if (lane === "drift" && (writeOf(outcome) || hasFailed(outcome) || outcome.kind === "again"))
      this.#repairs.note(key);
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

  async #conclude(key: string, resource: Resource, outcome: Reported, attempt: Attempt): Promise<void> {
    const { lane } = attempt;
    const { queue, clock, clockWatch, random, stopping } = this.#options;
    measureWrite(this.#options, key, outcome);
    const at = { now: clock.now(), elapsed: clockWatch.elapsed() };
    const report = once(() => this.#report(resource, outcome, at, attempt.span));
    if (stopping.aborted) {
      report();
      return;
    }
    // The status may wait for all Secrets of bulk work: meanwhile others are reconciled.
    queue.release(key);
    // After a write in bulk the summary waits with its status: it would take time from those Secrets.
    const isLater = lane === "bulk" && writeOf(outcome) !== undefined;
    const write = () =>
      traced(attempt.span, "write status", {}, (span) =>
        this.#statuses.write(key, resource, () => report().status, { ...attempt, span }),
      );
    try {
      if ((isLater || report().statusChanged) && !(await write())) {
        queue.retry(key, priorityOf(lane));
        return;
      }
    } finally {
      report();
    }
    const { retry, againAfterMs } = report();
    if (retry) queue.retry(key, priorityOf("bulk"));
    else queue.forget(key);
    // An Expiration that is known only from the status has no expiry timer yet: reconcile when it is due.
    const expiry = outcome.sourcesMetadata?.isStored ? nextExpiryOf(outcome.sourcesMetadata) : undefined;
    const untilExpiryMs = (expiry ?? 0) - clock.now();
    if (untilExpiryMs > 0) queue.addAfter(key, untilExpiryMs);
    const quietInMs = this.#repairs.spacingMs(key) === undefined ? undefined : this.#repairs.quietInMs(key);
    if (quietInMs !== undefined) queue.addAfter(key, quietInMs);
    if (againAfterMs !== undefined) queue.addAfter(key, againAfterMs * (1 + 0.1 * random()));
  }

  /**
   * Turns an outcome into events, metrics and log lines.
   *
   * @param at when the outcome was reached
   * @returns with the status to write
   */
  #report(resource: Resource, outcome: Reported, at: Pick<SummarizeInput, "now" | "elapsed">, span: Span): Summary {
    const { recorder, keys, connections, observer } = this.#options;
    const key = keyOf(resource);
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
      ...at,
      staleAfterMs: staleAfterMs(resource, {
        floorMs: grant.state === "granted" ? grant.granted.pollIntervalMs : defaultPollIntervalMs,
        factorOf: (askedMs) => observer.longestFactor(key, askedMs),
      }),
      startedAt: this.#startedAt,
      slowRetryMs,
      repairsApartMs: this.#repairs.spacingMs(key),
    });
    measure(this.#options, key, outcome, summary);
    this.#transitions.note(key, resource, summary);
    noteOutcome(span, outcome, summary);
    const regarding = regardingOf(resource);
    for (const event of summary.events) recorder.record(regarding, { ...event, action: "Sync" });
    return summary;
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
    metrics.changesPending.remove(key);
    metrics.heldBack.remove(key);
  }
}
