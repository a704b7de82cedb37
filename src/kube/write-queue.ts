import { Fifo } from "../runtime/fifo.ts";
import { byLane, type Lane, lanes } from "../runtime/lane.ts";
import type { WriteKind } from "./adaptive-limit.ts";

/** What a queue needs to know of a write that waits. */
export interface Queued {
  readonly lane: Lane;
  readonly namespace: string;
  /** Monotonic milliseconds since when it waits. */
  readonly since: number;
  readonly kind: WriteKind;
}

/** Of one begun write, the part of a turn that a lane gains while more urgent ones wait, so that nothing starves. */
const shares: Readonly<Record<Lane, number>> = { event: 0, interactive: 0.25, drift: 0.125, bulk: 0.125, poll: 0.1 };
/** Turns that a lane gains at most while it could take none. */
const mostCredit = 1;

/** What waits of one namespace in one lane. */
class Waits<E extends Queued> {
  readonly #first = new Fifo<E>();
  /** In bulk, statuses: else the last Secrets of a first sync would wait for the statuses of all before them. */
  readonly #last = new Fifo<E>();

  push(write: E): void {
    const isLast = write.lane === "bulk" && write.kind === "status";
    (isLast ? this.#last : this.#first).push(write);
  }

  shift(): E | undefined {
    return this.#first.shift() ?? this.#last.shift();
  }

  get size(): number {
    return this.#first.size + this.#last.size;
  }

  /** Monotonic milliseconds since when the oldest waits. */
  get since(): number {
    return Math.min(this.#first.peek()?.since ?? Infinity, this.#last.peek()?.since ?? Infinity);
  }
}

/**
 * Writes that wait, by lane; within a lane the namespaces take turns, and within one it is first in, first out, but for
 * statuses in bulk, which come after Secrets.
 */
export class WriteQueue<E extends Queued> {
  readonly #lanes = byLane(() => ({
    depth: 0,
    credit: 0,
    waiting: new Map<string, Waits<E>>(),
    turns: new Fifo<string>(),
  }));

  push(write: E): void {
    const lane = this.#lanes[write.lane];
    let waits = lane.waiting.get(write.namespace);
    if (!waits) {
      waits = new Waits();
      lane.waiting.set(write.namespace, waits);
      lane.turns.push(write.namespace);
    }
    waits.push(write);
    lane.depth++;
  }

  /** Whether a lane has gained a turn before more urgent ones. */
  isDue(lane: Lane): boolean {
    return this.#lanes[lane].credit >= 1 && this.#lanes[lane].depth > 0;
  }

  /** Takes the next of a lane, of the first namespace in turn that may write; others keep their turns. */
  take(lane: Lane, mayWrite: (namespace: string) => boolean): E | undefined {
    const { waiting, turns } = this.#lanes[lane];
    const passed: string[] = [];
    let taken: E | undefined;
    for (let left = turns.size; left > 0 && !taken; left--) {
      const namespace = turns.shift()!;
      if (!mayWrite(namespace)) {
        passed.push(namespace);
        continue;
      }
      const waits = waiting.get(namespace)!;
      taken = waits.shift();
      if (waits.size > 0) turns.push(namespace);
      else waiting.delete(namespace);
    }
    for (const namespace of passed.reverse()) turns.unshift(namespace);
    if (taken) this.#spend(lane);
    return taken;
  }

  /** Of each lane in which writes wait: how many, and how long the one that is next in its namespace has, at most. */
  *waits(now: number): Iterable<{ lane: Lane; depth: number; oldestMs: number }> {
    for (const lane of lanes) {
      const { depth, waiting } = this.#lanes[lane];
      if (depth === 0) continue;
      let oldestMs = 0;
      for (const { since } of waiting.values()) oldestMs = Math.max(oldestMs, now - since);
      yield { lane, depth, oldestMs };
    }
  }

  #spend(lane: Lane): void {
    this.#lanes[lane].depth--;
    for (const name of lanes) {
      const other = this.#lanes[name];
      if (name === lane) other.credit = Math.max(other.credit - 1, 0);
      else if (other.depth > 0) other.credit = Math.min(other.credit + shares[name], mostCredit);
    }
  }
}
