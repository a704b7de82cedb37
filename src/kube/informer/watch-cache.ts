import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { KubeObject, Resource } from "../resource.ts";
import type { CacheBound } from "./cache-bound.ts";
import { type Change, Store } from "./store.ts";
import { apiVersionOf, isObjectOf, type SkipCause, type WatchEvent } from "./watch-event.ts";
import type { Fault } from "./watch-fault.ts";

/** The options of a watch cache. ReflectorOptions describes each. */
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

/** The state of a watch that feeds a watch cache. */
export interface Feed {
  /** A watch without a resourceVersion: ADDED events arrive in no order, so their versions cannot be resumed from. */
  unordered: boolean;
  /** Number of processed events, including bookmarks. */
  events: number;
}

/**
 * The objects of one resource and their resourceVersion. Applies lists and events, and reports the changes. Sends no
 * requests.
 */
export class WatchCache<T extends KubeObject> {
  readonly store: Store<T>;
  /** Resolves at the first full state. */
  readonly synced: Promise<void>;
  /** Whether the store has held a full state. */
  hasSynced = false;
  /** Opaque; empty before the first state. */
  resourceVersion = "";
  /** When the last list or event arrived, in milliseconds since the epoch. */
  lastEventAt: number | undefined;
  /** Number of skipped objects and lines, by cause. */
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

  /** Applies one event. Returns the fault of an ERROR event, which ends the watch. */
  take(event: WatchEvent, feed: Feed, signal: AbortSignal): Fault | undefined {
    if (event.type === "ERROR") return event.fault;
    if (event.type === "SKIPPED") {
      this.#skip(event.cause);
      return undefined;
    }
    if (event.type === "BOOKMARK") {
      feed.events++;
      this.lastEventAt = this.#options.clock.now();
      feed.unordered = false;
      this.resourceVersion = event.resourceVersion;
      return undefined;
    }
    const { resourceVersion } = event.object.metadata;
    const object = this.admit(event.object as T);
    if (!object) return undefined;
    feed.events++;
    this.lastEventAt = this.#options.clock.now();
    if (event.type !== "ADDED") feed.unordered = false;
    if (!feed.unordered) this.resourceVersion = resourceVersion ?? "";
    this.#notify(event.type === "DELETED" ? this.store.remove(object) : this.store.put(object), signal);
    return undefined;
  }

  /** Replaces the store's content by a full state. */
  adopt(objects: Iterable<T>, resourceVersion: string, signal: AbortSignal): void {
    const changes = this.store.replace(objects);
    this.resourceVersion = resourceVersion;
    this.lastEventAt = this.#options.clock.now();
    this.hasSynced = true;
    this.#notify(changes, signal);
    this.#announceSync();
  }

  #notify(changes: Change<T>[], signal: AbortSignal): void {
    for (const change of changes) {
      if (signal.aborted) return;
      try {
        this.#options.onChange(change);
      } catch (error) {
        this.#log("error", { key: change.key, error: nameOf(error) }, "listener failed");
      }
    }
  }

  /** Returns the trimmed object, or undefined if it is not an object that was requested. */
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
      this.#log("error", { error: nameOf(error) }, "trimming an object failed");
      this.#skip("bad-object");
      return undefined;
    }
  }

  #skip(cause: SkipCause): void {
    this.skipped[cause]++;
    this.#log("warn", { cause, count: this.skipped[cause] }, "skipped an object or line from the API server");
  }

  #log(level: "warn" | "error", fields: object, message: string): void {
    const { log, resource, namespace } = this.#options;
    log[level]({ resource: resource.plural, ...(namespace !== undefined && { namespace }), ...fields }, message);
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
