import type { Clock, Timer } from "./clock.ts";
import { Heap } from "./heap.ts";

/** How a DelayQueue tells time, and what it does with what is due. */
export interface DelayQueueOptions<E> {
  clock: Clock;
  /** The clock that `at` refers to: monotonic, or milliseconds since the epoch. Default monotonic. */
  now?: () => number;
  /** The longest timer, in milliseconds. Default: no limit. */
  longestMs?: number;
  /** Whether an element is still needed. Others are dropped without a call. */
  isLive: (element: E) => boolean;
  /** Called with everything that is due, the earliest first. */
  reached: (due: E[]) => void;
}

/** Elements that are due at an instant, with one timer for all of them. */
export class DelayQueue<E extends { readonly at: number }> {
  readonly #options: DelayQueueOptions<E>;
  readonly #now: () => number;
  #heap = newHeap<E>();
  #timer: { at: number; timer: Timer } | undefined;
  #isStopped = false;

  constructor(options: DelayQueueOptions<E>) {
    this.#options = options;
    this.#now = options.now ?? (() => options.clock.monotonic());
  }

  /** Number of elements, including those that are no longer needed. */
  get size(): number {
    return this.#heap.size;
  }

  push(element: E): void {
    this.#heap.push(element);
    this.#arm();
  }

  /** Drops the elements that are no longer needed. Linear: call it when they may be half of all. */
  clean(): void {
    const kept = newHeap<E>();
    for (let one = this.#heap.pop(); one; one = this.#heap.pop()) if (this.#options.isLive(one)) kept.push(one);
    this.#heap = kept;
    this.#arm();
  }

  /** Reports what has become due by a change of the clock. */
  check(): void {
    if (!this.#timer) return;
    this.#timer.timer.cancel();
    this.#fire();
  }

  /** Cancels the timer; no other is set. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.timer.cancel();
  }

  #arm(): void {
    const { clock, isLive, longestMs = Infinity } = this.#options;
    for (let first = this.#heap.peek(); first && !isLive(first); first = this.#heap.peek()) this.#heap.pop();
    const next = this.#heap.peek();
    if (this.#timer?.at === next?.at) return;
    this.#timer?.timer.cancel();
    this.#timer = undefined;
    if (!next || this.#isStopped) return;
    const ms = Math.min(next.at - this.#now(), longestMs);
    this.#timer = { at: next.at, timer: clock.setTimer(() => this.#fire(), ms) };
  }

  #fire(): void {
    this.#timer = undefined;
    const now = this.#now();
    const due: E[] = [];
    for (let next = this.#heap.peek(); next && next.at <= now; next = this.#heap.peek()) {
      this.#heap.pop();
      if (this.#options.isLive(next)) due.push(next);
    }
    this.#arm();
    if (due.length > 0) this.#options.reached(due);
  }
}

function newHeap<E extends { readonly at: number }>(): Heap<E> {
  return new Heap((a, b) => a.at < b.at);
}
