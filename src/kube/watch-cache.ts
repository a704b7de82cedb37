import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import type { CacheBound } from "./cache-bound.ts";
import type { KubeObject, Resource } from "./resource.ts";
import { type Change, keyOf, Store } from "./store.ts";
import { apiVersionOf, isObjectOf, type SkipCause, type WatchEvent } from "./watch-event.ts";
import type { Fault } from "./watch-fault.ts";

/** What a mirror keeps, and whom it tells; ReflectorOptions says what each means. */
export interface WatchCacheOptions<T extends KubeObject> {
  resource: Resource;
  namespace?: string;
  metadataOnly?: boolean;
  trim?: (object: T) => T;
  bound?: CacheBound<T>;
  onChange: (change: Change<T>) => void;
  clock: Pick<Clock, "now">;
  log: Log;
}

/** A watch that feeds a mirror. */
export interface Feed<T> {
  /** The initial events of a watch-list, until their end. */
  collected: Map<string, T> | undefined;
  /** Begun without a version: what is added comes in no order, so its versions say nothing. */
  unordered: boolean;
  /** Events that were taken in, bookmarks included. */
  events: number;
}

/** Why a watch is to be left: an ERROR event's fault, or none when the server cannot stream the first state. */
export interface Verdict {
  fault: Fault | undefined;
}

/**
 * What is held of a resource and where it stands: takes in lists and events, and tells what they changed. It asks the
 * server for nothing.
 */
export class WatchCache<T extends KubeObject> {
  readonly store: Store<T>;
  /** Resolves at the first full state. */
  readonly synced: Promise<void>;
  /** Whether the store has held a full state. */
  hasSynced = false;
  /** Opaque; empty before the first state. */
  resourceVersion = "";
  /** When the last list or event came (milliseconds since the epoch). */
  lastEventAt: number | undefined;
  /** How many objects and lines were passed over, by cause. */
  readonly skipped: Record<SkipCause, number> = {
    "too-long": 0,
    "bad-line": 0,
    "unknown-type": 0,
    "wrong-kind": 0,
    "bad-object": 0,
  };
  #options: WatchCacheOptions<T>;
  #announceSync: () => void;

  constructor(options: WatchCacheOptions<T>) {
    this.#options = options;
    this.store = new Store<T>(options.bound);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#announceSync = resolve;
  }

  /** Takes one event in; gives a verdict when the watch is to be left. */
  take(event: WatchEvent, feed: Feed<T>, signal: AbortSignal): Verdict | undefined {
    if (event.type === "ERROR") return { fault: event.fault };
    if (event.type === "SKIPPED") {
      this.#skip(event.cause);
      return undefined;
    }
    if (event.type === "BOOKMARK") {
      feed.events++;
      this.lastEventAt = this.#options.clock.now();
      if (!feed.collected) {
        feed.unordered = false;
        this.resourceVersion = event.resourceVersion;
        return undefined;
      }
      // Before the one that ends the initial events, the server sends no other: this one took no notice of the wish.
      if (!event.initialEventsEnd) return { fault: undefined };
      const collected = feed.collected;
      feed.collected = undefined;
      feed.unordered = false;
      this.adopt(collected.values(), event.resourceVersion, signal);
      return undefined;
    }
    const { resourceVersion } = event.object.metadata;
    const object = this.admit(event.object as T);
    if (!object) return undefined;
    feed.events++;
    this.lastEventAt = this.#options.clock.now();
    const gone = event.type === "DELETED";
    if (feed.collected) {
      if (gone) feed.collected.delete(keyOf(object));
      else feed.collected.set(keyOf(object), object);
      return undefined;
    }
    if (event.type !== "ADDED") feed.unordered = false;
    if (!feed.unordered) this.resourceVersion = resourceVersion ?? "";
    this.#tell(gone ? this.store.remove(object) : this.store.put(object), signal);
    return undefined;
  }

  /** Makes a full state the store's content. */
  adopt(objects: Iterable<T>, resourceVersion: string, signal: AbortSignal): void {
    const changes = this.store.replace(objects);
    this.resourceVersion = resourceVersion;
    this.lastEventAt = this.#options.clock.now();
    this.hasSynced = true;
    this.#tell(changes, signal);
    this.#announceSync();
  }

  #tell(changes: Change<T>[], signal: AbortSignal): void {
    for (const change of changes) {
      if (signal.aborted) return;
      try {
        this.#options.onChange(change);
      } catch (error) {
        this.#say("error", { key: change.key, error: nameOf(error) }, "a listener failed");
      }
    }
  }

  /** What is kept of an object that the server sent; undefined when it is not one that was asked for. */
  admit(object: T): T | undefined {
    const { resource, namespace, metadataOnly, trim } = this.#options;
    if (!isObjectOf(object, resource) || (namespace !== undefined && object.metadata.namespace !== namespace)) {
      this.#skip("bad-object");
      return undefined;
    }
    const { metadata } = object;
    const kept = metadataOnly
      ? ({ apiVersion: apiVersionOf(resource), kind: resource.kind, metadata } as object as T)
      : object;
    try {
      return trim ? trim(kept) : kept;
    } catch (error) {
      this.#say("error", { error: nameOf(error) }, "an object could not be trimmed");
      this.#skip("bad-object");
      return undefined;
    }
  }

  #skip(cause: SkipCause): void {
    this.skipped[cause]++;
    this.#say("warn", { cause, count: this.skipped[cause] }, "something that the API server sent was passed over");
  }

  #say(level: "warn" | "error", fields: object, message: string): void {
    const { log, resource, namespace } = this.#options;
    log[level]({ resource: resource.plural, ...(namespace !== undefined && { namespace }), ...fields }, message);
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
