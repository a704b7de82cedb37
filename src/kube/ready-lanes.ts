import { Heap } from "../runtime/heap.ts";

/** A key that waits for a worker. One that was taken over by a higher priority is `withdrawn` and passed over. */
export interface Waiting {
  readonly key: string;
  readonly priority: number;
  withdrawn: boolean;
}

/**
 * The order in which ready keys are taken: highest priority first; within one, the namespaces take turns, so that a
 * tenant with ten thousand keys does not keep another's single one waiting; within a namespace, first in, first out.
 * Both operations are O(log n) or better, amortized.
 */
export class ReadyLanes {
  #lanes = new Map<number, Lane>();
  #order = new Heap<Lane>((a, b) => a.priority > b.priority);

  push(waiting: Waiting): void {
    let lane = this.#lanes.get(waiting.priority);
    if (!lane) {
      lane = new Lane(waiting.priority);
      this.#lanes.set(waiting.priority, lane);
      this.#order.push(lane);
    }
    lane.push(waiting);
  }

  take(): Waiting | undefined {
    for (;;) {
      const lane = this.#order.peek();
      if (!lane) return undefined;
      const waiting = lane.take();
      if (waiting) return waiting;
      this.#order.pop();
      this.#lanes.delete(lane.priority);
    }
  }
}

/** The ready keys of one priority. */
class Lane {
  readonly priority: number;
  #namespaces = new Map<string, Fifo<Waiting>>();
  #turns = new Fifo<string>();

  constructor(priority: number) {
    this.priority = priority;
  }

  push(waiting: Waiting): void {
    const namespace = namespaceOf(waiting.key);
    let keys = this.#namespaces.get(namespace);
    if (!keys) {
      keys = new Fifo();
      this.#namespaces.set(namespace, keys);
      this.#turns.push(namespace);
    }
    keys.push(waiting);
  }

  take(): Waiting | undefined {
    for (;;) {
      const namespace = this.#turns.shift();
      if (namespace === undefined) return undefined;
      const keys = this.#namespaces.get(namespace)!;
      let waiting = keys.shift();
      while (waiting?.withdrawn) waiting = keys.shift();
      if (keys.size > 0) this.#turns.push(namespace);
      else this.#namespaces.delete(namespace);
      if (waiting) return waiting;
    }
  }
}

/** First in, first out, both in constant time: array.shift and a Map's first key are linear in what has gone. */
class Fifo<E> {
  #elements: (E | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#elements.length - this.#head;
  }

  push(element: E): void {
    this.#elements.push(element);
  }

  shift(): E | undefined {
    if (this.size === 0) return undefined;
    const element = this.#elements[this.#head];
    this.#elements[this.#head++] = undefined;
    if (this.#head > 1024 && this.#head * 2 > this.#elements.length) {
      this.#elements = this.#elements.slice(this.#head);
      this.#head = 0;
    }
    return element;
  }
}

/** The namespace of `namespace/name`; empty for a key without one. */
function namespaceOf(key: string): string {
  const slash = key.indexOf("/");
  return slash < 0 ? "" : key.slice(0, slash);
}
