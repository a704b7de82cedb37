import { FairQueue, type Waiting } from "../../runtime/fair-queue.ts";
import { type Lane, lanes, priorityOf } from "../../runtime/lane.ts";
import type { WriteKind } from "./adaptive-limit.ts";

/** The fields of a waiting write that the queue uses. */
export interface Queued extends Waiting {
  readonly lane: Lane;
  /** When the write was queued, in monotonic milliseconds. */
  readonly since: number;
}

/** The priority of statuses of bulk work and polls. Pods wait for Secrets, not for statuses. */
export const bulkStatusPriority = 0;
/**
 * Credit that each other priority with waiting writes gains when a write begins, so that none starves. 1 is one write.
 */
const shares = new Map([
  [priorityOf("interactive"), 0.25],
  [priorityOf("drift"), 0.125],
  [priorityOf("bulk"), 0.125],
  [priorityOf("poll"), 0.1],
  [bulkStatusPriority, 0.005],
]);

/** The priorities of writes, the most urgent first. */
export const writePriorities: readonly number[] = [...lanes.map(priorityOf), bulkStatusPriority];

/** The priority of a write. */
export function writePriority(lane: Lane, kind: WriteKind): number {
  const priority = priorityOf(lane);
  return kind === "status" && isBulk(priority) ? bulkStatusPriority : priority;
}

/** Whether writes of a priority belong to bulk work or polls. */
export function isBulk(priority: number): boolean {
  return priority <= priorityOf("bulk");
}

/**
 * Waiting writes by priority. Within a priority, namespaces take turns; within a namespace, writes are first in, first
 * out. Statuses of bulk work come after all Secrets.
 */
export class WriteQueue<E extends Queued> {
  readonly #queue = new FairQueue<E>((priority) => shares.get(priority) ?? 0);
  readonly #waiting = new Set<E>();

  push(write: E): void {
    this.#queue.push(write);
    this.#waiting.add(write);
  }

  /** Whether writes of a priority wait. */
  has(priority: number): boolean {
    return this.#queue.has(priority);
  }

  /** Whether a priority has the credit for a write before more urgent ones. */
  isDue(priority: number): boolean {
    return this.#queue.isDue(priority);
  }

  /** Takes the next write of the first namespace in turn that may write. Skipped namespaces keep their turns. */
  take(priority: number, mayWrite: (namespace: string) => boolean): E | undefined {
    const taken = this.#queue.takeOf(priority, mayWrite);
    if (taken) this.#waiting.delete(taken);
    return taken;
  }

  /** Removes a write. @returns whether it was waiting */
  withdraw(write: E): boolean {
    const wasWaiting = this.#waiting.delete(write);
    if (wasWaiting) write.withdrawn = true;
    return wasWaiting;
  }

  /** For each lane with waiting writes: their number, and how long the oldest has waited. */
  *waits(now: number): Iterable<{ lane: Lane; depth: number; oldestMs: number }> {
    for (const lane of lanes) {
      let [depth, oldestMs] = [0, 0];
      for (const write of this.#waiting) {
        if (write.lane !== lane) continue;
        depth += 1;
        oldestMs = Math.max(oldestMs, now - write.since);
      }
      if (depth > 0) yield { lane, depth, oldestMs };
    }
  }
}
