import type { Metrics } from "../../metrics/metrics.ts";
import { sleep } from "../../runtime/clock.ts";
import { Failure } from "../../runtime/failure.ts";
import { Deletions, type Received } from "./deletions.ts";
import { InWork } from "./in-work.ts";
import { type KeyNotice, type ParameterNotice, parseNotice } from "./notice.ts";
import { type Health, hideAfterMs, QueueAccess, type QueueAccessOptions } from "./queue-access.ts";
import { batchSize, type QueueMessage } from "./sqs.ts";

export interface ReceiverOptions extends Omit<QueueAccessOptions, "hiddenSeconds" | "signal"> {
  metrics: Metrics;
  /**
   * Handles a notice. The message is deleted when this resolves. If it rejects, or exceeds `handleWithinMs`, SQS
   * redelivers the message.
   */
  handle: (notice: ParameterNotice | KeyNotice) => Promise<void>;
  /** The queue's messages in progress, shared with other identities that receive from it. */
  inWork?: InWork;
  /** Visibility timeout in seconds of messages that take long or fail; default 60. */
  hiddenSeconds?: number;
  /** Called when messages of any kind arrive. */
  heard: () => void;
}

/** Concurrent receives: a response may cover only some of the queue's servers, and each costs a round trip. */
const concurrentReceives = 3;
/** Timeout of handling a message in milliseconds: a long path takes minutes to list. SQS redelivers it meanwhile. */
export const handleWithinMs = 300_000;
const hiddenSecondsOfAMessage = 60;

/**
 * Receives one queue's messages as one identity, from `start` to `stop`, by concurrent long polls for batches of ten.
 * Receiving continues while messages are handled. A missing, denied or unresponsive queue is retried forever, with
 * backoff.
 */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #access: QueueAccess;
  readonly #inWork: InWork;
  readonly #deletions: Deletions;
  readonly #stop = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(options: ReceiverOptions) {
    this.#options = options;
    const { clock, inWork = new InWork(clock), hiddenSeconds = hiddenSecondsOfAMessage } = options;
    this.#access = new QueueAccess({ ...options, hiddenSeconds, signal: this.#stop.signal });
    this.#inWork = inWork;
    this.#deletions = new Deletions((messages) => this.#access.remove(messages));
  }

  /** The state of the queue. */
  get health(): Health {
    return this.#access.health;
  }

  start(): void {
    for (let i = 0; i < concurrentReceives; i++) void this.#track(this.#receive());
  }

  /**
   * Aborts every call and wait, and makes the messages in progress visible again: another process receives them at
   * once. A message that SQS gives to a receive that was in flight becomes visible a few seconds later.
   *
   * @returns resolves when no call is in flight
   */
  async stop(): Promise<void> {
    if (!this.#stop.signal.aborted) void this.#track(this.#access.release(this.#inWork.of(this)));
    this.#stop.abort();
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  /** Receives batches until `stop`. Does not wait for a batch to be handled before the next receive. */
  async #receive(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#inWork.room(signal);
      if (signal.aborted) return;
      try {
        this.#take(await this.#access.receive(batchSize));
      } catch {
        // QueueAccess reports the failure as the queue's health, and waits for the backoff at the next receive.
      }
    }
  }

  #take(messages: readonly QueueMessage[]): void {
    if (messages.length === 0 || this.#access.isAnothers) return;
    if (this.#stop.signal.aborted) return void this.#track(this.#access.release(messages));
    this.#options.heard();
    const unfinished = new Map<string, Received>();
    for (const { id, receipt, body } of messages) {
      unfinished.set(id, { id, receipt });
      const remove = () => this.#track(this.#deletions.add({ id, receipt }));
      if (this.#inWork.begin(id, { by: this, receipt, remove })) void this.#track(this.#workOn(id, body, unfinished));
    }
    void this.#track(this.#hide(unfinished));
  }

  /** Handles and deletes a message, and takes it out of `unfinished` then. */
  async #workOn(id: string, body: string, unfinished: Map<string, Received>): Promise<void> {
    try {
      await this.#takeOne(body);
      await this.#inWork.delete(id);
      unfinished.delete(id);
    } catch {
      // SQS redelivers it after its visibility timeout.
    } finally {
      this.#inWork.end(id);
    }
  }

  /** Hides for long what has not been deleted soon: it is still being handled, or has failed. */
  async #hide(unfinished: ReadonlyMap<string, Received>): Promise<void> {
    const { signal } = this.#stop;
    await sleep(this.#options.clock, hideAfterMs, signal);
    if (!signal.aborted && unfinished.size > 0) await this.#access.hide([...unfinished.values()]);
  }

  async #takeOne(body: string): Promise<void> {
    const { queueUrl, metrics, handle, clock, log } = this.#options;
    const notice = parseNotice(body);
    metrics.eventsReceived.inc({ type: notice.kind === "unknown" ? "unknown" : notice.type });
    if (notice.kind === "unknown") {
      log.debug({ queue: queueUrl }, "a message that is no event of Parameter Store or KMS is deleted");
      return;
    }
    const over = new AbortController();
    const late = sleep(clock, handleWithinMs, AbortSignal.any([over.signal, this.#stop.signal])).then(() => {
      throw new Failure("Unreachable", "retry", "what an event asks for was not done in time");
    });
    try {
      await Promise.race([handle(notice), late]);
    } catch (error) {
      const said = error instanceof Failure ? error.message : error instanceof Error ? error.name : "unknown";
      const { name, account, region } = notice;
      log.debug({ queue: queueUrl, name, account, region, error: said }, "an event is left to come again");
      throw error;
    } finally {
      over.abort();
      late.catch(() => {});
    }
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    const done = () => this.#underWay.delete(work);
    work.then(done, done);
    return work;
  }
}
