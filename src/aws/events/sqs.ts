import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  ListQueueTagsCommand,
  type Message,
  ReceiveMessageCommand,
} from "@aws-sdk/client-sqs";
import type { SendCall } from "../calls.ts";
import type { CallContext } from "../failure.ts";

/** The fields of a queue message that the operator uses. */
export interface QueueMessage {
  id: string;
  /** Deletes the message; differs for each receive. */
  receipt: string;
  /** Untrusted, up to the SQS size limit. Never log it. */
  body: string;
}

/** Maximum messages per call (SQS quota). */
export const batchSize = 10;

/** Options of `receive`. */
export interface ReceiveRequest {
  queueUrl: string;
  /** Maximum messages, 1 to 10. */
  atMost: number;
  /** Long-poll duration in seconds, 0 to 20. */
  waitSeconds: number;
  /** Visibility timeout in seconds. */
  hiddenSeconds: number;
  signal?: AbortSignal;
}

/** SQS calls by one identity. Every method rejects only with an AwsFailure. */
export interface SqsPort {
  /** Returns messages in undefined order; drops a message without id, receipt or body. */
  receive(request: ReceiveRequest): Promise<QueueMessage[]>;
  /**
   * @param messages 1 to 10, distinct
   * @returns the ids of the deleted messages: SQS may reject single entries
   */
  remove(queueUrl: string, messages: readonly Omit<QueueMessage, "body">[], signal?: AbortSignal): Promise<string[]>;
  /**
   * Hides messages for `seconds` from now on. 0 makes them visible; the last leader hands them to the next one so, also
   * after `Identities.stop`.
   *
   * @param messages 1 to 10, distinct
   */
  hide(queueUrl: string, messages: readonly Omit<QueueMessage, "body">[], seconds: number): Promise<void>;
  /** The tags of a queue. */
  tags(queueUrl: string, signal?: AbortSignal): Promise<ReadonlyMap<string, string>>;
}

/**
 * Implements SqsPort with the SDK.
 *
 * @param call makes a call as the identity, with metrics and classified failures
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
      // A standard queue may return a message twice, but DeleteMessageBatch needs distinct ids.
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
    async hide(queueUrl, messages, seconds) {
      const command = new ChangeMessageVisibilityBatchCommand({
        QueueUrl: queueUrl,
        Entries: messages.map(({ id, receipt }) => ({ Id: id, ReceiptHandle: receipt, VisibilityTimeout: seconds })),
      });
      const about = context("ChangeMessageVisibilityBatch", queueUrl, "ChangeMessageVisibility");
      await call(about, undefined, ({ sqs }, abortSignal) => sqs.send(command, { abortSignal }), { afterStop: true });
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

/** Validates a received message. */
function read({ MessageId: id, ReceiptHandle: receipt, Body: body }: Message): QueueMessage[] {
  if (typeof id !== "string" || typeof receipt !== "string" || typeof body !== "string") return [];
  return [{ id, receipt, body }];
}

function list<T>(items: readonly T[] | undefined): readonly T[] {
  return Array.isArray(items) ? items : [];
}
