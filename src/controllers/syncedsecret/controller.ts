import type PQueue from "p-queue";
import { annotations, fieldManager } from "../../api/annotations.ts";
import type { SyncedSecret } from "../../api/types.ts";
import type { KubeClient } from "../../kube/client.ts";
import { KubeError } from "../../kube/errors.ts";
import type { EventRecorder } from "../../kube/recorder.ts";
import { type KubeObject, syncedSecrets } from "../../kube/resource.ts";
import type { Change, View } from "../../kube/store.ts";
import type { WorkQueue } from "../../kube/work-queue.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { type Lane, moreUrgent, priorityOf } from "../../parameters/lanes.ts";
import type { Observer } from "../../parameters/observer.ts";
import type { Clock, Random } from "../../runtime/clock.ts";
import { parseDuration } from "../../runtime/duration.ts";
import type { Log } from "../../runtime/log.ts";
import { conditionsAfter } from "../conditions.ts";
import type { Connections } from "../connection/connections.ts";
import { defaultPollIntervalMs } from "../connection/reconcile.ts";
import { reindex } from "../index-of.ts";
import { Overlay } from "../overlay.ts";
import { controllerOf } from "../secret-view.ts";
import type { Outcome } from "./outcome.ts";
import type { SyncedSecretReconciler } from "./reconcile.ts";
import { type Summary, summarize } from "./summarize.ts";
import { targetOf } from "./target.ts";
import type { SecretWriter } from "./write.ts";

type Resource = SyncedSecret & KubeObject;
type Status = NonNullable<SyncedSecret["status"]>;

export interface SyncedSecretControllerOptions {
  resources: View<Resource>;
  reconciler: SyncedSecretReconciler;
  connections: Connections;
  observer: Observer;
  queue: WorkQueue;
  writer: SecretWriter;
  writes: PQueue;
  client: KubeClient;
  recorder: EventRecorder;
  clock: Clock;
  random: Random;
  metrics: Metrics;
  log: Log;
  perObjectMetrics: boolean;
}

/** Milliseconds of work after which a person who waits is told that it goes on. */
const pendingAfterMs = 2_000;
/** Milliseconds after which what nothing announces is looked at again: a key that was enabled, a role that was granted. */
const slowRetryMs = 300_000;
/** Polls that must fail in a row before Ready turns False, where the spec does not say. */
const intervalsUntilStale = 10;

/** Says when SyncedSecrets are reconciled, and turns each outcome into status, event, metrics and the next look. */
export class SyncedSecretController {
  readonly #options: SyncedSecretControllerOptions;
  /** Whom the next reconcile of a key is for; bulk where nothing is said. */
  readonly #lanes = new Map<string, Lane>();
  /** SyncedSecrets by the key of the connection that they name. */
  readonly #byConnection = new Map<string, Set<string>>();
  /** SyncedSecrets by the Secret that they write, namespace/name. */
  readonly #byTarget = new Map<string, Set<string>>();
  readonly #statuses: Overlay<Status>;
  readonly #startedAt: number;
  #begun = false;

  constructor(options: SyncedSecretControllerOptions) {
    this.#options = options;
    this.#statuses = new Overlay(options.clock);
    this.#startedAt = options.clock.now();
  }

  /** From here on a change is a person's, and no longer part of what was there at the start. */
  begin(): void {
    this.#begun = true;
  }

  /** Has a SyncedSecret reconciled soon. */
  enqueue(key: string, lane: Lane): void {
    const before = this.#lanes.get(key);
    const urgent = before ? moreUrgent(before, lane) : lane;
    this.#lanes.set(key, urgent);
    this.#options.queue.add(key, priorityOf(urgent));
  }

  /** Takes a change from the watch of SyncedSecrets; a status that comes back is none. */
  changed({ key, before, after }: Change<Resource>): void {
    this.#statuses.take(key, after?.metadata.resourceVersion);
    this.#index(key, before, after);
    if (before && after && !isAsking(before, after)) return;
    if (before && !after) this.#forget(key, before);
    this.enqueue(key, this.#begun ? "interactive" : "bulk");
  }

  /** Takes a change of a Secret that is not our own write coming back. */
  secretChanged({ key, before, after }: Change<KubeObject>): void {
    const namespace = key.slice(0, key.indexOf("/"));
    for (const object of [before, after]) {
      const owner = object?.metadata.ownerReferences?.find(
        ({ controller, kind }) => controller && kind === "SyncedSecret",
      );
      if (owner && controllerOf(object?.metadata)) this.enqueue(`${namespace}/${owner.name}`, "drift");
    }
    for (const dependent of this.#byTarget.get(key) ?? []) this.enqueue(dependent, "drift");
  }

  /** Has every user of a connection reconciled. */
  connectionChanged(connectionKey: string): void {
    for (const key of this.#byConnection.get(connectionKey) ?? []) this.enqueue(key, "bulk");
  }

  /** Has every SyncedSecret of a namespace reconciled: what connections allow may hang on its labels. */
  namespaceChanged(namespace: string): void {
    for (const key of this.#options.resources.keys()) {
      if (key.startsWith(`${namespace}/`)) this.enqueue(key, "bulk");
    }
  }

  /** Reconciles one SyncedSecret. */
  async handle(key: string): Promise<void> {
    const { resources, reconciler, queue, metrics, clock, log } = this.#options;
    const lane = this.#lanes.get(key) ?? "bulk";
    this.#lanes.delete(key);
    const cached = resources.get(key);
    if (!cached) {
      this.#options.observer.depend(key, []);
      queue.forget(key);
      return;
    }
    const status = this.#statuses.get(key)?.value ?? cached.status;
    const resource = status ? { ...cached, status } : cached;
    const startedAt = clock.monotonic();
    const pending = lane === "interactive" ? this.#tellWhenItLasts(key, resource) : undefined;
    let outcome: Outcome;
    try {
      outcome = await reconciler.reconcile(resource, lane);
    } catch (error) {
      const said = error instanceof KubeError ? error.message : error instanceof Error ? error.name : "unknown";
      log.warn({ syncedSecret: key, error: said }, "a reconcile did not come to an end; it is tried again");
      metrics.syncs.inc({ result: "error", reason: "" });
      queue.retry(key, priorityOf(lane));
      return;
    } finally {
      pending?.cancel();
    }
    metrics.syncDuration.observe((clock.monotonic() - startedAt) / 1_000);
    if (outcome.kind === "nothing") return queue.forget(key);
    if (outcome.kind === "again") {
      this.#lanes.set(key, lane);
      queue.retry(key, priorityOf(lane));
      return;
    }
    await this.#conclude(key, pending?.resource() ?? resource, outcome, lane);
  }

  async #conclude(
    key: string,
    resource: Resource,
    outcome: Exclude<Outcome, { kind: "again" | "nothing" }>,
    lane: Lane,
  ): Promise<void> {
    const { queue, clock, recorder, random } = this.#options;
    const summary = summarize({
      resource,
      outcome,
      now: clock.now(),
      staleAfterMs: this.#staleAfterMs(resource),
      startedAt: this.#startedAt,
      slowRetryMs,
    });
    this.#measure(key, resource, outcome, summary);
    if (summary.event) {
      const { apiVersion, kind, metadata } = resource;
      const { name, namespace, uid } = metadata;
      const regarding = { apiVersion: apiVersion!, kind: kind!, namespace: namespace!, name: name!, uid: uid! };
      recorder.record(regarding, { ...summary.event, action: "Sync" });
    }
    if (summary.statusChanged && !(await this.#writeStatus(key, resource, summary.status, lane))) {
      queue.retry(key, priorityOf(lane));
      return;
    }
    if (summary.retry) queue.retry(key, priorityOf("bulk"));
    else queue.forget(key);
    if (summary.againAfterMs !== undefined) queue.addAfter(key, summary.againAfterMs * (1 + 0.1 * random()));
  }

  /** @returns whether there is nothing left to write */
  async #writeStatus(key: string, resource: Resource, status: Status, lane: Lane): Promise<boolean> {
    const { client, writes, log, resources } = this.#options;
    const { apiVersion, kind, metadata } = resource;
    const object = {
      apiVersion,
      kind,
      metadata: { namespace: metadata.namespace!, name: metadata.name!, uid: metadata.uid! },
      status,
    } as unknown as Resource;
    this.#statuses.begin(key, resources.get(key)?.metadata.resourceVersion);
    try {
      const written = await writes.add(
        () => client.apply<Resource>(syncedSecrets, object, { fieldManager, force: true, subresource: "status" }),
        { priority: priorityOf(lane) },
      );
      this.#statuses.note(key, status, written.metadata.resourceVersion, metadata.resourceVersion);
      return true;
    } catch (error) {
      // Deleted, or deleted and made again, meanwhile: the watch will say so.
      this.#statuses.doubt(key);
      if (!(error instanceof KubeError)) throw error;
      if (error.kind === "notFound" || error.kind === "conflict") return true;
      log.warn({ syncedSecret: key, error: error.message }, "a status could not be written; it is tried again");
      return false;
    }
  }

  /** Says `Reconciling` for a person who waits, once the work has lasted. */
  #tellWhenItLasts(key: string, resource: Resource): { cancel: () => void; resource: () => Resource } {
    let latest = resource;
    const timer = this.#options.clock.setTimer(() => {
      if (resource.status?.conditions?.length) return;
      const generation = resource.metadata.generation ?? 1;
      const message = "waiting for AWS";
      const asked = [
        { type: "Ready", status: "Unknown" as const, reason: "Pending", message },
        { type: "Reconciling", status: "True" as const, reason: "Pending", message },
      ];
      const conditions = conditionsAfter(undefined, asked, generation, this.#options.clock.now());
      const status: Status = { observedGeneration: generation, conditions };
      latest = { ...resource, status };
      void this.#writeStatus(key, resource, status, "interactive");
    }, pendingAfterMs);
    return { cancel: () => timer.cancel(), resource: () => latest };
  }

  #measure(key: string, resource: Resource, outcome: Outcome, summary: Summary): void {
    const { metrics, clock, perObjectMetrics, log } = this.#options;
    const { namespace, name } = resource.metadata;
    metrics.syncs.inc({ result: summary.ready === "False" ? "failed" : "ok", reason: summary.reason });
    if (perObjectMetrics) {
      // Suspended is neither: nobody is to be woken for it.
      if (summary.ready === "Unknown") metrics.ready.remove({ namespace: namespace!, name: name! });
      else metrics.ready.set({ namespace: namespace!, name: name! }, summary.ready === "True" ? 1 : 0);
      if (outcome.kind === "current")
        metrics.lastSuccess.set({ namespace: namespace!, name: name! }, clock.now() / 1_000);
    }
    const wrote = outcome.kind === "current" || outcome.kind === "failed" ? outcome.wrote : undefined;
    if (wrote) {
      metrics.secretWrites.inc({ action: wrote });
      if (wrote === "repaired") metrics.driftRepairs.inc();
      log.info({ syncedSecret: key, action: wrote }, "secret written");
    }
    if (outcome.kind === "current" && wrote === "updated" && outcome.modified) {
      metrics.changePropagation.observe(Math.max(clock.now() - outcome.modified, 0) / 1_000);
    }
    if (summary.ready === "False") log.debug({ syncedSecret: key, reason: summary.reason }, "not ready");
  }

  #staleAfterMs(resource: Resource): number {
    const { refresh, data, dataFrom } = resource.spec;
    const asksAws = (data ?? []).some(({ parameter }) => parameter) || (dataFrom ?? []).length > 0;
    if (refresh?.policy === "Once" || !asksAws) return Infinity;
    const own = refresh?.staleAfter === undefined ? undefined : parseDuration(refresh.staleAfter);
    if (own !== undefined) return own;
    const grant = this.#options.connections.grant(resource);
    const floor = grant.state === "granted" ? grant.granted.pollIntervalMs : defaultPollIntervalMs;
    const asked = refresh?.pollInterval === undefined ? undefined : parseDuration(refresh.pollInterval);
    return intervalsUntilStale * Math.max(asked ?? floor, floor);
  }

  #index(key: string, before: Resource | undefined, after: Resource | undefined): void {
    const { connections } = this.#options;
    reindex(this.#byConnection, key, before && connections.keyFor(before), after && connections.keyFor(after));
    reindex(this.#byTarget, key, before && targetKey(before), after && targetKey(after));
  }

  /** What a deleted SyncedSecret leaves behind here: its series, and under Merge its keys in somebody else's Secret. */
  #forget(key: string, before: Resource): void {
    const { metrics, writer, log } = this.#options;
    const { namespace, name } = before.metadata;
    metrics.ready.remove({ namespace: namespace!, name: name! });
    metrics.lastSuccess.remove({ namespace: namespace!, name: name! });
    const target = targetOf(before);
    if (target.policy !== "Merge") return;
    writer.sweep(target.namespace, target.name, target.manager).catch((error: unknown) => {
      const said = error instanceof KubeError ? error.message : "unknown error";
      log.warn({ syncedSecret: key, error: said }, "keys of a deleted SyncedSecret stay until the next start");
    });
  }
}

function targetKey(resource: Resource): string {
  const { namespace, name } = targetOf(resource);
  return `${namespace}/${name}`;
}

/** Whether a change asks for work: a spec, a refresh, a deletion. A status or a label does not. */
function isAsking(before: Resource, after: Resource): boolean {
  const refresh = (resource: Resource) => resource.metadata.annotations?.[annotations.refresh];
  return (
    before.metadata.uid !== after.metadata.uid ||
    before.metadata.generation !== after.metadata.generation ||
    before.metadata.deletionTimestamp !== after.metadata.deletionTimestamp ||
    refresh(before) !== refresh(after)
  );
}
