import PQueue from "p-queue";
import type { AnyConnection } from "../../api/any-connection.ts";
import { KubeError } from "../../kube/errors.ts";
import type { Change } from "../../kube/informer/store.ts";
import type { KubeObject } from "../../kube/resource.ts";
import type { WorkQueue } from "../../kube/work-queue.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { type Clock, sleep } from "../../runtime/clock.ts";
import { defectOf, internalError } from "../../runtime/defect.ts";
import type { Log } from "../../runtime/log.ts";
import type { Connections } from "./connections.ts";
import type { CredentialsWatch } from "./credentials-watch.ts";
import type { ConnectionReconciler } from "./reconcile.ts";
import { connectionKey, credentialsSecret } from "./resolve.ts";

const firstRoundMs = 2_000;
/** Maximum concurrent reconciles for the connections of one namespace, and for cluster connections. */
const atOnce = 10;
/**
 * Delay before a status reports stretched polls, in milliseconds: the stretch changes often while SyncedSecrets are
 * added.
 */
const tellStretchAfterMs = 5_000;

export interface ConnectionControllerOptions {
  reconciler: ConnectionReconciler;
  connections: Connections;
  queue: WorkQueue;
  metrics: Metrics;
  log: Log;
  /** Aborted when the operator stops. */
  stopping: AbortSignal;
  /** Called with a connection's key when its grants have changed, before it is resolved again. */
  changed: (key: string) => void;
}

/** Schedules the reconciles of connections: on a change of the spec or the credentials, and once per interval. */
export class ConnectionController {
  readonly #reconciler: ConnectionReconciler;
  readonly #connections: Connections;
  readonly #queue: WorkQueue;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #stopping: AbortSignal;
  readonly #changed: (key: string) => void;
  /** Connections by the Secret that holds their credentials, namespace/name. */
  readonly #bySecret = new Map<string, Set<string>>();
  readonly #working = new Map<string, PQueue>();
  #watch: CredentialsWatch | undefined;

  constructor({ reconciler, connections, queue, metrics, log, stopping, changed }: ConnectionControllerOptions) {
    this.#reconciler = reconciler;
    this.#connections = connections;
    this.#queue = queue;
    this.#metrics = metrics;
    this.#log = log;
    this.#stopping = stopping;
    this.#changed = changed;
  }

  /** Takes a change from the watch of either kind. */
  changed(kind: "AWSConnection" | "ClusterAWSConnection", change: Change<AnyConnection & KubeObject>): void {
    const { before, after } = change;
    const { namespace = "", name } = (after ?? before)!.metadata;
    const key = connectionKey(kind, namespace, name!);
    if (before && after && before.metadata.generation === after.metadata.generation) return;
    for (const connection of [before, after]) {
      const secret = connection && credentialsSecret(connection);
      if (!secret) continue;
      const where = `${secret.namespace}/${secret.name}`;
      const users = this.#bySecret.get(where) ?? new Set();
      if (connection === after) users.add(key);
      else users.delete(key);
      if (users.size > 0) this.#bySecret.set(where, users);
      else this.#bySecret.delete(where);
      if (users.size > 0) this.#watch?.begin(where);
      else this.#watch?.end(where);
    }
    // Revoke access immediately: a reconcile can be delayed by credentials or by AWS.
    if (this.#connections.shown(key, after?.metadata.deletionTimestamp ? undefined : after)) this.#changed(key);
    this.#queue.add(key);
  }

  /** Starts to watch the Secrets with credentials. */
  watchCredentials(watch: CredentialsWatch): void {
    this.#watch = watch;
    for (const where of this.#bySecret.keys()) watch.begin(where);
  }

  /** Handles a change of a Secret. Credentials may themselves be the target of a SyncedSecret. */
  secretChanged(namespace: string, name: string): void {
    for (const key of this.#bySecret.get(`${namespace}/${name}`) ?? []) this.#queue.add(key);
  }

  /** Handles a change of the poll stretch in an account and region, which statuses report. */
  stretched(account: string, region: string): void {
    for (const key of this.#connections.leadingTo(account, region)) this.#queue.addAfter(key, tellStretchAfterMs);
  }

  /**
   * Reconciles one connection and schedules the next reconcile. Each namespace has its own concurrency limit, because
   * its STS or its role may hang.
   */
  async handle(key: string): Promise<void> {
    const [, namespace = ""] = key.split("/");
    const working = this.#working.get(namespace) ?? new PQueue({ concurrency: atOnce });
    this.#working.set(namespace, working);
    await working.add(() => this.#reconcile(key));
    if (working.size + working.pending === 0) this.#working.delete(namespace);
  }

  async #reconcile(key: string): Promise<void> {
    try {
      const { retry, afterMs } = await this.#reconciler.reconcile(key);
      if (retry) {
        this.#queue.retry(key);
        return;
      }
      this.#queue.forget(key);
      if (Number.isFinite(afterMs)) this.#queue.addAfter(key, afterMs);
    } catch (error) {
      if (this.#stopping.aborted) return;
      this.#queue.retry(key);
      if (!(error instanceof KubeError)) return this.#defect(key, error);
      this.#log.warn({ connection: key, error: error.message }, "connection reconcile failed, retrying");
    }
  }

  /** Handles an unexpected error. The status reports it; a connection that was ready keeps its grants. */
  async #defect(key: string, error: unknown): Promise<void> {
    const defect = defectOf(error);
    this.#log.error({ connection: key, ...defect }, "the operator itself failed on a connection, retrying");
    this.#metrics.internalErrors.inc({ controller: "connection" });
    try {
      await this.#reconciler.failed(key, internalError(defect));
    } catch {
      // The log has the error, and the next retry writes the status.
    }
  }

  /**
   * Resolves when the connections present at the start have been reconciled once, when `signal` aborts, or after two
   * seconds. The time limit keeps a connection that hangs from blocking the others.
   */
  async firstRound(clock: Clock, signal: AbortSignal): Promise<void> {
    const cancel = new AbortController();
    await Promise.race([this.#queue.whenIdle(), sleep(clock, firstRoundMs, AbortSignal.any([signal, cancel.signal]))]);
    cancel.abort();
  }
}
