import { backoff, type Clock, type Random, sleep } from "../../runtime/clock.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Log } from "../../runtime/log.ts";
import { longestWaitMs } from "../clients.ts";
import { AwsFailure, answerTooLong } from "../failure.ts";
import type { Identity } from "../identity.ts";
import type { Received } from "./deletions.ts";
import { batchSize, type QueueMessage } from "./sqs.ts";

/** State of a queue: unknown, receiving, or why receiving fails. */
export type Health = { state: "pending" } | { state: "ok" } | { state: "failed"; failure: Failure };

export interface QueueAccessOptions {
  queueUrl: string;
  /** Whether the queue is in another account than the identity, so that its tags cannot be read. */
  isForeign: boolean;
  identity: Identity;
  /** The operator's `--cluster-name`; empty if unset. */
  clusterName: string;
  clock: Clock;
  random: Random;
  log: Log;
  /** Visibility timeout in seconds of messages that take long or fail. */
  hiddenSeconds: number;
  /** Aborts all calls and waits. */
  signal: AbortSignal;
  /** Called when the health changes. */
  changed: (health: Health) => void;
}

/** The tag that names the cluster that owns a queue. */
export const clusterTag = "keyferry.io/cluster";

/** Backoff after a transient failure, in milliseconds. */
const tryAgain = { baseMs: 1_000, capMs: 60_000, jitter: 0.5 };
/** Consecutive transient failures, such as a throttle or reset, before the queue counts as failed. */
const troublesUntilFailed = 3;
/** Milliseconds after which the tags are read again: the owner of a queue can change. */
const checkAgainMs = 600_000;
/**
 * Visibility timeout in seconds of a receive. A message that SQS gives to a receive that nobody waits for any more, because
 * its process has stopped, stays hidden for this time.
 */
const arrivalSeconds = 3;
/** Milliseconds after which a receiver hides for long what is not deleted: less than `arrivalSeconds`. */
export const hideAfterMs = 2_000;
/** Number of single-message receives after a response above the size limit. */
const receivesOfOne = 20;

/**
 * A queue's state, shared by concurrent receives. While the queue is healthy, each long-polls independently. After a
 * failure, one of them waits for the backoff, checks the owner and receives; on success, all continue.
 */
export class QueueAccess {
  readonly #options: QueueAccessOptions;
  #health: Health = { state: "pending" };
  /** Consecutive failures; results of calls started before the last failure are ignored. */
  #troubles = 0;
  #round = 0;
  /** Monotonic times of the next permitted attempt and of the last successful tag check. */
  #tryAt = 0;
  #checkedAt = Number.NEGATIVE_INFINITY;
  /** Why messages cannot be deleted; receiving would deliver them repeatedly. */
  #undeletable: Failure | undefined;
  /** Whether the visibility of messages may be changed, as far as known. */
  #mayHide = true;
  #turn: Promise<unknown> = Promise.resolve();
  #onlyOne = 0;

  constructor(options: QueueAccessOptions) {
    this.#options = options;
  }

  get health(): Health {
    return this.#health;
  }

  /** Whether the queue belongs to another cluster; its messages are then ignored. */
  get isAnothers(): boolean {
    return this.#health.state === "failed" && this.#health.failure.reason === "NotAllowed";
  }

  /**
   * Receives messages, after the backoff if the queue has failed.
   *
   * @returns an empty list if none arrived in 20 s
   * @throws Failure
   */
  async receive(atMost: number): Promise<QueueMessage[]> {
    if (this.#isWell) return this.#ask(atMost, longestWaitMs / 1_000);
    const turn = this.#turn.then(() => this.#tryAlone(atMost));
    this.#turn = turn.catch(() => {});
    const messages = await turn;
    return messages ?? this.#ask(atMost, longestWaitMs / 1_000);
  }

  /**
   * Deletes messages, but none of another cluster's queue.
   *
   * @returns the ids of the deleted messages
   * @throws Failure
   */
  async remove(messages: readonly Received[]): Promise<string[]> {
    const { identity, queueUrl, signal } = this.#options;
    if (this.isAnothers) return [];
    try {
      const removed = await identity.sqs.remove(queueUrl, messages, signal);
      if (this.#undeletable) {
        this.#undeletable = undefined;
        this.#well();
      }
      return removed;
    } catch (error) {
      const failure = asFailure(error);
      // Receiving reports other failures too.
      if (failure.reason === "AccessDenied") {
        this.#undeletable = failure;
        this.#failed(failure, this.#round);
      }
      throw failure;
    }
  }

  /** Hides messages that take long or have failed. Never rejects; without the permission, receives hide for as long. */
  hide(messages: readonly Received[]): Promise<void> {
    return this.#setVisibility(messages, this.#options.hiddenSeconds);
  }

  /** Makes messages visible again. Never rejects: SQS redelivers a message after its visibility timeout instead. */
  release(messages: readonly Received[]): Promise<void> {
    return this.#setVisibility(messages, 0);
  }

  async #setVisibility(messages: readonly Received[], seconds: number): Promise<void> {
    const { identity, queueUrl, log } = this.#options;
    if (this.isAnothers) return;
    const batches: Promise<void>[] = [];
    for (let from = 0; from < messages.length; from += batchSize) {
      batches.push(identity.sqs.hide(queueUrl, messages.slice(from, from + batchSize), seconds));
    }
    for (const result of await Promise.allSettled(batches)) {
      if (result.status === "fulfilled") continue;
      const { reason, message } = asFailure(result.reason);
      if (reason === "AccessDenied") this.#mayHide = false;
      log.debug({ queue: queueUrl, reason, error: message }, "could not change the visibility of messages");
    }
  }

  get #isWell(): boolean {
    const isChecked = this.#options.clock.monotonic() - this.#checkedAt < checkAgainMs;
    return this.#troubles === 0 && isChecked && !this.#undeletable;
  }

  /** @returns undefined if the queue has recovered meanwhile */
  async #tryAlone(atMost: number): Promise<QueueMessage[] | undefined> {
    const { clock, signal } = this.#options;
    if (this.#isWell) return undefined;
    const waitMs = this.#tryAt - clock.monotonic();
    if (waitMs > 0) await sleep(clock, waitMs, signal);
    if (this.#isWell) return undefined;
    const round = this.#round;
    try {
      await this.#check();
    } catch (error) {
      throw this.#failed(asFailure(error), round);
    }
    // One message is enough to test deletion; a long poll costs less than repeated short ones.
    return this.#undeletable ? this.#ask(1, longestWaitMs / 1_000) : this.#ask(atMost, 0);
  }

  /** Checks the owner. @throws Failure if the queue is another cluster's, or its owner is unknown */
  async #check(): Promise<void> {
    const { identity, queueUrl, isForeign, clusterName, clock, signal } = this.#options;
    if (clock.monotonic() - this.#checkedAt < checkAgainMs) return;
    this.#mayHide = true;
    // No policy can allow ListQueueTags across accounts (SQS Developer Guide, "Cross-account permissions").
    if (isForeign) {
      this.#checkedAt = clock.monotonic();
      return;
    }
    const owner = (await identity.sqs.tags(queueUrl, signal)).get(clusterTag);
    if (owner !== undefined && owner !== clusterName) {
      const we = clusterName === "" ? "without --cluster-name" : `with --cluster-name=${clusterName}`;
      const message = `${queueUrl} is the queue of cluster ${JSON.stringify(owner.slice(0, 100))}, as its tag ${clusterTag} says, and this operator runs ${we}: give each cluster a queue of its own, for of one queue each would see a part`;
      throw new Failure("NotAllowed", "wait", message);
    }
    this.#checkedAt = clock.monotonic();
  }

  async #ask(atMost: number, waitSeconds: number): Promise<QueueMessage[]> {
    const { identity, queueUrl, signal, hiddenSeconds: long } = this.#options;
    const hiddenSeconds = this.#mayHide ? Math.min(long, arrivalSeconds) : long;
    const round = this.#round;
    const isOne = this.#onlyOne > 0;
    try {
      const request = { queueUrl, atMost: isOne ? 1 : atMost, waitSeconds, hiddenSeconds, signal };
      const messages = await identity.sqs.receive(request);
      if (isOne) this.#onlyOne -= 1;
      if (round === this.#round) this.#well();
      return messages;
    } catch (error) {
      const failure = asFailure(error);
      if (failure instanceof AwsFailure && failure.code === answerTooLong) this.#onlyOne = receivesOfOne;
      throw this.#failed(failure, round);
    }
  }

  #well(): void {
    if (this.#undeletable) {
      this.#troubles += 1;
      this.#backOff();
      this.#say({ state: "failed", failure: this.#undeletable });
      return;
    }
    this.#troubles = 0;
    this.#tryAt = 0;
    this.#say({ state: "ok" });
  }

  /** @param round in which the call started */
  #failed(failure: Failure, round: number): Failure {
    if (this.#options.signal.aborted || round !== this.#round) return failure;
    this.#round += 1;
    this.#troubles += 1;
    this.#backOff();
    const isLasting = failure.next !== "retry";
    // Check the tags again: a recreated queue may belong to another cluster.
    if (isLasting) this.#checkedAt = Number.NEGATIVE_INFINITY;
    if (isLasting || this.#troubles >= troublesUntilFailed) this.#say({ state: "failed", failure });
    return failure;
  }

  #backOff(): void {
    const { clock, random } = this.#options;
    const waitMs = backoff(Math.max(this.#troubles - 1, 0), tryAgain, random);
    this.#tryAt = clock.monotonic() + waitMs;
  }

  #say(health: Health): void {
    const { queueUrl, log, changed } = this.#options;
    const before = this.#health;
    const isSame =
      health.state === "failed" && before.state === "failed"
        ? health.failure.message === before.failure.message
        : health.state === before.state;
    if (isSame) return;
    this.#health = health;
    if (health.state === "failed") {
      const { reason, message } = health.failure;
      log.warn({ queue: queueUrl, reason, error: message }, "receiving from the event queue failed, retrying");
    } else log.info({ queue: queueUrl }, "receiving from the event queue");
    changed(health);
  }
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure("Unreachable", "retry", "receiving from the queue failed because of a bug in the operator");
}
