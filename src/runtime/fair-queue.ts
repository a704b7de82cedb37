import { Fifo } from "./fifo.ts";
import { Heap } from "./heap.ts";

/** An element of a queue. `withdrawn`: it was queued again with a higher priority, or is no longer needed. */
export interface Waiting {
  readonly priority: number;
  /** The owner, usually a namespace. Within a priority, flows take turns. */
  readonly flow: string;
  withdrawn: boolean;
}

/**
 * A queue that takes the highest priority first. Within a priority, flows take turns, so that a tenant with ten
 * thousand elements does not delay another tenant's single one. Within a flow, elements are first in, first out. Both
 * operations are O(log n) or better, amortized.
 */
export class FairQueue<E extends Waiting> {
  #lanes = new Map<number, Turns<E>>();
  #order = new Heap<Turns<E>>((a, b) => a.priority > b.priority);

  push(waiting: E): void {
    let lane = this.#lanes.get(waiting.priority);
    if (!lane) {
      lane = new Turns(waiting.priority);
      this.#lanes.set(waiting.priority, lane);
      this.#order.push(lane);
    }
    lane.push(waiting);
  }

  /** Takes the next element; undefined if the queue is empty. */
  take(): E | undefined {
    for (;;) {
      const lane = this.#order.peek();
      if (!lane) return undefined;
      const waiting = lane.take();
      if (waiting) return waiting;
      this.#order.pop();
      this.#lanes.delete(lane.priority);
    }
  }

  /** Takes the next element of one priority, even if higher priorities wait; undefined if there is none. */
  takeOf(priority: number): E | undefined {
    return this.#lanes.get(priority)?.take();
  }
}

/** The waiting elements of one priority. */
class Turns<E extends Waiting> {
  readonly priority: number;
  #flows = new Map<string, Fifo<E>>();
  #turns = new Fifo<string>();

  constructor(priority: number) {
    this.priority = priority;
  }

  push(waiting: E): void {
    const { flow } = waiting;
    let fifo = this.#flows.get(flow);
    if (!fifo) {
      fifo = new Fifo();
      this.#flows.set(flow, fifo);
      this.#turns.push(flow);
    }
    fifo.push(waiting);
  }

  take(): E | undefined {
    for (;;) {
      const flow = this.#turns.shift();
      if (flow === undefined) return undefined;
      const fifo = this.#flows.get(flow)!;
      let waiting = fifo.shift();
      while (waiting?.withdrawn) waiting = fifo.shift();
      if (fifo.size > 0) this.#turns.push(flow);
      else this.#flows.delete(flow);
      if (waiting) return waiting;
    }
  }
}

/** The flow of a key `namespace/name`: its namespace; empty for a key without one. */
export function namespaceOf(key: string): string {
  const slash = key.indexOf("/");
  return slash < 0 ? "" : key.slice(0, slash);
}
