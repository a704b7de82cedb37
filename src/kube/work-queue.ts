import { backoff, type Clock, type Random } from "../runtime/clock.ts";
import { defectOf } from "../runtime/defect.ts";
import { DelayQueue } from "../runtime/delay-queue.ts";
import { type Eligible, FairQueue, namespaceOf, type Waiting } from "../runtime/fair-queue.ts";
import type { Log } from "../runtime/log.ts";

/** The queue's dependencies, and the backoff of `retry`. */
export interface WorkQueueOptions {
  clock: Clock;
  random: Random;
  /** Milliseconds before the first retry. Default 200. */
  baseDelayMs?: number;
  /** Maximum delay in milliseconds, before jitter. Default 300,000. */
  maxDelayMs?: number;
  /** A delay is multiplied by a random factor of 1 to 1 + jitter. Default 0.5. */
  jitter?: number;
  /** Default: no bounds, and a key's flow is its namespace. */
  bounds?: WorkBounds;
}

/** Bounds the keys in work. A key that a bound excludes stays ready, and other keys pass it. */
export interface WorkBounds {
  /** The flow of a key. The keys of a flow share their bounds. */
  flowOf(key: string): string;
  /** Whether a key of a flow may be taken now. */
  readonly eligible: Eligible;
  /** Counts a key that was taken. */
  took(flow: string, priority: number): void;
  /** Ends the count of a key, and wakes the flows that may then have keys taken. */
  ended(flow: string, priority: number, wake: FairQueue<Waiting>["wake"]): void;
}

/** Milliseconds over which keys are spread that a clock jump made due. */
const hastenedMs = 60_000;

interface ReadyKey extends Waiting {
  readonly key: string;
  /** Monotonic milliseconds. */
  readonly since: number;
}

interface Working {
  /** The flow and the priority that the key was taken from. */
  readonly flow: string;
  readonly priority: number;
  /** Whether the key counts against the bounds. */
  isBounded: boolean;
  /** The priority of the next run if the key was added meanwhile. */
  again: number | undefined;
}

interface Delayed {
  readonly key: string;
  readonly at: number;
  readonly priority: number;
}

/**
 * A work queue as client-go's util/workqueue. A key that is added twice is processed once. No two workers process the
 * same key at once; a key that is added while it is processed is processed again afterwards. An immediate add does not
 * cancel a delayed one.
 */
export class WorkQueue {
  #clock: Clock;
  #random: Random;
  #baseDelayMs: number;
  #maxDelayMs: number;
  #jitter: number;
  #bounds: WorkBounds | undefined;

  #lanes = new FairQueue<ReadyKey>();
  #ready = new Map<string, ReadyKey>();
  #working = new Map<string, Working>();
  #later = new Map<string, Delayed>();
  #delays: DelayQueue<Delayed>;
  #attempts = new Map<string, number>();
  #idleListeners = new Set<() => void>();
  #readyListeners = new Set<() => void>();

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#baseDelayMs = options.baseDelayMs ?? 200;
    this.#maxDelayMs = options.maxDelayMs ?? 5 * 60_000;
    this.#jitter = options.jitter ?? 0.5;
    this.#bounds = options.bounds;
    this.#delays = new DelayQueue({
      clock: options.clock,
      isLive: (delayed) => this.#later.get(delayed.key) === delayed,
      reached: (due) => {
        for (const { key } of due) this.#later.delete(key);
        for (const { key, priority } of due) this.add(key, priority);
      },
    });
  }

  /** Makes the key ready now. Higher priorities come first; if a key is added twice, the higher priority applies. */
  add(key: string, priority = 0): void {
    const working = this.#working.get(key);
    if (working) {
      working.again = Math.max(priority, working.again ?? priority);
      return;
    }
    const waiting = this.#ready.get(key);
    const flow = this.#flowOf(key);
    if (waiting && waiting.priority >= priority && waiting.flow === flow) return;
    if (waiting) waiting.withdrawn = true;
    this.#makeReady(key, Math.max(priority, waiting?.priority ?? priority), flow);
  }

  /** Adds the key after `ms` milliseconds. If a key has several delayed adds, the earliest time applies. */
  addAfter(key: string, ms: number, priority = 0): void {
    if (!(ms > 0)) {
      this.add(key, priority);
      return;
    }
    const at = this.#clock.monotonic() + ms;
    const known = this.#later.get(key);
    if (known && known.at <= at && known.priority >= priority) return;
    const delayed: Delayed = {
      key,
      at: Math.min(at, known?.at ?? at),
      priority: Math.max(priority, known?.priority ?? priority),
    };
    this.#later.set(key, delayed);
    this.#delays.push(delayed);
  }

  /** Moves up the keys that are due within `ms` milliseconds, for example after a clock jump: spread over a minute. */
  hasten(ms: number): void {
    const now = this.#clock.monotonic();
    for (const { key, at, priority } of [...this.#later.values()]) {
      const left = at - now;
      if (left <= ms) this.addAfter(key, Math.min(left, hastenedMs) * this.#random(), priority);
    }
  }

  /** Adds the key after its exponential backoff, which doubles with every retry until `forget`. Returns the delay. */
  retry(key: string, priority = 0): number {
    const attempt = this.attempts(key);
    this.#attempts.set(key, attempt + 1);
    const ms = backoff(
      attempt,
      { baseMs: this.#baseDelayMs, capMs: this.#maxDelayMs, jitter: this.#jitter },
      this.#random,
    );
    this.addAfter(key, ms, priority);
    return ms;
  }

  /** Resets the key's backoff. Queued adds of the key stay. */
  forget(key: string): void {
    this.#attempts.delete(key);
  }

  /** How often `retry` was called for the key since the last `forget`. */
  attempts(key: string): number {
    return this.#attempts.get(key) ?? 0;
  }

  /** Takes the next ready key within the bounds; undefined if there is none. The caller must call `done`. */
  take(): string | undefined {
    const waiting = this.#lanes.take(this.#bounds?.eligible);
    if (!waiting) return undefined;
    const { key, flow, priority } = waiting;
    this.#bounds?.took(flow, priority);
    this.#ready.delete(key);
    this.#working.set(key, { flow, priority, isBounded: true, again: undefined });
    return key;
  }

  /** Ends the count of a key against the bounds, before its work ends: for a rest that uses few resources. */
  release(key: string): void {
    const working = this.#working.get(key);
    if (!working?.isBounded) return;
    working.isBounded = false;
    let isAnyWoken = false;
    this.#bounds?.ended(working.flow, working.priority, (...group) => {
      const isWoken = this.#lanes.wake(...group);
      isAnyWoken ||= isWoken;
      return isWoken;
    });
    if (isAnyWoken) this.#tellReady();
  }

  /** Ends the work on a key. The key becomes ready again if it was added in the meantime. */
  done(key: string): void {
    const working = this.#working.get(key);
    if (!working) return;
    this.release(key);
    this.#working.delete(key);
    if (working.again !== undefined) this.#makeReady(key, working.again, this.#flowOf(key));
    else if (this.#isIdle()) for (const listener of [...this.#idleListeners]) listener();
  }

  /** Whether the key is ready, or will be when its current run ends. */
  isWaiting(key: string): boolean {
    return this.#ready.has(key) || this.#working.get(key)?.again !== undefined;
  }

  /** The priority with which a key in work was taken; undefined if it is not in work. */
  priorityInWork(key: string): number | undefined {
    return this.#working.get(key)?.priority;
  }

  /** The priority of a key's delayed add; undefined if it has none. */
  delayedPriority(key: string): number | undefined {
    return this.#later.get(key)?.priority;
  }

  /** Whether a worker processes the key. */
  isInWork(key: string): boolean {
    return this.#working.has(key);
  }

  /** Number of ready keys. */
  get depth(): number {
    return this.#ready.size;
  }

  /** For each ready key: its priority, and how many milliseconds it has waited. */
  *waits(): Iterable<{ priority: number; forMs: number }> {
    const now = this.#clock.monotonic();
    for (const { priority, since } of this.#ready.values()) yield { priority, forMs: now - since };
  }

  /** Number of keys in work. */
  get inWork(): number {
    return this.#working.size;
  }

  /** Number of keys with a delayed add. */
  get delayed(): number {
    return this.#later.size;
  }

  /** Calls `listener` whenever the queue becomes idle. Returns a function that removes the listener. */
  onIdle(listener: () => void): () => void {
    return subscribe(this.#idleListeners, listener);
  }

  /** Resolves when no key is ready or in work. Delayed keys do not count. */
  whenIdle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => {
      const off = this.onIdle(() => {
        off();
        resolve();
      });
    });
  }

  /** Calls `listener` synchronously when a key becomes ready. Returns a function that removes the listener. */
  onReady(listener: () => void): () => void {
    return subscribe(this.#readyListeners, listener);
  }

  #isIdle(): boolean {
    return this.#ready.size === 0 && this.#working.size === 0;
  }

  #flowOf(key: string): string {
    return this.#bounds?.flowOf(key) ?? namespaceOf(key);
  }

  #makeReady(key: string, priority: number, flow: string): void {
    const waiting = { key, priority, flow, since: this.#clock.monotonic(), withdrawn: false };
    this.#ready.set(key, waiting);
    this.#lanes.push(waiting);
    this.#tellReady();
  }

  #tellReady(): void {
    for (const listener of [...this.#readyListeners]) listener();
  }
}

function subscribe(listeners: Set<() => void>, listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** How a queue's keys are processed. */
export interface WorkersOptions {
  /** Maximum number of keys in work. */
  concurrency: number;
  /**
   * Processes one key. If it returns without calling `retry` for the key, the key's backoff is reset. An exception is a
   * defect: the key is retried with backoff.
   */
  handle: (key: string, signal: AbortSignal) => Promise<void>;
  /** Stops the workers: no more keys are taken. Running handlers get the signal. */
  signal: AbortSignal;
  log: Log;
  /** Called when a handler has thrown. */
  failed?: () => void;
}

/** Processes the queue's keys until the signal aborts. Resolves when the last running handler has ended. */
export function runWorkers(queue: WorkQueue, options: WorkersOptions): Promise<void> {
  const { concurrency, handle, signal, log, failed } = options;
  return new Promise((resolve) => {
    let running = 0;
    let scheduled = false;

    const work = async (key: string) => {
      const attempts = queue.attempts(key);
      try {
        await handle(key, signal);
        if (queue.attempts(key) === attempts) queue.forget(key);
      } catch (error) {
        if (!signal.aborted) {
          const retryMs = queue.retry(key);
          log.error({ key, retryMs: Math.round(retryMs), ...defectOf(error) }, "handler failed, retrying");
          failed?.();
        }
      }
      running--;
      queue.done(key);
      schedule();
    };
    const pump = () => {
      scheduled = false;
      while (!signal.aborted && running < concurrency) {
        const key = queue.take();
        if (key === undefined) break;
        running++;
        void work(key);
      }
      if (signal.aborted && running === 0) finish();
    };
    // Never synchronously within add(): its caller may be in the middle of an update.
    const schedule = () => {
      if (scheduled) return;
      scheduled = true;
      queueMicrotask(pump);
    };
    const finish = () => {
      off();
      signal.removeEventListener("abort", schedule);
      resolve();
    };

    const off = queue.onReady(schedule);
    signal.addEventListener("abort", schedule, { once: true });
    schedule();
  });
}
