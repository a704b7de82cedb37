import { batchSize } from "./sqs.ts";

/** Identifies a message to delete. */
export interface Received {
  id: string;
  receipt: string;
}

/** Deletes messages in batches of ten: messages finished during a batch are collected for the next. */
export class Deletions {
  readonly #remove: (messages: readonly Received[]) => Promise<unknown>;
  #snapshot: Received[] = [];
  #next: Promise<void> | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(remove: (messages: readonly Received[]) => Promise<unknown>) {
    this.#remove = remove;
  }

  /** Resolves when the message's batch is done. Never rejects: SQS redelivers an undeleted message. */
  add(message: Received): Promise<void> {
    this.#snapshot.push(message);
    this.#next ??= this.#running.then(turn).then(() => this.#send());
    return this.#next;
  }

  async #send(): Promise<void> {
    const messages = this.#snapshot;
    this.#snapshot = [];
    this.#next = undefined;
    const batches: Promise<unknown>[] = [];
    for (let from = 0; from < messages.length; from += batchSize) {
      batches.push(this.#remove(messages.slice(from, from + batchSize)).catch(() => {}));
    }
    this.#running = Promise.all(batches);
    await this.#running;
  }
}

/** Waits so that messages finished at the same moment join the batch. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
