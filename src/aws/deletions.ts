/** What a deletion names a message by. */
export interface Received {
  id: string;
  receipt: string;
}

/** Messages of one DeleteMessageBatch (SQS takes no more). */
const batchSize = 10;

/** Deletes messages by tens: those that are done with while a batch is under way wait for it, and go together. */
export class Deletions {
  readonly #remove: (messages: readonly Received[]) => Promise<unknown>;
  #snapshot: Received[] = [];
  #next: Promise<void> | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(remove: (messages: readonly Received[]) => Promise<unknown>) {
    this.#remove = remove;
  }

  /** Resolves when the message's batch was answered. Never rejects: what was not deleted comes again. */
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

/** Lets whatever is done with at this moment come along. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
