import type { Metrics } from "../metrics/metrics.ts";
import { type Clock, type Random, sleep } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { listAll, type PageRequest } from "./list.ts";
import type { ListPage, ListWatch } from "./list-watch.ts";
import { Pace } from "./pace.ts";
import type { KubeObject, Resource } from "./resource.ts";
import { restart, type WatchRun } from "./restart.ts";
import { type Change, keyOf, Store } from "./store.ts";
import { apiVersionOf, isObjectOf, parseEvent, type SkipCause, type WatchEvent } from "./watch-event.ts";
import { type Fault, faultOf } from "./watch-fault.ts";
import { abortable, readStream, type StreamEnd } from "./watch-stream.ts";

/** What a reflector follows, whom it tells, and its outside worlds. */
export interface ReflectorOptions<T extends KubeObject> {
  source: ListWatch;
  resource: Resource;
  /** One namespace; all of them when left out. */
  namespace?: string;
  labelSelector?: string;
  /** Keep apiVersion, kind and metadata only, whatever the server sends. Default false. */
  metadataOnly?: boolean;
  /** Keeps of an object what is used, so that the rest costs no memory; it must keep metadata. */
  trim?: (object: T) => T;
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
  readonly store = new Store<T>();
  /** Resolves at the first full state; never, when the run ends before. */
  readonly synced: Promise<void>;
  /** How many objects and lines were passed over, by cause. */
  readonly skipped: Record<SkipCause, number> = {
    "too-long": 0,
    "bad-line": 0,
    "unknown-type": 0,
    "wrong-kind": 0,
    "bad-object": 0,
  };
  #options: ReflectorOptions<T>;
  #pace: Pace;
  #useWatchList: boolean;
  #lastResourceVersion = "";
  /** The last version was refused as too old or too new by a list: the next one asks for the newest state. */
  #versionUnavailable = false;
  #lastEventAt: number | undefined;
  #hasSynced = false;
  #announceSync: () => void;
  #lastStart: number | undefined;
  #internalSince: number | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#pace = new Pace(options.clock, options.random);
    this.#useWatchList = options.useWatchList ?? false;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#announceSync = resolve;
  }

  /** Whether the store has held a full state; it stays true from then on. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** The resourceVersion that the store stands at; opaque, empty before the first state. */
  get lastResourceVersion(): string {
    return this.#lastResourceVersion;
  }

  /** When the last list or event came (milliseconds since the epoch). */
  get lastEventAt(): number | undefined {
    return this.#lastEventAt;
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
      this.#say(next === "delay-list" && cause !== "gone" ? "warn" : "debug", { cause, next }, "a watch ended");
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
        (item: T) => this.#admit(item),
      );
    const version = this.#versionUnavailable ? "" : this.#lastResourceVersion || "0";
    try {
      const listed = await list(version).catch((error) => {
        const { kind } = faultOf(error);
        if (signal.aborted || (kind !== "gone" && kind !== "too-new")) throw error;
        this.#versionUnavailable = true;
        return list("");
      });
      if (!signal.aborted) this.#adopt(listed.items, listed.resourceVersion, signal);
      return undefined;
    } catch (error) {
      const fault = faultOf(error);
      if (!signal.aborted) this.#say("warn", { fault: fault.kind, status: statusOf(error) }, "a list failed");
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
    const from = collecting && this.#versionUnavailable ? "" : this.#lastResourceVersion;
    const watch: Watch<T> = {
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
      onLine: (line) => this.#take(parseEvent(line, resource), watch, signal),
      silenceMs: silenceMs ?? 150_000,
      clock,
      signal,
    });
    if (end.how === "stopped") return undefined;
    if (watch.events > 0) this.#internalSince = undefined;
    const fault = end.how === "unopened" ? faultOf(end.error) : end.how === "left" ? end.verdict.fault : undefined;
    return {
      how: fault ? "fault" : end.how === "left" || end.how === "unopened" ? "incapable" : end.how,
      fault,
      atStart: end.how === "unopened",
      events: watch.events,
      lastedMs: clock.monotonic() - start,
      collecting: watch.collected !== undefined,
      from,
      version: this.#lastResourceVersion,
      internalForMs: this.#internalSince === undefined ? 0 : clock.monotonic() - this.#internalSince,
    };
  }

  /** Takes one event in; gives a verdict when the watch is to be left. */
  #take(event: WatchEvent, watch: Watch<T>, signal: AbortSignal): Verdict | undefined {
    if (event.type === "ERROR") return { fault: event.fault };
    if (event.type === "SKIPPED") {
      this.#skip(event.cause);
      return undefined;
    }
    if (event.type === "BOOKMARK") {
      watch.events++;
      this.#lastEventAt = this.#options.clock.now();
      if (!watch.collected) {
        watch.unordered = false;
        this.#lastResourceVersion = event.resourceVersion;
        return undefined;
      }
      // Before the one that ends the initial events, the server sends no other: this one took no notice of the wish.
      if (!event.initialEventsEnd) return { fault: undefined };
      const collected = watch.collected;
      watch.collected = undefined;
      watch.unordered = false;
      this.#adopt(collected.values(), event.resourceVersion, signal);
      return undefined;
    }
    const { resourceVersion } = event.object.metadata;
    const object = this.#admit(event.object as T);
    if (!object) return undefined;
    watch.events++;
    this.#lastEventAt = this.#options.clock.now();
    const gone = event.type === "DELETED";
    if (watch.collected) {
      if (gone) watch.collected.delete(keyOf(object));
      else watch.collected.set(keyOf(object), object);
      return undefined;
    }
    if (event.type !== "ADDED") watch.unordered = false;
    if (!watch.unordered) this.#lastResourceVersion = resourceVersion ?? "";
    this.#tell(gone ? this.store.remove(object) : this.store.put(object), signal);
    return undefined;
  }

  /** Makes a full state the store's content. */
  #adopt(objects: Iterable<T>, resourceVersion: string, signal: AbortSignal): void {
    const changes = this.store.replace(objects);
    this.#lastResourceVersion = resourceVersion;
    this.#versionUnavailable = false;
    this.#lastEventAt = this.#options.clock.now();
    this.#hasSynced = true;
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
  #admit(object: T): T | undefined {
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

  #scope(): { namespace?: string; labelSelector?: string; metadataOnly?: boolean } {
    const { namespace, labelSelector, metadataOnly } = this.#options;
    return {
      ...(namespace !== undefined && { namespace }),
      ...(labelSelector !== undefined && { labelSelector }),
      ...(metadataOnly && { metadataOnly }),
    };
  }

  #say(level: "debug" | "warn" | "error", fields: object, message: string): void {
    const { log, resource, namespace } = this.#options;
    log[level]({ resource: resource.plural, ...(namespace !== undefined && { namespace }), ...fields }, message);
  }
}

/** One watch under way. */
interface Watch<T> {
  /** The initial events of a watch-list, until their end. */
  collected: Map<string, T> | undefined;
  /** Begun without a version: what is added comes in no order, so its versions say nothing. */
  unordered: boolean;
  events: number;
}

/** Why a watch is left: an ERROR event's fault, or none when the server cannot stream the first state. */
interface Verdict {
  fault: Fault | undefined;
}

function statusOf(error: unknown): number | undefined {
  const status = (error as { status?: unknown } | undefined)?.status;
  return typeof status === "number" ? status : undefined;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
