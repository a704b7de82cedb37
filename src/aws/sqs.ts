import {
  DeleteMessageBatchCommand,
  ListQueueTagsCommand,
  type Message,
  ReceiveMessageCommand,
} from "@aws-sdk/client-sqs";
import type { SendCall } from "./calls.ts";
import type { CallContext } from "./failure.ts";

/** Milliseconds that SQS waits for a message, at most (API Reference, ReceiveMessage). */
export const longestWaitMs = 20_000;

/** A message of a queue, as far as it is looked at. */
export interface QueueMessage {
  id: string;
  /** What deletes it; another one each time that the message is received. */
  receipt: string;
  /** May be anything, of any length that SQS carries. Never to be logged. */
  body: string;
}

/** What `receive` asks for. */
export interface ReceiveRequest {
  queueUrl: string;
  /** Messages, 1 to 10. */
  atMost: number;
  /** Seconds that SQS waits for the first message, 0 to 20. */
  waitSeconds: number;
  /** Seconds for which the messages are hidden from others; those not deleted by then come again. */
  hiddenSeconds: number;
  signal?: AbortSignal;
}

/** The reads of SQS, of one identity. Every method rejects with an AwsFailure, and with nothing else. */
export interface SqsPort {
  /** Messages in no order that means anything; a message without id, receipt or body is left out. */
  receive(request: ReceiveRequest): Promise<QueueMessage[]>;
  /**
   * @param messages 1 to 10, distinct
   * @returns the ids of those that were deleted: AWS may refuse single ones
   */
  remove(queueUrl: string, messages: readonly Omit<QueueMessage, "body">[], signal?: AbortSignal): Promise<string[]>;
  /** The tags of a queue. */
  tags(queueUrl: string, signal?: AbortSignal): Promise<ReadonlyMap<string, string>>;
}

/**
 * Receives by the SDK.
 *
 * @param call makes a call of the identity, measured and with its failures classed
 * @param region of the identity, for messages
 */
export function sqsPort(call: SendCall, region: string): SqsPort {
  const context = (operation: string, queueUrl: string, action = operation): CallContext => ({
    service: "sqs",
    operation,
    action,
    region,
    resource: queueUrl,
  });
  return {
    async receive({ queueUrl, atMost, waitSeconds, hiddenSeconds, signal }) {
      const command = new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: atMost,
        WaitTimeSeconds: waitSeconds,
        VisibilityTimeout: hiddenSeconds,
      });
      const answer = await call(
        context("ReceiveMessage", queueUrl),
        signal,
        ({ sqs }, abortSignal) => sqs.send(command, { abortSignal }),
        { waitMs: waitSeconds * 1_000 },
      );
      // A standard queue may give one message twice, and a batch of deletions must not name it twice.
      return [
        ...new Map(
          list(answer.Messages)
            .flatMap(read)
            .map((message) => [message.id, message]),
        ).values(),
      ];
    },
    async remove(queueUrl, messages, signal) {
      const command = new DeleteMessageBatchCommand({
        QueueUrl: queueUrl,
        Entries: messages.map(({ id, receipt }) => ({ Id: id, ReceiptHandle: receipt })),
      });
      const about = context("DeleteMessageBatch", queueUrl, "DeleteMessage");
      const answer = await call(about, signal, ({ sqs }, abortSignal) => sqs.send(command, { abortSignal }));
      return list(answer.Successful).flatMap(({ Id }) => (typeof Id === "string" ? [Id] : []));
    },
    async tags(queueUrl, signal) {
      const command = new ListQueueTagsCommand({ QueueUrl: queueUrl });
      const about = context("ListQueueTags", queueUrl);
      const answer = await call(about, signal, ({ sqs }, abortSignal) => sqs.send(command, { abortSignal }));
      const tags = Object.entries(answer.Tags ?? {});
      return new Map(tags.filter((tag): tag is [string, string] => typeof tag[1] === "string"));
    },
  };
}

/** Takes a message for what it has to be. */
function read({ MessageId: id, ReceiptHandle: receipt, Body: body }: Message): QueueMessage[] {
  if (typeof id !== "string" || typeof receipt !== "string" || typeof body !== "string") return [];
  return [{ id, receipt, body }];
}

function list<T>(items: readonly T[] | undefined): readonly T[] {
  return Array.isArray(items) ? items : [];
}
