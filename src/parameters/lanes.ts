import PQueue from "p-queue";
import type { Identity } from "../aws/identity.ts";
import type { Metrics } from "../metrics/metrics.ts";

/** Whom a read is for, the most urgent first: a person who waits, a Secret that was edited, the mass, a poll. */
export const lanes = ["interactive", "drift", "bulk", "poll"] as const;

export type Lane = (typeof lanes)[number];

/** The more urgent of two lanes. */
export function moreUrgent(a: Lane, b: Lane): Lane {
  return lanes.indexOf(a) <= lanes.indexOf(b) ? a : b;
}

/** The priority of a lane as p-queue takes it: higher starts first. */
export function priorityOf(lane: Lane): number {
  return lanes.length - lanes.indexOf(lane);
}

/** Calls of one identity that may be under way at once. At 50 ms a call it is five times the default quota of AWS. */
const callsAtOnce = 10;

/** The calls to AWS, by identity and lane: one identity that hangs or is throttled takes no place from another. */
export class Lanes {
  readonly #queues = new Map<string, PQueue>();
  readonly #metrics: Metrics;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /**
   * Runs `call` when its turn comes.
   *
   * @returns what `call` returns; rejects with what it throws
   */
  async run<T>(identity: Identity, lane: Lane, call: () => Promise<T>): Promise<T> {
    let queue = this.#queues.get(identity.key);
    if (!queue) {
      queue = new PQueue({ concurrency: callsAtOnce });
      this.#queues.set(identity.key, queue);
    }
    this.#metrics.queueDepth.inc({ lane });
    try {
      return await queue.add(
        () => {
          this.#metrics.queueDepth.dec({ lane });
          return call();
        },
        { priority: priorityOf(lane) },
      );
    } finally {
      if (queue.size === 0 && queue.pending === 0 && this.#queues.get(identity.key) === queue) {
        this.#queues.delete(identity.key);
      }
    }
  }
}
