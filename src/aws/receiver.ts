import { DeleteMessageBatchCommand, type Message, ReceiveMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";
import type { Metrics } from "../metrics/metrics.ts";
import { type Clock, type Random, sleep } from "../runtime/clock.ts";
import { Failure } from "../runtime/failure.ts";
import type { Log } from "../runtime/log.ts";
import type { Identity } from "./identity.ts";
import { type ParameterNotice, parseNotice } from "./notice.ts";
import { type Health, QueueAccess } from "./queue-access.ts";

export interface ReceiverOptions {
  queueUrl: string;
  identity: Identity;
  /** The operator's `--cluster-name`; empty where it has none. */
  clusterName: string;
  clock: Clock;
  random: Random;
  metrics: Metrics;
  log: Log;
  /**
   * Does what a notice asks for. Resolves when that is done, and the message is deleted; where it rejects, or takes
   * longer than `handleWithinMs`, the message comes again.
   */
  handle: (notice: ParameterNotice) => Promise<void>;
  /** Seconds after which a message that was not deleted comes again; 60. */
  hiddenSeconds?: number;
  /** Called when messages have come, of whatever kind. */
  heard: () => void;
  /** Called when the health has changed. */
  changed: (health: Health) => void;
}

/** Messages of one receive (SQS gives no more). */
const batchSize = 10;
/** Receives under way at once: while one's messages are worked on, the next must not wait. */
const consumersOfAQueue = 3;
/** Milliseconds that one message may be worked on. */
export const handleWithinMs = 30_000;
/** More than a message may be worked on, and its deletion take. */
const hiddenSecondsOfAMessage = 60;

/**
 * Receives one queue's messages as one identity, from `start` to `stop`: batches of ten by long polls, several at once.
 * A queue that is gone, denied or silent is tried again with backoff, for as long as it takes.
 */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #access: QueueAccess;
  readonly #consumers: readonly Consumer[];
  readonly #stop = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(options: ReceiverOptions) {
    this.#options = options;
    const { queueUrl, hiddenSeconds = hiddenSecondsOfAMessage } = options;
    this.#access = new QueueAccess({ ...options, hiddenSeconds, signal: this.#stop.signal });
    // What the consumers send goes the way of every other call of the identity: measured, bounded, classed.
    const sqs = { send: (command: unknown) => this.#track(this.#send(command)) } as unknown as SQSClient;
    this.#consumers = Array.from({ length: consumersOfAQueue }, () =>
      Consumer.create({
        queueUrl,
        sqs,
        batchSize,
        handleMessageBatch: (messages) => this.#track(this.#take(messages)),
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

  /** Carries out what a consumer asks of SQS. */
  async #send(command: unknown): Promise<object> {
    if (command instanceof ReceiveMessageCommand) {
      const messages = await this.#access.receive(batchSize);
      return {
        Messages: messages.map(({ id, receipt, body }) => ({ MessageId: id, ReceiptHandle: receipt, Body: body })),
      };
    }
    if (command instanceof DeleteMessageBatchCommand) {
      const entries = command.input.Entries ?? [];
      const removed = await this.#access.remove(
        entries.map(({ Id, ReceiptHandle }) => ({ id: Id!, receipt: ReceiptHandle! })),
      );
      return { Successful: removed.map((Id) => ({ Id })) };
    }
    throw new TypeError("a consumer of a queue receives and deletes in batches, and nothing else");
  }

  /** @returns the messages that are done with */
  async #take(messages: Message[]): Promise<Message[]> {
    if (this.#stop.signal.aborted) return [];
    this.#options.heard();
    const results = await Promise.allSettled(messages.map(({ Body = "" }) => this.#takeOne(Body)));
    return messages.filter((_, index) => results[index]!.status === "fulfilled");
  }

  async #takeOne(body: string): Promise<void> {
    const { queueUrl, metrics, handle, clock, log } = this.#options;
    const notice = parseNotice(body);
    metrics.eventsReceived.inc({ type: notice.kind === "unknown" ? "unknown" : notice.type });
    if (notice.kind === "unknown") {
      log.debug({ queue: queueUrl }, "a message that is no event of Parameter Store is deleted");
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
