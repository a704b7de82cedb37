import type { Metrics } from "../../metrics/metrics.ts";
import { type Clock, type Random, sleep } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { KubeError } from "../errors.ts";
import type { KubeObject, Resource } from "../resource.ts";
import type { CacheBound } from "./cache-bound.ts";
import { listAll, type PageRequest } from "./list.ts";
import type { ListOptions, ListPage, ListWatch } from "./list-watch.ts";
import { ReflectorBackoff } from "./reflector-backoff.ts";
import { restart, type WatchRun } from "./restart.ts";
import type { Change, Store } from "./store.ts";
import type { WatchProgress } from "./stuck-watch.ts";
import { type Feed, WatchCache } from "./watch-cache.ts";
import { parseEvent, type SkipCause } from "./watch-event.ts";
import { type Fault, faultOf } from "./watch-fault.ts";
import { abortable, readStream, type StreamEnd } from "./watch-stream.ts";

/** What a reflector lists and watches, its listener, and its dependencies. */
export interface ReflectorOptions<T extends KubeObject> {
  source: ListWatch;
  resource: Resource;
  /** One namespace. Default: all namespaces. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Keep only apiVersion, kind and metadata, even if the server sends whole objects. Default false. */
  metadataOnly?: boolean;
  /** Drops the fields of an object that are not used, to save memory. It must keep metadata. */
  trim?: (object: T) => T;
  /** Memory limit for the objects of one namespace. Default: no limit. */
  bound?: CacheBound<T>;
  /** Called after the store has been updated. It should enqueue the key and return. */
  onChange: (change: Change<T>) => void;
  clock: Clock;
  random: Random;
  metrics: Pick<Metrics, "watchRestarts">;
  log: Log;
  /**
   * Milliseconds without a byte after which a watch counts as dead. Default 150,000: the API server sends bookmarks
   * every minute.
   */
  silenceMs?: number;
}

/** Minimum milliseconds between the starts of two watches. */
const minIntervalMs = 1000;

/** Minimum timeout of a watch in seconds. The timeout is 1 to 2 times as long. */
const minTimeoutSeconds = 300;

/** Timeout of one list request in milliseconds: longer than the API server's own limit of one minute. */
const listTimeoutMs = 90_000;

/**
 * Keeps a store up to date with the API server by list and watch, as client-go's tools/cache/reflector.go does. It
 * differs in the silence limit, the minimum interval between watches, and the delay before a watch after a 500.
 */
export class Reflector<T extends KubeObject> {
  #options: ReflectorOptions<T>;
  #watchCache: WatchCache<T>;
  #pace: ReflectorBackoff;
  /** The server refused the last resourceVersion as too old or too new: the next list requests the newest state. */
  #versionUnavailable = false;
  #lastStart: number | undefined;
  #internalSince: number | undefined;
  #steppedAt: number | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#watchCache = new WatchCache(options);
    this.#pace = new ReflectorBackoff(options.clock, options.random);
  }

  get store(): Store<T> {
    return this.#watchCache.store;
  }

  /** Resolves at the first full state. Never resolves if the run ends before. */
  get synced(): Promise<void> {
    return this.#watchCache.synced;
  }

  /** Whether the store has held a full state. Stays true from then on. */
  get hasSynced(): boolean {
    return this.#watchCache.hasSynced;
  }

  /** The resourceVersion of the store's state: opaque, empty before the first state. */
  get lastResourceVersion(): string {
    return this.#watchCache.resourceVersion;
  }

  /** When the last list or event arrived, in milliseconds since the epoch. */
  get lastEventAt(): number | undefined {
    return this.#watchCache.lastEventAt;
  }

  /**
   * Its last step: a request or a delay that began or ended, or bytes of a watch. Each step is bounded, also while the
   * API server cannot be reached. The longest is the silence limit of a watch.
   */
  get progress(): WatchProgress {
    const { resource, namespace } = this.#options;
    return { resource, namespace, steppedAt: this.#steppedAt };
  }

  /** Number of skipped objects and lines, by cause. */
  get skipped(): Readonly<Record<SkipCause, number>> {
    return this.#watchCache.skipped;
  }

  /** Lists and watches until `signal` aborts. After it resolves, no listener is called. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#step();
      const retryAfterMs = await this.#round(signal);
      this.#step();
      if (!signal.aborted) await this.#pace.delay(signal, retryAfterMs);
    }
    this.#steppedAt = undefined;
  }

  #step(): void {
    this.#steppedAt = this.#options.clock.monotonic();
  }

  /** One list, and watches until the next list is due. Returns the delay that the server requested. */
  async #round(signal: AbortSignal): Promise<number | undefined> {
    const fault = await this.#list(signal);
    if (fault) return fault.retryAfterMs;
    while (!signal.aborted) {
      const run = await this.#watch(signal);
      if (!run) return undefined;
      this.#step();
      const { cause, next } = restart(run);
      const retryAfterMs = run.fault?.retryAfterMs;
      this.#options.metrics.watchRestarts.inc({ cause });
      const level = next === "delay-list" && cause !== "gone" ? "warn" : "debug";
      this.#log(level, { cause, next, ...(run.error && { error: run.error }) }, "watch ended");
      this.#internalSince = cause === "internal" ? (this.#internalSince ?? this.#options.clock.monotonic()) : undefined;
      switch (next) {
        case "watch":
          await this.#waitMinInterval(signal);
          break;
        case "delay-watch":
          await this.#pace.delay(signal, retryAfterMs);
          break;
        case "delay-list":
          return retryAfterMs;
      }
    }
    return undefined;
  }

  /**
   * client-go has no such minimum. Without it, a server that sends one event and closes would be watched in a tight
   * loop.
   */
  async #waitMinInterval(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const left = (this.#lastStart ?? 0) + minIntervalMs - clock.monotonic();
    if (left > 0) await sleep(clock, left, signal);
  }

  /** Replaces the store's content by a list. Returns the fault if the list failed. */
  async #list(signal: AbortSignal): Promise<Fault | undefined> {
    const list = (version: string) =>
      listAll(
        (request) => this.#request(request, signal),
        version,
        (item: T) => this.#watchCache.admit(item),
      );
    const version = this.#versionUnavailable ? "" : this.#watchCache.resourceVersion || "0";
    try {
      const listed = await list(version).catch((error) => {
        const { kind } = faultOf(error);
        if (signal.aborted || (kind !== "gone" && kind !== "too-new")) throw error;
        this.#versionUnavailable = true;
        return list("");
      });
      if (signal.aborted) return undefined;
      this.#versionUnavailable = false;
      this.#watchCache.adopt(listed.items, listed.resourceVersion, signal);
      return undefined;
    } catch (error) {
      const fault = faultOf(error);
      if (!signal.aborted) this.#log("warn", { fault: fault.kind, error: reasonOf(error) }, "list failed");
      return fault;
    }
  }

  async #request(request: PageRequest, signal: AbortSignal): Promise<ListPage<T>> {
    const { source, resource, clock } = this.#options;
    const inner = new AbortController();
    const stop = () => inner.abort();
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    const timer = clock.setTimer(stop, listTimeoutMs);
    this.#step();
    try {
      return await abortable(
        source.list<T>(resource, { ...this.#scope(), ...request, signal: inner.signal }),
        inner.signal,
      );
    } finally {
      timer.cancel();
      signal.removeEventListener("abort", stop);
    }
  }

  /** Runs one watch to its end. Returns undefined if it was stopped. */
  async #watch(signal: AbortSignal): Promise<WatchRun | undefined> {
    const { source, resource, clock, random, silenceMs } = this.#options;
    const from = this.#watchCache.resourceVersion;
    const feed: Feed = { unordered: from === "" || from === "0", events: 0 };
    const start = clock.monotonic();
    this.#lastStart = start;
    this.#step();
    const end: StreamEnd<Fault> = await readStream({
      open: (inner) =>
        source.watch(resource, {
          ...this.#scope(),
          resourceVersion: from,
          timeoutSeconds: Math.floor(minTimeoutSeconds * (1 + random())),
          allowWatchBookmarks: true,
          signal: inner,
        }),
      onBytes: () => this.#step(),
      onLine: (line) => this.#watchCache.take(parseEvent(line, resource), feed, signal),
      silenceMs: silenceMs ?? 150_000,
      clock,
      signal,
    });
    if (end.how === "stopped") return undefined;
    if (feed.events > 0) this.#internalSince = undefined;
    const fault = end.how === "unopened" ? faultOf(end.error) : end.how === "left" ? end.verdict : undefined;
    return {
      how: end.how === "left" || end.how === "unopened" ? "fault" : end.how,
      fault,
      error: end.how === "unopened" ? reasonOf(end.error) : undefined,
      atStart: end.how === "unopened",
      events: feed.events,
      lastedMs: clock.monotonic() - start,
      version: this.#watchCache.resourceVersion,
      internalForMs: this.#internalSince === undefined ? 0 : clock.monotonic() - this.#internalSince,
    };
  }

  #scope(): Pick<ListOptions, "namespace" | "labelSelector" | "fieldSelector" | "metadataOnly"> {
    const { namespace, labelSelector, fieldSelector, metadataOnly } = this.#options;
    return {
      ...(namespace !== undefined && { namespace }),
      ...(labelSelector !== undefined && { labelSelector }),
      ...(fieldSelector !== undefined && { fieldSelector }),
      ...(metadataOnly && { metadataOnly }),
    };
  }

  #log(level: "debug" | "warn", fields: object, message: string): void {
    const { log, resource, namespace } = this.#options;
    log[level]({ resource: resource.plural, ...(namespace !== undefined && { namespace }), ...fields }, message);
  }
}

/**
 * A KubeError's message never contains a part of a body. The message of any other error may, so only its name is used.
 */
function reasonOf(error: unknown): string {
  if (error instanceof KubeError) return error.message;
  return error instanceof Error ? error.name : typeof error;
}
