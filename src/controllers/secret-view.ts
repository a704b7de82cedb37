import { fieldManager } from "../api/annotations.ts";
import type { KubeClient } from "../kube/client/client.ts";
import { ifPresent } from "../kube/errors.ts";
import { isCut } from "../kube/informer/cache-bound.ts";
import type { Change, View } from "../kube/informer/store.ts";
import { type KubeObject, type ObjectMeta, secrets } from "../kube/resource.ts";
import { ownedBy } from "../kube/write/managed-fields.ts";
import type { Clock } from "../runtime/clock.ts";
import { each, type OneOrMany } from "../runtime/one-or-many.ts";
import { reindex } from "./index-of.ts";
import { MergeIndex } from "./merge-index.ts";
import { MutationCache } from "./mutation-cache.ts";
import { StaleKeys } from "./stale-keys.ts";
import { trimMetadata } from "./trim.ts";

/**
 * The known metadata of Secrets: the watch cache, overlaid by this process's recent writes, with a live read as
 * fallback. It never holds a Secret's data.
 */
export class SecretView {
  readonly #cache: View<KubeObject>;
  readonly #client: KubeClient;
  readonly #written: MutationCache<ObjectMeta>;
  readonly #byController = new Map<string, OneOrMany<string>>();
  readonly #merged = new MergeIndex();
  /** Secrets whose known state the API server has contradicted. */
  readonly #stale: StaleKeys;
  /** What the watch has shown of Secrets while a write of ours was under way. */
  readonly #meanwhile = new Map<string, Change<KubeObject>[]>();
  readonly #news: (change: Change<KubeObject>) => void;

  /** @param news takes each change that is not a write of ours */
  constructor(cache: View<KubeObject>, client: KubeClient, clock: Clock, news: (change: Change<KubeObject>) => void) {
    this.#cache = cache;
    this.#client = client;
    this.#news = news;
    this.#written = new MutationCache(clock);
    this.#stale = new StaleKeys(clock);
  }

  /** The metadata known without a request; also undefined if the cache had no room for it. */
  known(namespace: string, name: string): ObjectMeta | undefined {
    const key = `${namespace}/${name}`;
    const written = this.#written.get(key);
    if (written) return written.value;
    const cached = this.#cache.get(key);
    return isCut(cached) ? undefined : cached?.metadata;
  }

  /** Whether the cache has a Secret of this name without its metadata, for lack of room. */
  isCut(namespace: string, name: string): boolean {
    return isCut(this.#cache.get(`${namespace}/${name}`));
  }

  /** Reads from the API server a Secret without our label, which the cache does not contain. */
  async look(namespace: string, name: string): Promise<ObjectMeta | undefined> {
    return (await ifPresent(this.#client.get<KubeObject>(secrets, namespace, name, { metadataOnly: true })))?.metadata;
  }

  /** Must be called before a write. */
  writing(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    this.#written.begin(key, this.#cache.get(key)?.metadata.resourceVersion);
  }

  /**
   * Notes a write until the watch shows it.
   *
   * @param metadata the API server's response; undefined for a deletion
   * @param base the version before the write, undefined for a creation
   */
  wrote(namespace: string, name: string, metadata: ObjectMeta | undefined, base: string | undefined): void {
    const key = `${namespace}/${name}`;
    const trimmed = metadata && trimMetadata(metadata);
    const shown = this.#written.note(key, trimmed, metadata?.resourceVersion, base);
    if (shown !== "news") this.#merged.set(key, trimmed);
    if (shown === "unsure") this.#stale.add(key);
    const meanwhile = this.#take(key);
    if (shown === "news" || shown === "unsure") meanwhile.forEach(this.#news);
  }

  /** Notes a rejected write: the next decision reads the API server and uses nothing cached. */
  invalidate(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    this.#written.invalidate(key);
    this.#stale.add(key);
    this.#take(key).forEach(this.#news);
  }

  #take(key: string): Change<KubeObject>[] {
    const changes = this.#meanwhile.get(key) ?? [];
    this.#meanwhile.delete(key);
    return changes;
  }

  /** Whether a Secret has been marked stale since the last call. Clears the mark. */
  isStale(namespace: string, name: string): boolean {
    return this.#stale.take(`${namespace}/${name}`);
  }

  /** Handles a change from the watch. While a write of ours is under way, it waits for the response. */
  changed(change: Change<KubeObject>): void {
    const { key, before, after } = change;
    reindex(this.#byController, key, applierOf(before?.metadata), applierOf(after?.metadata));
    const relation = this.#written.take(key, after?.metadata.resourceVersion);
    // A change older than our own write is outdated by its response.
    if (relation !== "older") this.#merged.set(key, after?.metadata);
    if (relation === "unsure") this.#stale.add(key);
    if (relation === "underWay") this.#meanwhile.set(key, [...(this.#meanwhile.get(key) ?? []), change]);
    if (relation === "news" || relation === "unsure") this.#news(change);
  }

  /** Secrets that have the SyncedSecret of this uid as controller by an apply of ours: namespace/name. */
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
 * The uid of the SyncedSecret that controls a Secret, if an apply of ours set it as the controller. Anyone can write an
 * owner reference.
 */
export function applierOf(metadata: ObjectMeta | undefined): string | undefined {
  const uid = controllerOf(metadata);
  if (uid === undefined) return undefined;
  return ownedBy(metadata!.managedFields, fieldManager)?.ownerReferenceUids.has(uid) ? uid : undefined;
}
