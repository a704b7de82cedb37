import { Fifo } from "../runtime/fifo.ts";
import { byLane, type Lane, lanes } from "../runtime/lane.ts";
import type { WriteKind } from "./adaptive-limit.ts";

/** The fields of a waiting write that the queue uses. */
export interface Queued {
  readonly lane: Lane;
  readonly namespace: string;
  /** When the write was queued, in monotonic milliseconds. */
  readonly since: number;
  readonly kind: WriteKind;
}

/**
 * Credit that each other lane with waiting writes gains when a write begins, so that no lane starves. 1 is one write.
 */
const shares: Readonly<Record<Lane, number>> = { event: 0, interactive: 0.25, drift: 0.125, bulk: 0.125, poll: 0.1 };
/** Maximum credit of a lane. */
const maxCredit = 1;

/** The waiting writes of one namespace in one lane. */
class Waits<E extends Queued> {
  readonly #first = new Fifo<E>();
  /** Status writes in bulk: otherwise the last Secrets of a first sync would wait for all earlier status writes. */
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

  /** When the oldest write was queued, in monotonic milliseconds. */
  get since(): number {
    return Math.min(this.#first.peek()?.since ?? Infinity, this.#last.peek()?.since ?? Infinity);
  }
}

/**
 * Waiting writes by lane. Within a lane, namespaces take turns; within a namespace, writes are first in, first out. In
 * bulk, status writes come after Secrets.
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

  /** Whether a lane has the credit for a write before more urgent lanes. */
  isDue(lane: Lane): boolean {
    return this.#lanes[lane].credit >= 1 && this.#lanes[lane].depth > 0;
  }

  /** Takes the next write of the first namespace in turn that may write. Skipped namespaces keep their turns. */
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

  /** For each lane with waiting writes: their number, and how long the oldest has waited. */
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
      else if (other.depth > 0) other.credit = Math.min(other.credit + shares[name], maxCredit);
    }
  }
}
