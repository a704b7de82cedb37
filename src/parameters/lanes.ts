import PQueue from "p-queue";
import type { Identity } from "../aws/identity.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { type Lane, priorityOf } from "../runtime/lane.ts";

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
