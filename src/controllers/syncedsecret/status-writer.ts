import { fieldManager } from "../../api/annotations.ts";
import type { SyncedSecret } from "../../api/types.ts";
import type { KubeClient } from "../../kube/client.ts";
import { KubeError } from "../../kube/errors.ts";
import { type KubeObject, syncedSecrets } from "../../kube/resource.ts";
import type { View } from "../../kube/store.ts";
import type { WriteLimiter, WriteTurn } from "../../kube/write-limiter.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { conditionsAfter, isSame } from "../conditions.ts";
import { MutationCache } from "../mutation-cache.ts";

type Resource = SyncedSecret & KubeObject;
export type Status = NonNullable<SyncedSecret["status"]>;

export interface StatusWriterOptions {
  resources: View<Resource>;
  client: KubeClient;
  /** The places for writes, which Secrets share. */
  writes: WriteLimiter;
  clock: Clock;
  log: Log;
  /** Of another operator, which writes, no status is touched: two would write each other's over without an end. */
  readOnly: boolean;
}

/** Milliseconds of work after which a person who waits is told that it goes on. */
const pendingAfterMs = 2_000;

/** Writes statuses, and knows those that the watch has yet to show. */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #written: MutationCache<Status>;
  /** With read-only: the status that was last written here. */
  readonly #own = new Map<string, Status>();
  /** With read-only: what a writer's status would have become, and the version of the resource that it was decided on. */
  readonly #unwritten = new Map<string, { status: Status; resourceVersion: string | undefined }>();

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#written = new MutationCache(options.clock);
  }

  /** Takes what the watch shows of a SyncedSecret. */
  shown(key: string, resource: Resource | undefined): ReturnType<MutationCache<Status>["take"]> {
    const change = this.#written.take(key, resource?.metadata.resourceVersion);
    if (resource) return change;
    this.#own.delete(key);
    this.#unwritten.delete(key);
    return change;
  }

  /** A resource with the status that was last written to it, whether or not the watch has shown it. */
  latest(key: string, cached: Resource): Resource {
    const unwritten = this.#unwritten.get(key);
    const isOfNow = unwritten?.resourceVersion === cached.metadata.resourceVersion;
    const status = (isOfNow ? unwritten?.status : this.#written.get(key)?.value) ?? cached.status;
    return status ? { ...cached, status } : cached;
  }

  /** @throws Canceled @returns whether there is nothing left to write; false where it has to be tried again */
  async write(key: string, resource: Resource, status: Status, turn: WriteTurn): Promise<boolean> {
    const { client, writes, log, resources, readOnly } = this.#options;
    if (readOnly && this.#isAnothers(key)) {
      this.#unwritten.set(key, { status, resourceVersion: resources.get(key)?.metadata.resourceVersion });
      const { status: ready, reason, message } = readyOf(status) ?? {};
      log.info({ syncedSecret: key, ready, reason, message }, "read-only: a status is another operator's, and stays");
      return true;
    }
    const { apiVersion, kind, metadata } = resource;
    const { namespace, name, uid, resourceVersion } = metadata;
    // A writer may have come first since.
    const upon = readOnly ? { resourceVersion } : {};
    const object = { apiVersion, kind, metadata: { namespace, name, uid, ...upon }, status } as unknown as Resource;
    this.#written.begin(key, resources.get(key)?.metadata.resourceVersion);
    try {
      const written = await writes.run(
        turn,
        namespace!,
        () => client.apply<Resource>(syncedSecrets, object, { fieldManager, force: true, subresource: "status" }),
        "status",
      );
      if (readOnly) this.#own.set(key, status);
      this.#written.note(key, status, written.metadata.resourceVersion, metadata.resourceVersion);
      return true;
    } catch (error) {
      this.#written.invalidate(key);
      if (!(error instanceof KubeError)) throw error;
      // Deleted, or deleted and made again, meanwhile: the watch will say so.
      if (error.kind === "notFound") return true;
      // With read-only it may only have changed: what has become of it decides again.
      if (error.kind === "conflict") return !readOnly;
      // A status that the API server refuses would be refused again.
      const isFinal = error.kind === "invalid" || error.kind === "tooLarge";
      const outlook = isFinal ? "it stays as it was" : "it is tried again";
      log.warn({ syncedSecret: key, error: error.message }, `a status could not be written; ${outlook}`);
      return isFinal;
    }
  }

  /** Whether the status that is there was written, and not by this process. */
  #isAnothers(key: string): boolean {
    const cached = this.#options.resources.get(key);
    if (!cached?.status?.conditions?.length || this.#written.get(key)) return false;
    const own = this.#own.get(key);
    return own === undefined || !isSame(readyOf(own), readyOf(cached.status));
  }

  /**
   * Says `Reconciling` for a person who waits, once the work has lasted.
   *
   * @returns what ends the waiting: the resource as it is by then, with no write of this any more under way
   */
  tellWhenItLasts(key: string, resource: Resource): () => Promise<Resource> {
    const { clock } = this.#options;
    let latest = resource;
    let writing: Promise<unknown> | undefined;
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
      // A notice of progress comes after all Secrets and all final statuses, those of other namespaces included.
      writing = this.write(key, resource, status, "bulk").then(
        (done) => {
          if (done) latest = { ...resource, status };
        },
        () => {},
      );
    }, pendingAfterMs);
    return async () => {
      timer.cancel();
      await writing;
      return latest;
    };
  }
}

function readyOf(status: Status) {
  return status.conditions?.find(({ type }) => type === "Ready");
}
