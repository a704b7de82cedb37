import { fieldManager } from "../../../api/annotations.ts";
import { readyOf } from "../../../api/conditions.ts";
import { withoutRollout, withRolloutOf } from "../../../api/rollout-status.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import type { KubeClient } from "../../../kube/client/client.ts";
import { KubeError } from "../../../kube/errors.ts";
import type { View } from "../../../kube/informer/store.ts";
import type { LeaderView } from "../../../kube/leases/lease-observer.ts";
import { type KubeObject, syncedSecrets } from "../../../kube/resource.ts";
import { applyStatus } from "../../../kube/write/status.ts";
import type { WriteLimiter } from "../../../kube/write/write-limiter.ts";
import type { Clock } from "../../../runtime/clock.ts";
import { type Lane, priorityOf } from "../../../runtime/lane.ts";
import type { Log } from "../../../runtime/log.ts";
import { noSpan } from "../../../runtime/tracing.ts";
import { conditionsAfter, isSame } from "../../conditions.ts";
import { MutationCache } from "../../mutation-cache.ts";
import type { Attempt } from "../act/attempt.ts";

type Resource = SyncedSecret & KubeObject;
export type Status = NonNullable<SyncedSecret["status"]>;

export interface StatusWriterOptions {
  resources: View<Resource>;
  client: KubeClient;
  /** Shared with the writes of Secrets. */
  writes: WriteLimiter;
  clock: Clock;
  log: Log;
  /** Leaves statuses of another operator alone: two operators would overwrite each other forever. */
  readOnly: boolean;
  /** With `readOnly`: whether another operator leads. */
  leader: LeaderView | undefined;
}

/** Milliseconds of a reconcile after which the status reports Pending. */
const pendingAfterMs = 2_000;

/**
 * Writes statuses, with a mutation cache for those that the watch has not shown yet. Each write carries the
 * resourceVersion that it was decided on, so that a process that no longer leads overwrites no newer status.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #written: MutationCache<Status>;
  /** With --read-only: the status that this process wrote last. */
  readonly #own = new Map<string, Status>();
  /** Status writes that have not begun, each with its lane and the function that drops it. */
  readonly #waiting = new Map<string, { lane: Lane; drop: AbortController }>();
  /** Statuses whose write is under way: the watch may show one before its response. */
  readonly #writing = new Map<string, Status>();
  /** With --read-only: the status that was not written, and the resourceVersion that it was computed from. */
  readonly #unwritten = new Map<string, { status: Status; resourceVersion: string | undefined }>();

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#written = new MutationCache(options.clock);
  }

  /**
   * Handles a SyncedSecret from the watch.
   *
   * @returns whether its status is one that this process wrote last or is writing, or has overwritten since
   */
  shown(key: string, resource: Resource | undefined): boolean {
    const relation = this.#written.take(key, resource?.metadata.resourceVersion);
    if (!resource) {
      this.#own.delete(key);
      this.#unwritten.delete(key);
      return false;
    }
    if (relation === "ours" || relation === "older") return true;
    return relation === "underWay" && isSame(this.#writing.get(key), withoutRollout(resource.status ?? {}));
  }

  /** The resource with its last written status and version, even if the watch has not shown them yet. */
  latest(key: string, cached: Resource): Resource {
    const unwritten = this.#unwritten.get(key);
    if (unwritten && unwritten.resourceVersion === cached.metadata.resourceVersion && this.#isAnothers(key)) {
      return { ...cached, status: unwritten.status };
    }
    const written = this.#written.get(key);
    return written?.value ? withStatus(cached, written.value, written.version) : cached;
  }

  /** Drops a key's status write that has not begun, if a more urgent reconcile will write a newer status. */
  overtake(key: string, lane: Lane): void {
    const waiting = this.#waiting.get(key);
    if (waiting && priorityOf(lane) > priorityOf(waiting.lane)) waiting.drop.abort();
  }

  /**
   * @param resource that the status was decided on
   * @param statusOf called when the write begins
   * @throws Canceled if the attempt is canceled, or overtaken, before the write begins
   * @returns whether the write is done; false if it must be retried
   */
  async write(key: string, resource: Resource, statusOf: () => Status, attempt: Attempt): Promise<boolean> {
    return (await this.#write(key, resource, statusOf, attempt)).done;
  }

  async #write(
    key: string,
    resource: Resource,
    statusOf: () => Status,
    attempt: Attempt,
  ): Promise<{ done: boolean; version?: string | undefined }> {
    const { client, writes, log, resources, readOnly } = this.#options;
    if (readOnly && this.#isAnothers(key)) {
      const status = statusOf();
      this.#unwritten.set(key, { status, resourceVersion: resources.get(key)?.metadata.resourceVersion });
      const { status: ready, reason, message } = readyOf(status) ?? {};
      log.info(
        { syncedSecret: key, ready, reason, message },
        "read-only: the status belongs to another operator and is not written",
      );
      return { done: true };
    }
    const { namespace, resourceVersion } = resource.metadata;
    const { lane, isWanted, signal, span } = attempt;
    const drop = new AbortController();
    const cancel = () => drop.abort();
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    this.#waiting.set(key, { lane, drop });
    let hasBegun = false;
    let status: Status;
    const begin = () => {
      this.#waiting.delete(key);
      status = statusOf();
      hasBegun = true;
      this.#writing.set(key, status);
      this.#written.begin(key, resources.get(key)?.metadata.resourceVersion);
      return applyStatus(client, syncedSecrets, resource, { status, fieldManager });
    };
    try {
      const turn = { lane, isWanted, span, signal: drop.signal };
      const written = await writes.run(turn, namespace!, begin, "status");
      if (readOnly) this.#own.set(key, status!);
      const version = written.resourceVersion;
      this.#written.note(key, status!, version, resourceVersion);
      return { done: true, version };
    } catch (error) {
      if (hasBegun) this.#written.invalidate(key);
      else this.#waiting.delete(key);
      if (!(error instanceof KubeError)) throw error;
      // Deleted or recreated meanwhile: the watch will show it.
      if (error.kind === "notFound") return { done: true };
      if (error.kind === "conflict") {
        log.debug({ syncedSecret: key }, "the SyncedSecret has changed, its status is decided again");
        return { done: false };
      }
      // A rejected status would be rejected again.
      const isFinal = error.kind === "invalid" || error.kind === "tooLarge";
      const outlook = isFinal ? "the status stays as it is" : "retrying";
      log.warn({ syncedSecret: key, error: error.message }, `could not write a status, ${outlook}`);
      return { done: isFinal };
    } finally {
      signal.removeEventListener("abort", cancel);
      this.#writing.delete(key);
    }
  }

  /** Whether the status belongs to another process: to a leader, or to the last writer if it may still run. */
  #isAnothers(key: string): boolean {
    const { resources, leader } = this.#options;
    if (leader?.state === "held") return true;
    const cached = resources.get(key);
    if (!cached?.status?.conditions?.length || this.#written.get(key)) return false;
    const own = this.#own.get(key);
    return own ? !isSame(readyOf(own), readyOf(cached.status)) : leader?.state !== "free";
  }

  /**
   * Reports Pending and Reconciling in the status of a new resource if its first reconcile takes long.
   *
   * @returns a function that ends this: drops the write if it has not begun, and resolves to the latest resource once
   *   no such write is under way
   */
  tellWhenItLasts(key: string, resource: Resource): () => Promise<Resource> {
    const { clock } = this.#options;
    let latest = resource;
    let writing: Promise<unknown> | undefined;
    const canceler = new AbortController();
    const { signal } = canceler;
    const timer = clock.setTimer(() => {
      if (resource.status?.conditions?.length) return;
      const generation = resource.metadata.generation ?? 1;
      const asked = { reason: "Pending", message: "waiting for AWS" };
      const conditions = conditionsAfter(
        undefined,
        [
          { type: "Ready", status: "Unknown", ...asked },
          { type: "Reconciling", status: "True", ...asked },
        ],
        generation,
        clock.now(),
      );
      const status: Status = { observedGeneration: generation, conditions };
      // Lane bulk: progress reports must not delay Secrets or final statuses, in any namespace.
      const progress: Attempt = { lane: "bulk", signal, span: noSpan, isWanted: () => !signal.aborted };
      writing = this.#write(key, resource, () => status, progress).then(
        ({ done, version }) => {
          if (done) latest = withStatus(resource, status, version);
        },
        () => {},
      );
    }, pendingAfterMs);
    return async () => {
      timer.cancel();
      canceler.abort();
      await writing;
      return latest;
    };
  }
}

/** @param resourceVersion undefined if it is unchanged */
function withStatus(resource: Resource, status: Status, resourceVersion: string | undefined): Resource {
  const { metadata } = resource;
  const known = resourceVersion === undefined ? metadata : { ...metadata, resourceVersion };
  return { ...resource, metadata: known, status: withRolloutOf(status, resource.status) };
}
