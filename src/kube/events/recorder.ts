import { type Clock, endsWithin, sleep, type Timer } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { KeyedTokenBuckets } from "../../runtime/token-bucket.ts";
import type { KubeClient } from "../client/client.ts";
import { isRetryable, KubeError } from "../errors.ts";
import { events } from "../resource.ts";
import { type EventObject, eventOf, type Happening, microTime, type Regarding, seriesKey } from "./event-series.ts";

export interface EventRecorderOptions {
  client: Pick<KubeClient, "create" | "mergePatch">;
  clock: Clock;
  log: Log;
  /** A qualified name: `keyferry.io/controller`. */
  reportingController: string;
  /** The pod's name. */
  reportingInstance: string;
}

/** A repetition within this many milliseconds belongs to the series (client-go tools/events, finishTime). */
const finishMs = 6 * 60_000;
/** Milliseconds between two updates of an ongoing series (client-go tools/events, refreshTime). */
const refreshMs = 30 * 60_000;
/**
 * Writes for one object: 25 at once, then one in five minutes (client-go tools/record, EventSourceObjectSpamFilter).
 */
const perObject = { size: 25, perSecond: 1 / 300, maxKeys: 4096 };
/** Maximum number of series and of waiting writes (client-go: maxLruCacheEntries, maxQueuedEvents). */
const maxSeries = 4096;
const maxWaiting = 1000;
/** Maximum tries of one write, and the delay between them (client-go: maxTriesPerEvent, defaultSleepDuration). */
const maxTries = 12;
const retryMs = 10_000;

interface Series {
  event: EventObject;
  /** Number of occurrences. */
  count: number;
  /** The last occurrence, in milliseconds since the epoch (for the Event) and in monotonic milliseconds. */
  lastSeenAt: number;
  lastAt: number;
  /** The count that the server has; 0 before the Event exists. */
  writtenCount: number;
  /** Monotonic milliseconds when a write was last queued. */
  enqueuedAt: number;
  /** Whether a write waits or is under way. */
  isWaiting: boolean;
}

/**
 * Records Events. Repetitions within six minutes become a series of one Event. The first repetition is written at once,
 * further ones when the series ends and every half hour. Recording returns at once and never fails; an Event that
 * cannot be written is dropped and logged.
 */
export class EventRecorder {
  #options: EventRecorderOptions;
  #series = new Map<string, Series>();
  #buckets: KeyedTokenBuckets;
  #waiting: Series[] = [];
  #writing: Promise<void> | undefined;
  #serial = 0;
  #round: Timer | undefined;
  /** Aborts the delays between tries during a flush. */
  #hurry = new AbortController();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#buckets = new KeyedTokenBuckets(options.clock, perObject);
  }

  /** Records what happened to an object. */
  record(regarding: Regarding, happening: Happening): void {
    const { clock, reportingController: controller, reportingInstance: instance } = this.#options;
    const [seenAt, now] = [clock.now(), clock.monotonic()];
    const key = seriesKey(regarding, happening);
    const running = this.#series.get(key);
    if (running && now - running.lastAt < finishMs) {
      running.count++;
      running.lastAt = now;
      running.lastSeenAt = seenAt;
      if (running.count === 2) this.#enqueue(running, now);
      return;
    }
    if (running) this.#finish(key, running, now);
    const event = eventOf(regarding, happening, { controller, instance }, { now: seenAt, serial: this.#serial++ });
    const series = {
      event,
      count: 1,
      lastSeenAt: seenAt,
      lastAt: now,
      writtenCount: 0,
      enqueuedAt: now,
      isWaiting: false,
    };
    this.#series.set(key, series);
    if (this.#series.size > maxSeries) this.#series.delete(this.#series.keys().next().value!);
    this.#enqueue(series, now);
    this.#round ??= clock.setTimer(() => this.#review(), finishMs);
  }

  /**
   * Resolves when all recorded Events have been written or dropped. From now on, a failed write is not retried.
   *
   * @param withinMs timeout in milliseconds, after which waiting Events are dropped. Default: no timeout.
   */
  async flush(withinMs?: number): Promise<void> {
    const { clock } = this.#options;
    const now = clock.monotonic();
    for (const series of this.#series.values()) if (series.count > series.writtenCount) this.#enqueue(series, now);
    this.#hurry.abort();
    if (withinMs === undefined) await this.#writing;
    else if (!(await endsWithin(clock, this.#writing ?? Promise.resolve(), withinMs))) this.#waiting = [];
    this.#hurry = new AbortController();
  }

  /** Every six minutes: ends series without repetitions, and updates the others. */
  #review(): void {
    const now = this.#options.clock.monotonic();
    for (const [key, series] of this.#series) {
      if (now - series.lastAt >= finishMs) this.#finish(key, series, now);
      else if (series.count > series.writtenCount && now - series.enqueuedAt >= refreshMs) this.#enqueue(series, now);
    }
    this.#round = this.#series.size > 0 ? this.#options.clock.setTimer(() => this.#review(), finishMs) : undefined;
  }

  #finish(key: string, series: Series, now: number): void {
    this.#series.delete(key);
    if (series.count > series.writtenCount) this.#enqueue(series, now);
  }

  #enqueue(series: Series, now: number): void {
    if (series.isWaiting) return;
    const { uid, name, namespace = "" } = series.event.regarding;
    series.enqueuedAt = now;
    if (!this.#buckets.take(`${namespace}/${name}/${uid}`)) return;
    if (this.#waiting.length >= maxWaiting) {
      const { reason } = series.event;
      this.#options.log.debug({ namespace, name, reason }, "event dropped, too many are waiting");
      return;
    }
    series.isWaiting = true;
    this.#waiting.push(series);
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const isFirst = next.writtenCount === 0;
      await this.#write(next);
      next.isWaiting = false;
      // The first repetition arrived while the Event was being created.
      if (isFirst && next.writtenCount === 1 && next.count > 1) this.#enqueue(next, this.#options.clock.monotonic());
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
        const message = error instanceof KubeError ? error.message : "unknown error";
        if (!isRetryable(error) || tries >= maxTries || this.#hurry.signal.aborted) {
          // Debug level: a namespace that is being deleted accepts no Events.
          log.debug({ namespace, name, reason: series.event.reason, error: message }, "writing an event failed");
          return;
        }
        await sleep(clock, Math.max(retryMs, (error as KubeError).retryAfterMs ?? 0), this.#hurry.signal);
      }
    }
  }

  async #send(series: Series): Promise<void> {
    const { client } = this.#options;
    const { event, count, lastSeenAt, writtenCount } = series;
    // The server rejects a series with a count below two.
    const progress = count > 1 ? { series: { count, lastObservedTime: microTime(lastSeenAt) } } : {};
    const { namespace, name } = event.metadata;
    if (writtenCount > 0) {
      try {
        await client.mergePatch(events, { namespace, name: name! }, progress);
        series.writtenCount = count;
        return;
      } catch (error) {
        // The server deletes an Event after an hour by default, and a series can last longer.
        if (!(error instanceof KubeError) || error.kind !== "notFound") throw error;
      }
    }
    try {
      await client.create(events, { ...event, ...progress });
    } catch (error) {
      // An earlier try succeeded, but its answer was lost. The current count is written with the next update.
      if (!(error instanceof KubeError) || error.kind !== "alreadyExists") throw error;
      series.writtenCount = Math.max(writtenCount, 1);
      return;
    }
    series.writtenCount = count;
  }
}
