import { fieldManager } from "../api/annotations.ts";
import { isCut } from "../kube/cache-bound.ts";
import type { KubeClient } from "../kube/client.ts";
import { KubeError } from "../kube/errors.ts";
import { ownedBy } from "../kube/managed-fields.ts";
import { type KubeObject, type ObjectMeta, secrets } from "../kube/resource.ts";
import type { Change, View } from "../kube/store.ts";
import type { Clock } from "../runtime/clock.ts";
import { each, type OneOrMany } from "../runtime/one-or-many.ts";
import { reindex } from "./index-of.ts";
import { MergeIndex } from "./merge-index.ts";
import { MutationCache } from "./mutation-cache.ts";
import { StaleKeys } from "./stale-keys.ts";
import { trimMetadata } from "./trim.ts";

/**
 * The metadata of Secrets as far as it is known: the watch's cache, over it what this process has just written and the
 * cache has yet to see, and behind it one live look. No Secret's data is ever in here.
 */
export class SecretView {
  readonly #cache: View<KubeObject>;
  readonly #client: KubeClient;
  readonly #written: MutationCache<ObjectMeta>;
  readonly #byController = new Map<string, OneOrMany<string>>();
  readonly #merged = new MergeIndex();
  /** Secrets of which the API server has said that they are not what they were taken for. */
  readonly #stale: StaleKeys;

  constructor(cache: View<KubeObject>, client: KubeClient, clock: Clock) {
    this.#cache = cache;
    this.#client = client;
    this.#written = new MutationCache(clock);
    this.#stale = new StaleKeys(clock);
  }

  /** What is known without asking; undefined too where the cache had no room for it. */
  known(namespace: string, name: string): ObjectMeta | undefined {
    const key = `${namespace}/${name}`;
    const written = this.#written.get(key);
    if (written) return written.value;
    const cached = this.#cache.get(key);
    return isCut(cached) ? undefined : cached?.metadata;
  }

  /** Whether the cache has a Secret of this name, and had no room for its metadata. */
  isCut(namespace: string, name: string): boolean {
    return isCut(this.#cache.get(`${namespace}/${name}`));
  }

  /** Asks the API server: for a Secret without our label, which the cache cannot know. */
  async look(namespace: string, name: string): Promise<ObjectMeta | undefined> {
    try {
      const found = await this.#client.get<KubeObject>(secrets, namespace, name, { metadataOnly: true });
      return found.metadata;
    } catch (error) {
      if (error instanceof KubeError && error.kind === "notFound") return undefined;
      throw error;
    }
  }

  /** To be called before a write. */
  writing(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    this.#written.begin(key, this.#cache.get(key)?.metadata.resourceVersion);
  }

  /**
   * Notes what was written, until the watch shows it.
   *
   * @param metadata what the API server answered; undefined for a deletion
   * @param base the version that the write was made upon, undefined for a creation
   */
  wrote(namespace: string, name: string, metadata: ObjectMeta | undefined, base: string | undefined): void {
    const key = `${namespace}/${name}`;
    const trimmed = metadata && trimMetadata(metadata);
    this.#merged.set(key, trimmed);
    if (!this.#written.note(key, trimmed, metadata?.resourceVersion, base)) this.#stale.add(key);
  }

  /** Notes that a write was refused: the next decision asks the API server, and rests on nothing remembered. */
  invalidate(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    this.#written.invalidate(key);
    this.#stale.add(key);
  }

  /** Whether a Secret has been doubted since the last time this was asked. */
  isStale(namespace: string, name: string): boolean {
    return this.#stale.take(`${namespace}/${name}`);
  }

  /**
   * Takes a change from the watch.
   *
   * @returns whether it tells something new: our own write coming back does not
   */
  changed({ key, before, after }: Change<KubeObject>): boolean {
    reindex(this.#byController, key, applierOf(before?.metadata), applierOf(after?.metadata));
    const change = this.#written.take(key, after?.metadata.resourceVersion);
    // What came before our own write says less than its answer.
    if (change !== "older") this.#merged.set(key, after?.metadata);
    if (change === "unsure") this.#stale.add(key);
    return change === "news" || change === "unsure";
  }

  /** Secrets to which the SyncedSecret of this uid, and nobody else, was given as their controller: namespace/name. */
  controlledBy(uid: string): Iterable<string> {
    return each(this.#byController.get(uid));
  }

  /** Secrets that the SyncedSecret of this uid has merged into: namespace/name. */
  mergedBy(uid: string): Iterable<string> {
    return this.#merged.of(uid);
  }
}

/** The uid of the owner that controls an object. */
export function controllerOf(metadata: ObjectMeta | undefined): string | undefined {
  return metadata?.ownerReferences?.find((owner) => owner.controller)?.uid;
}

/**
 * The uid of the SyncedSecret that controls a Secret, where it was an apply of ours that made it the controller: anybody
 * may write an owner reference.
 */
export function applierOf(metadata: ObjectMeta | undefined): string | undefined {
  const uid = controllerOf(metadata);
  if (uid === undefined) return undefined;
  return ownedBy(metadata!.managedFields, fieldManager)?.ownerReferenceUids.has(uid) ? uid : undefined;
}
