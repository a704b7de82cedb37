import { type Message, ReceiveMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";
import type { Metrics } from "../metrics/metrics.ts";
import { sleep } from "../runtime/clock.ts";
import { Failure } from "../runtime/failure.ts";
import { Deletions } from "./deletions.ts";
import { InWork } from "./in-work.ts";
import { type KeyNotice, type ParameterNotice, parseNotice } from "./notice.ts";
import { type Health, QueueAccess, type QueueAccessOptions } from "./queue-access.ts";

export interface ReceiverOptions extends Omit<QueueAccessOptions, "hiddenSeconds" | "signal"> {
  metrics: Metrics;
  /**
   * Does what a notice asks for. Resolves when that is done, and the message is deleted; where it rejects, or takes
   * longer than `handleWithinMs`, the message comes again.
   */
  handle: (notice: ParameterNotice | KeyNotice) => Promise<void>;
  /** What is being worked on of the queue, where other identities receive from it too. */
  inWork?: InWork;
  /** Seconds after which a message that was not deleted comes again; 60. */
  hiddenSeconds?: number;
  /** Called when messages have come, of whatever kind. */
  heard: () => void;
}

/** Messages of one receive (SQS gives no more). */
const batchSize = 10;
/** Receives under way at once: a long poll asks some of the queue's servers only, and each answer costs a round trip. */
const consumersOfAQueue = 3;
/** Milliseconds that one message may be worked on: a long path takes minutes to list. It comes again meanwhile. */
export const handleWithinMs = 300_000;
const hiddenSecondsOfAMessage = 60;

/**
 * Receives one queue's messages as one identity, from `start` to `stop`: batches of ten by long polls, several at once,
 * and goes on receiving while they are worked on. A queue that is gone, denied or silent is tried again with backoff, for as long as it takes.
 */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #access: QueueAccess;
  readonly #inWork: InWork;
  readonly #deletions: Deletions;
  readonly #consumers: readonly Consumer[];
  readonly #stop = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(options: ReceiverOptions) {
    this.#options = options;
    const { queueUrl, clock, inWork = new InWork(clock), hiddenSeconds = hiddenSecondsOfAMessage } = options;
    this.#access = new QueueAccess({ ...options, hiddenSeconds, signal: this.#stop.signal });
    this.#inWork = inWork;
    this.#deletions = new Deletions((messages) => this.#access.remove(messages));
    // What the consumers send goes the way of every other call of the identity: measured, bounded, classed.
    const sqs = { send: (command: unknown) => this.#track(this.#send(command)) } as unknown as SQSClient;
    this.#consumers = Array.from({ length: consumersOfAQueue }, () =>
      Consumer.create({
        queueUrl,
        sqs,
        batchSize,
        handleMessageBatch: async (messages) => this.#take(messages),
      }),
    );
    // A call's failure is known where it was made, and a message's is none of the queue's. Without a listener it throws.
    for (const consumer of this.#consumers) consumer.on("error", () => {});
  }

  /** What is known of the queue. */
  get health(): Health {
    return this.#access.health;
  }

  start(): void {
    for (const consumer of this.#consumers) consumer.start();
  }

  /**
   * Ends every call, and whatever waits for a message to be worked on; what was not deleted comes again, elsewhere or
   * after the next start.
   *
   * @returns resolves when nothing is under way any more
   */
  async stop(): Promise<void> {
    for (const consumer of this.#consumers) consumer.stop();
    this.#stop.abort();
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  /** Carries out what a consumer asks of SQS: it deletes nothing, for it is told that nothing is done with. */
  async #send(command: unknown): Promise<object> {
    if (!(command instanceof ReceiveMessageCommand)) throw new TypeError("a consumer of a queue receives, and no more");
    await this.#inWork.room(this.#stop.signal);
    const messages = await this.#access.receive(batchSize);
    return {
      Messages: messages.map(({ id, receipt, body }) => ({ MessageId: id, ReceiptHandle: receipt, Body: body })),
    };
  }

  /** @returns no message: a consumer would delete what is returned, and wait for it before it receives again */
  #take(messages: Message[]): Message[] {
    if (this.#stop.signal.aborted || this.#access.isAnothers) return [];
    this.#options.heard();
    for (const { MessageId: id = "", ReceiptHandle: receipt = "", Body: body = "" } of messages) {
      const deletion = () => this.#track(this.#deletions.add({ id, receipt }));
      if (this.#inWork.begin(id, deletion)) void this.#track(this.#workOn(id, body));
    }
    return [];
  }

  async #workOn(id: string, body: string): Promise<void> {
    try {
      await this.#takeOne(body);
      await this.#inWork.delete(id);
    } catch {
      // It comes again when it is not hidden any more.
    } finally {
      this.#inWork.end(id);
    }
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
