import type { Metrics } from "../metrics/metrics.ts";
import { type Clock, type Random, sleep } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import type { CacheBound } from "./cache-bound.ts";
import { KubeError } from "./errors.ts";
import { listAll, type PageRequest } from "./list.ts";
import type { ListOptions, ListPage, ListWatch } from "./list-watch.ts";
import { ReflectorBackoff } from "./reflector-backoff.ts";
import type { KubeObject, Resource } from "./resource.ts";
import { restart, type WatchRun } from "./restart.ts";
import type { Change, Store } from "./store.ts";
import { type Feed, type Verdict, WatchCache } from "./watch-cache.ts";
import { parseEvent, type SkipCause } from "./watch-event.ts";
import { type Fault, faultOf } from "./watch-fault.ts";
import { abortable, readStream, type StreamEnd } from "./watch-stream.ts";

/** What a reflector follows, whom it tells, and its outside worlds. */
export interface ReflectorOptions<T extends KubeObject> {
  source: ListWatch;
  resource: Resource;
  /** One namespace; all of them when left out. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Keep apiVersion, kind and metadata only, whatever the server sends. Default false. */
  metadataOnly?: boolean;
  /** Keeps of an object what is used, so that the rest costs no memory; it must keep metadata. */
  trim?: (object: T) => T;
  /** What is kept of one namespace's objects, at most; all where left out. */
  bound?: CacheBound<T>;
  /** Called when the store already holds `after`; it should enqueue the key and return. */
  onChange: (change: Change<T>) => void;
  clock: Clock;
  random: Random;
  metrics: Pick<Metrics, "watchRestarts">;
  log: Log;
  /**
   * Ask for the first state as a stream (KEP-3157). A server that does not know it is asked for a list instead.
   * Default false.
   */
  useWatchList?: boolean;
  /**
   * Milliseconds without a byte after which a watch is taken for dead. Default 150,000: two and a half times the
   * minute at which the API server sends bookmarks.
   */
  silenceMs?: number;
}

/** Milliseconds from the start of one watch to that of the next, at least, while nothing calls for a delay. */
const floorMs = 1000;

/** The server ends a watch after this many seconds, times 1 to 2. */
const leastTimeoutSeconds = 300;

/** Milliseconds for one request of a list: more than the minute at which the API server itself gives up. */
const listLimitMs = 90_000;

/**
 * Keeps a store equal to what the API server holds, by list and watch, for as long as it runs. The rules are those of
 * client-go's tools/cache/reflector.go; where this differs (the silence limit, the floor between watches, a delay
 * before another watch after a 500) the comment says so.
 */
export class Reflector<T extends KubeObject> {
  #options: ReflectorOptions<T>;
  #watchCache: WatchCache<T>;
  #pace: ReflectorBackoff;
  #useWatchList: boolean;
  /** The last version was refused as too old or too new: the next list asks for the newest state. */
  #versionUnavailable = false;
  #lastStart: number | undefined;
  #internalSince: number | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#watchCache = new WatchCache(options);
    this.#pace = new ReflectorBackoff(options.clock, options.random);
    this.#useWatchList = options.useWatchList ?? false;
  }

  get store(): Store<T> {
    return this.#watchCache.store;
  }

  /** Resolves at the first full state; never, when the run ends before. */
  get synced(): Promise<void> {
    return this.#watchCache.synced;
  }

  /** Whether the store has held a full state; it stays true from then on. */
  get hasSynced(): boolean {
    return this.#watchCache.hasSynced;
  }

  /** The resourceVersion that the store stands at; opaque, empty before the first state. */
  get lastResourceVersion(): string {
    return this.#watchCache.resourceVersion;
  }

  /** When the last list or event came (milliseconds since the epoch). */
  get lastEventAt(): number | undefined {
    return this.#watchCache.lastEventAt;
  }

  /** How many objects and lines were passed over, by cause. */
  get skipped(): Readonly<Record<SkipCause, number>> {
    return this.#watchCache.skipped;
  }

  /** Follows the resource until `signal` aborts; then it resolves, and nothing is called any more. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const retryAfterMs = await this.#round(signal);
      if (!signal.aborted) await this.#pace.delay(signal, retryAfterMs);
    }
  }

  /** One list, or watch-list, and watches until another list is due. Gives the wait that the server asked for. */
  async #round(signal: AbortSignal): Promise<number | undefined> {
    let collecting = this.#useWatchList;
    if (!collecting) {
      const fault = await this.#list(signal);
      if (fault) return fault.retryAfterMs;
    }
    while (!signal.aborted) {
      const run = await this.#watch(collecting, signal);
      if (!run) return undefined;
      const { cause, next } = restart(run);
      const retryAfterMs = run.fault?.retryAfterMs;
      this.#options.metrics.watchRestarts.inc({ cause });
      const level = next === "delay-list" && cause !== "gone" ? "warn" : "debug";
      this.#say(level, { cause, next, ...(run.error && { error: run.error }) }, "a watch ended");
      this.#internalSince = cause === "internal" ? (this.#internalSince ?? this.#options.clock.monotonic()) : undefined;
      if (cause === "unsupported") this.#useWatchList = false;
      collecting = run.collecting;
      switch (next) {
        case "watch":
          await this.#floor(signal);
          break;
        case "delay-watch":
          await this.#pace.delay(signal, retryAfterMs);
          break;
        case "newest":
          this.#versionUnavailable = true;
          break;
        case "list": {
          collecting = false;
          const fault = await this.#list(signal);
          if (fault) return fault.retryAfterMs;
          break;
        }
        case "delay-list":
          return retryAfterMs;
      }
    }
    return undefined;
  }

  /** A floor of our own below client-go's delays: a server that sends one event and closes is not asked in a loop. */
  async #floor(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const left = (this.#lastStart ?? 0) + floorMs - clock.monotonic();
    if (left > 0) await sleep(clock, left, signal);
  }

  /** Replaces the store by a list; gives the fault when there is none to be had. */
  async #list(signal: AbortSignal): Promise<Fault | undefined> {
    const list = (version: string) =>
      listAll(
        (request) => this.#ask(request, signal),
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
      if (!signal.aborted) this.#say("warn", { fault: fault.kind, error: reasonOf(error) }, "a list failed");
      return fault;
    }
  }

  async #ask(request: PageRequest, signal: AbortSignal): Promise<ListPage<T>> {
    const { source, resource, clock } = this.#options;
    const inner = new AbortController();
    const stop = () => inner.abort();
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    const timer = clock.setTimer(stop, listLimitMs);
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

  /** One watch from beginning to end; undefined when it was stopped. */
  async #watch(collecting: boolean, signal: AbortSignal): Promise<WatchRun | undefined> {
    const { source, resource, clock, random, silenceMs } = this.#options;
    const from = collecting && this.#versionUnavailable ? "" : this.#watchCache.resourceVersion;
    const feed: Feed<T> = {
      collected: collecting ? new Map() : undefined,
      unordered: from === "" || from === "0",
      events: 0,
    };
    const start = clock.monotonic();
    this.#lastStart = start;
    const end: StreamEnd<Verdict> = await readStream({
      open: (inner) =>
        source.watch(resource, {
          ...this.#scope(),
          resourceVersion: from,
          timeoutSeconds: Math.floor(leastTimeoutSeconds * (1 + random())),
          allowWatchBookmarks: true,
          ...(collecting && { sendInitialEvents: true, resourceVersionMatch: "NotOlderThan" as const }),
          signal: inner,
        }),
      onLine: (line) => this.#watchCache.take(parseEvent(line, resource), feed, signal),
      silenceMs: silenceMs ?? 150_000,
      clock,
      signal,
    });
    if (end.how === "stopped") return undefined;
    if (feed.events > 0) this.#internalSince = undefined;
    if (collecting && !feed.collected) this.#versionUnavailable = false;
    const fault = end.how === "unopened" ? faultOf(end.error) : end.how === "left" ? end.verdict.fault : undefined;
    return {
      how: fault ? "fault" : end.how === "left" || end.how === "unopened" ? "incapable" : end.how,
      fault,
      error: end.how === "unopened" ? reasonOf(end.error) : undefined,
      atStart: end.how === "unopened",
      events: feed.events,
      lastedMs: clock.monotonic() - start,
      collecting: feed.collected !== undefined,
      from,
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

  #say(level: "debug" | "warn", fields: object, message: string): void {
    const { log, resource, namespace } = this.#options;
    log[level]({ resource: resource.plural, ...(namespace !== undefined && { namespace }), ...fields }, message);
  }
}

/** A KubeError's message names the request and the answer, and holds nothing of a body; another's may hold anything. */
function reasonOf(error: unknown): string {
  if (error instanceof KubeError) return error.message;
  return error instanceof Error ? error.name : typeof error;
}
