import { type Clock, endsWithin, sleep, type Timer } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import type { KubeClient } from "./client.ts";
import { isRetryable, KubeError } from "./errors.ts";
import { type EventObject, eventOf, type Happening, microTime, type Regarding, seriesKey } from "./event-series.ts";
import { events } from "./resource.ts";
import { TokenBuckets } from "./token-bucket.ts";

export interface EventRecorderOptions {
  client: Pick<KubeClient, "create" | "mergePatch">;
  clock: Clock;
  log: Log;
  /** A qualified name: `keyferry.io/controller`. */
  reportingController: string;
  /** This process: a pod's name. */
  reportingInstance: string;
}

/** A repetition within so many milliseconds belongs to the series (client-go tools/events, finishTime). */
const finishMs = 6 * 60_000;
/** How often a series that goes on is written (client-go tools/events, refreshTime). */
const refreshMs = 30 * 60_000;
/** Writes for one object: 25 at once, then one in five minutes (client-go tools/record, EventSourceObjectSpamFilter). */
const perObject = { burst: 25, intervalMs: 5 * 60_000, mostKeys: 4096 };
/** Series and waiting writes that are held at most (client-go: maxLruCacheEntries, maxQueuedEvents). */
const mostSeries = 4096;
const mostWaiting = 1000;
/** Tries of one write, and the wait between them (client-go: maxTriesPerEvent, defaultSleepDuration). */
const mostTries = 12;
const retryMs = 10_000;

interface Series {
  event: EventObject;
  /** Times that it happened. */
  count: number;
  /** When it happened last: milliseconds since the epoch for the Event, monotonic ones for what is reckoned from it. */
  lastSeenAt: number;
  lastAt: number;
  /** The count that the server has; 0 while it has no Event. */
  toldCount: number;
  /** Monotonic milliseconds when it was last to be told. */
  toldAt: number;
  /** Whether a write of it waits or is under way. */
  isWaiting: boolean;
}

/**
 * Records Events. What repeats within six minutes becomes a series of one Event: its first repetition is written at
 * once, further ones when the series ends or has gone on for half an hour. Recording returns at once and never fails;
 * an Event that cannot be written is dropped and logged.
 */
export class EventRecorder {
  #options: EventRecorderOptions;
  #series = new Map<string, Series>();
  #buckets: TokenBuckets;
  #waiting: Series[] = [];
  #writing: Promise<void> | undefined;
  #serial = 0;
  #round: Timer | undefined;
  /** Aborts waits between tries, while somebody waits for all to be written. */
  #hurry = new AbortController();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#buckets = new TokenBuckets(options.clock, perObject);
  }

  /** Notes what happened to an object. */
  record(regarding: Regarding, happening: Happening): void {
    const { clock, reportingController: controller, reportingInstance: instance } = this.#options;
    const [seenAt, now] = [clock.now(), clock.monotonic()];
    const key = seriesKey(regarding, happening);
    const running = this.#series.get(key);
    if (running && now - running.lastAt < finishMs) {
      running.count++;
      running.lastAt = now;
      running.lastSeenAt = seenAt;
      if (running.count === 2) this.#tell(running, now);
      return;
    }
    if (running) this.#finish(key, running, now);
    const event = eventOf(regarding, happening, { controller, instance }, seenAt, this.#serial++);
    const series = { event, count: 1, lastSeenAt: seenAt, lastAt: now, toldCount: 0, toldAt: now, isWaiting: false };
    this.#series.set(key, series);
    if (this.#series.size > mostSeries) this.#series.delete(this.#series.keys().next().value!);
    this.#tell(series, now);
    this.#round ??= clock.setTimer(() => this.#lookThrough(), finishMs);
  }

  /**
   * Resolves when all that was recorded has been written or given up; each write is tried once from now on.
   *
   * @param withinMs milliseconds after which it resolves all the same, and what waits is given up; no bound when left out
   */
  async flush(withinMs?: number): Promise<void> {
    const { clock } = this.#options;
    const now = clock.monotonic();
    for (const series of this.#series.values()) if (series.count > series.toldCount) this.#tell(series, now);
    this.#hurry.abort();
    if (withinMs === undefined) await this.#writing;
    else if (!(await endsWithin(clock, this.#writing ?? Promise.resolve(), withinMs))) this.#waiting = [];
    this.#hurry = new AbortController();
  }

  /** Every six minutes: ends what no longer repeats, and writes how far the rest has come. */
  #lookThrough(): void {
    const now = this.#options.clock.monotonic();
    for (const [key, series] of this.#series) {
      if (now - series.lastAt >= finishMs) this.#finish(key, series, now);
      else if (series.count > series.toldCount && now - series.toldAt >= refreshMs) this.#tell(series, now);
    }
    this.#round = this.#series.size > 0 ? this.#options.clock.setTimer(() => this.#lookThrough(), finishMs) : undefined;
  }

  #finish(key: string, series: Series, now: number): void {
    this.#series.delete(key);
    if (series.count > series.toldCount) this.#tell(series, now);
  }

  #tell(series: Series, now: number): void {
    if (series.isWaiting) return;
    const { uid, name, namespace = "" } = series.event.regarding;
    series.toldAt = now;
    if (!this.#buckets.take(`${namespace}/${name}/${uid}`)) return;
    if (this.#waiting.length >= mostWaiting) {
      const { reason } = series.event;
      this.#options.log.debug({ namespace, name, reason }, "an Event is dropped: too many wait to be written");
      return;
    }
    series.isWaiting = true;
    this.#waiting.push(series);
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const isFirst = next.toldCount === 0;
      await this.#write(next);
      next.isWaiting = false;
      // The first repetition came while the Event was being made.
      if (isFirst && next.toldCount === 1 && next.count > 1) this.#tell(next, this.#options.clock.monotonic());
    }
    this.#writing = undefined;
  }

  async #write(series: Series): Promise<void> {
    const { clock, log } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        return await this.#send(series);
      } catch (error) {
        const { namespace, name } = series.event.regarding;
        const said = error instanceof KubeError ? error.message : "unknown error";
        if (!isRetryable(error) || tries >= mostTries || this.#hurry.signal.aborted) {
          // A namespace that is being deleted takes no Events: nothing is wrong then.
          log.debug({ namespace, name, reason: series.event.reason, error: said }, "an Event could not be written");
          return;
        }
        await sleep(clock, Math.max(retryMs, (error as KubeError).retryAfterMs ?? 0), this.#hurry.signal);
      }
    }
  }

  async #send(series: Series): Promise<void> {
    const { client } = this.#options;
    const { event, count, lastSeenAt, toldCount } = series;
    // The server takes a series from two on.
    const progress = count > 1 ? { series: { count, lastObservedTime: microTime(lastSeenAt) } } : {};
    const { namespace, name } = event.metadata;
    if (toldCount > 0) {
      try {
        await client.mergePatch(events, namespace, name!, progress);
        series.toldCount = count;
        return;
      } catch (error) {
        // The server keeps an Event for an hour, by default, and a series can last longer.
        if (!(error instanceof KubeError) || error.kind !== "notFound") throw error;
      }
    }
    try {
      await client.create(events, { ...event, ...progress });
    } catch (error) {
      // An earlier try arrived, and its answer did not; what the series has come to since is told later.
      if (!(error instanceof KubeError) || error.kind !== "alreadyExists") throw error;
      series.toldCount = Math.max(toldCount, 1);
      return;
    }
    series.toldCount = count;
  }
}
