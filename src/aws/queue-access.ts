import { backoff, type Clock, type Random, sleep } from "../runtime/clock.ts";
import { Failure } from "../runtime/failure.ts";
import type { Log } from "../runtime/log.ts";
import { AwsFailure, answerTooLong } from "./failure.ts";
import type { Identity } from "./identity.ts";
import { longestWaitMs, type QueueMessage } from "./sqs.ts";

/** What is known of a queue: nothing yet, that it is received from, or why it is not. */
export type Health = { state: "pending" } | { state: "ok" } | { state: "failed"; failure: Failure };

export interface QueueAccessOptions {
  queueUrl: string;
  /** Whether the queue is of another account than the identity: its tags can then not be read. */
  isForeign: boolean;
  identity: Identity;
  /** The operator's `--cluster-name`; empty where it has none. */
  clusterName: string;
  clock: Clock;
  random: Random;
  log: Log;
  /** Seconds after which a message that was not deleted comes again. */
  hiddenSeconds: number;
  /** Ends everything. */
  signal: AbortSignal;
  /** Called when the health has changed. */
  changed: (health: Health) => void;
}

/** The tag by which a queue says whose it is. */
export const clusterTag = "keyferry.io/cluster";

/** Milliseconds to the second try, and to every one after many. */
const firstTryAgainMs = 1_000;
const lastTryAgainMs = 60_000;
/** Failures in a row that mend themselves, a throttle or a reset, before they count. */
const troublesUntilFailed = 3;
/** Milliseconds after which the tags are read again: a queue can be given away while it is received from. */
const checkAgainMs = 600_000;
/** Receives that ask for one message alone after an answer that was too long to be read. */
const receivesOfOne = 20;

/**
 * A queue as its consumers share it. While all is well each of them receives on its own, by long polls. Else they take
 * turns: one waits for the backoff, sees whose queue it is and receives what is there; when that goes well, all go on.
 */
export class QueueAccess {
  readonly #options: QueueAccessOptions;
  #health: Health = { state: "pending" };
  /** Failures in a row; results of calls that were begun before the last one do not count. */
  #troubles = 0;
  #round = 0;
  /** By the monotonic clock: when the next try may be, and when the tags were last in order. */
  #tryAt = 0;
  #checkedAt = Number.NEGATIVE_INFINITY;
  /** Why messages cannot be deleted: each would come again and again. */
  #undeletable: Failure | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #onlyOne = 0;

  constructor(options: QueueAccessOptions) {
    this.#options = options;
  }

  get health(): Health {
    return this.#health;
  }

  /** Whether the queue is another cluster's: what comes of it all the same is then none of our business. */
  get isAnothers(): boolean {
    return this.#health.state === "failed" && this.#health.failure.reason === "NotAllowed";
  }

  /**
   * Receives messages when it makes sense to ask.
   *
   * @returns none where none came in 20 s
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
   * Deletes messages; none where the queue is another cluster's.
   *
   * @returns the ids of those that were
   * @throws Failure
   */
  async remove(messages: readonly { id: string; receipt: string }[]): Promise<string[]> {
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
      // What else goes wrong, receiving shows too.
      if (failure.reason === "AccessDenied") {
        this.#undeletable = failure;
        this.#failed(failure, this.#round);
      }
      throw failure;
    }
  }

  get #isWell(): boolean {
    const isChecked = this.#options.clock.monotonic() - this.#checkedAt < checkAgainMs;
    return this.#troubles === 0 && isChecked && !this.#undeletable;
  }

  /** @returns undefined where all is well again without it */
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
    // One message is enough to see whether it can be deleted by now; to wait for it costs less than to ask again.
    return this.#undeletable ? this.#ask(1, longestWaitMs / 1_000) : this.#ask(atMost, 0);
  }

  /** Sees whose queue it is. @throws Failure where it is another cluster's, or where that cannot be told */
  async #check(): Promise<void> {
    const { identity, queueUrl, isForeign, clusterName, clock, signal } = this.#options;
    if (clock.monotonic() - this.#checkedAt < checkAgainMs) return;
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
    const { identity, queueUrl, hiddenSeconds, signal } = this.#options;
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

  /** @param round in which the call began */
  #failed(failure: Failure, round: number): Failure {
    if (this.#options.signal.aborted || round !== this.#round) return failure;
    this.#round += 1;
    this.#troubles += 1;
    this.#backOff();
    const isLasting = failure.next !== "retry";
    // Whatever has happened to the queue, it may be another's when it is there again.
    if (isLasting) this.#checkedAt = Number.NEGATIVE_INFINITY;
    if (isLasting || this.#troubles >= troublesUntilFailed) this.#say({ state: "failed", failure });
    return failure;
  }

  #backOff(): void {
    const { clock, random } = this.#options;
    const waitMs = backoff(Math.max(this.#troubles - 1, 0), firstTryAgainMs, lastTryAgainMs, 0.5, random);
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
      log.warn(
        { queue: queueUrl, reason, error: message },
        "a queue of events is not received from; it is tried again",
      );
    } else log.info({ queue: queueUrl }, "a queue of events is received from");
    changed(health);
  }
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure("Unreachable", "retry", "the queue could not be received from by a defect of the operator");
}
