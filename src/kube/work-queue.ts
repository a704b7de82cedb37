import { backoff, type Clock, type Random, type Timer } from "../runtime/clock.ts";
import { defectOf } from "../runtime/defect.ts";
import { FairQueue, namespaceOf, type Waiting } from "../runtime/fair-queue.ts";
import { Heap } from "../runtime/heap.ts";
import type { Log } from "../runtime/log.ts";

/** The queue's outside worlds, and the backoff of `retry`. */
export interface WorkQueueOptions {
  clock: Clock;
  random: Random;
  /** Milliseconds before the first retry. Default 200. */
  baseDelayMs?: number;
  /** Milliseconds that the doubling stops at, before jitter. Default 300,000. */
  maxDelayMs?: number;
  /** A delay is stretched by a random factor of 1 to 1 + jitter. Default 0.5. */
  jitter?: number;
}

/** Milliseconds within which what a jump of the clocks has made due is worked on. */
const hastenedMs = 60_000;

interface ReadyKey extends Waiting {
  readonly key: string;
  /** Monotonic milliseconds. */
  readonly since: number;
}

interface Delayed {
  readonly key: string;
  readonly at: number;
  readonly priority: number;
  withdrawn: boolean;
}

/**
 * The keys that want a look, as client-go's util/workqueue keeps them: a key that is added twice is worked on once;
 * a key is never with two workers at once; one that is added while it is being worked on comes again afterwards.
 * Delayed adds stand beside ready ones: an add now does not cancel a later one.
 */
export class WorkQueue {
  #clock: Clock;
  #random: Random;
  #baseDelayMs: number;
  #maxDelayMs: number;
  #jitter: number;

  #lanes = new FairQueue<ReadyKey>();
  #ready = new Map<string, ReadyKey>();
  /** Keys that are being worked on; the priority at which they come again, if they were added meanwhile. */
  #working = new Map<string, number | undefined>();
  #later = new Map<string, Delayed>();
  #expiryTimers = new Heap<Delayed>((a, b) => a.at < b.at);
  #timer: { timer: Timer; at: number } | undefined;
  #attempts = new Map<string, number>();
  #idleListeners = new Set<() => void>();
  #readyListeners = new Set<() => void>();

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#baseDelayMs = options.baseDelayMs ?? 200;
    this.#maxDelayMs = options.maxDelayMs ?? 5 * 60_000;
    this.#jitter = options.jitter ?? 0.5;
  }

  /** Makes the key ready now. A higher priority is taken sooner; of two adds of one key, the higher one counts. */
  add(key: string, priority = 0): void {
    if (this.#working.has(key)) {
      this.#working.set(key, Math.max(priority, this.#working.get(key) ?? priority));
      return;
    }
    const waiting = this.#ready.get(key);
    if (waiting && waiting.priority >= priority) return;
    if (waiting) waiting.withdrawn = true;
    this.#makeReady(key, priority);
  }

  /** Adds the key `ms` milliseconds from now. Of several delayed adds of one key, the earliest instant counts. */
  addAfter(key: string, ms: number, priority = 0): void {
    if (!(ms > 0)) {
      this.add(key, priority);
      return;
    }
    const at = this.#clock.monotonic() + ms;
    const known = this.#later.get(key);
    if (known && known.at <= at && known.priority >= priority) return;
    if (known) known.withdrawn = true;
    const delayed: Delayed = {
      key,
      at: Math.min(at, known?.at ?? at),
      priority: Math.max(priority, known?.priority ?? priority),
      withdrawn: false,
    };
    this.#later.set(key, delayed);
    this.#expiryTimers.push(delayed);
    this.#arm();
  }

  /** Brings forward what would be due had `ms` more milliseconds gone by: within a minute, spread. */
  hasten(ms: number): void {
    const now = this.#clock.monotonic();
    for (const { key, at, priority } of [...this.#later.values()]) {
      const left = at - now;
      if (left <= ms) this.addAfter(key, Math.min(left, hastenedMs) * this.#random(), priority);
    }
  }

  /** Adds the key after its own exponential backoff, which doubles with every retry until `forget`. Gives that delay. */
  retry(key: string, priority = 0): number {
    const attempt = this.attempts(key);
    this.#attempts.set(key, attempt + 1);
    const ms = backoff(attempt, this.#baseDelayMs, this.#maxDelayMs, this.#jitter, this.#random);
    this.addAfter(key, ms, priority);
    return ms;
  }

  /** Starts the key's backoff anew: it is well, or gone. What is queued stays queued. */
  forget(key: string): void {
    this.#attempts.delete(key);
  }

  /** How often `retry` was called for the key since it was last forgotten. */
  attempts(key: string): number {
    return this.#attempts.get(key) ?? 0;
  }

  /** Takes the next ready key to work on it; whoever takes it must call `done`. Undefined when nothing is ready. */
  take(): string | undefined {
    const waiting = this.#lanes.take();
    if (!waiting) return undefined;
    this.#ready.delete(waiting.key);
    this.#working.set(waiting.key, undefined);
    return waiting.key;
  }

  /** Gives a taken key back; it becomes ready again when it was added in the meantime. */
  done(key: string): void {
    if (!this.#working.has(key)) return;
    const again = this.#working.get(key);
    this.#working.delete(key);
    if (again !== undefined) this.#makeReady(key, again);
    else if (this.#isIdle()) for (const listener of [...this.#idleListeners]) listener();
  }

  /** Whether the key is going to be worked on without anything more being added: it is ready, or comes again. */
  isWaiting(key: string): boolean {
    return this.#ready.has(key) || this.#working.get(key) !== undefined;
  }

  /** Whether the key is being worked on. */
  isInWork(key: string): boolean {
    return this.#working.has(key);
  }

  /** Keys that are ready. */
  get depth(): number {
    return this.#ready.size;
  }

  /** What is ready, each with its priority and the milliseconds that it has waited. */
  *waits(): Iterable<{ priority: number; forMs: number }> {
    const now = this.#clock.monotonic();
    for (const { priority, since } of this.#ready.values()) yield { priority, forMs: now - since };
  }

  /** Keys that are being worked on. */
  get inWork(): number {
    return this.#working.size;
  }

  /** Keys that are to be added later. */
  get delayed(): number {
    return this.#later.size;
  }

  /** Calls `listener` whenever the last work ends with nothing ready. Gives what takes it off again. */
  onIdle(listener: () => void): () => void {
    return subscribe(this.#idleListeners, listener);
  }

  /** Resolves once nothing is ready and nothing is being worked on; delayed keys do not count. */
  whenIdle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => {
      const off = this.onIdle(() => {
        off();
        resolve();
      });
    });
  }

  /** Calls `listener`, within the add itself, whenever a key becomes ready. Gives what takes it off again. */
  onReady(listener: () => void): () => void {
    return subscribe(this.#readyListeners, listener);
  }

  #isIdle(): boolean {
    return this.#ready.size === 0 && this.#working.size === 0;
  }

  #makeReady(key: string, priority: number): void {
    const waiting = { key, priority, flow: namespaceOf(key), since: this.#clock.monotonic(), withdrawn: false };
    this.#ready.set(key, waiting);
    this.#lanes.push(waiting);
    for (const listener of [...this.#readyListeners]) listener();
  }

  /** One timer, for the earliest instant: a timer a key would cost more than the key. */
  #arm(): void {
    while (this.#expiryTimers.peek()?.withdrawn) this.#expiryTimers.pop();
    const next = this.#expiryTimers.peek();
    if (this.#timer && next && this.#timer.at <= next.at) return;
    this.#timer?.timer.cancel();
    this.#timer = undefined;
    if (!next) return;
    const wait = next.at - this.#clock.monotonic();
    this.#timer = { at: next.at, timer: this.#clock.setTimer(() => this.#fire(), wait) };
  }

  #fire(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (
      let next = this.#expiryTimers.peek();
      next && (next.withdrawn || next.at <= now);
      next = this.#expiryTimers.peek()
    ) {
      this.#expiryTimers.pop();
      if (next.withdrawn) continue;
      this.#later.delete(next.key);
      this.add(next.key, next.priority);
    }
    this.#arm();
  }
}

function subscribe(listeners: Set<() => void>, listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Who works on the keys of a queue. */
export interface WorkersOptions {
  /** Keys that are worked on at once, at most. */
  concurrency: number;
  /**
   * Looks after one key. When it returns without having called `retry` for the key, the key's backoff starts anew;
   * when it throws, that is a defect: the key is retried with backoff.
   */
  handle: (key: string, signal: AbortSignal) => Promise<void>;
  /** Ends the work: no key is taken any more, and the running handlers see it. */
  signal: AbortSignal;
  log: Log;
  /** Called when a handler has thrown; nobody by default. */
  failed?: () => void;
}

/** Works on the queue's keys until the signal aborts; resolves when the last running handler has ended. */
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
          log.error({ key, retryMs: Math.round(retryMs), ...defectOf(error) }, "a handler failed; it is tried again");
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
    // Never within the add itself: who adds a key is in the middle of something.
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
