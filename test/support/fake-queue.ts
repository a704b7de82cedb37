import type { QueueMessage, ReceiveRequest, SqsPort } from "../../src/aws/events/sqs.ts";
import type { Identity } from "../../src/aws/identity.ts";
import { type Clock, sleep } from "../../src/runtime/clock.ts";
import { Failure } from "../../src/runtime/failure.ts";

/** An in-memory queue with the test's clock. `test/aws/events/receiver-emulator.test.ts` tests a real queue. */
export class FakeQueue implements SqsPort {
  readonly tagged = new Map<string, string>();
  readonly calls: string[] = [];
  readonly requests: ReceiveRequest[] = [];
  /** Called before each answer; an error that it throws is the answer. */
  fault: ((operation: string, request: ReceiveRequest | undefined) => void) | undefined;
  readonly #clock: Clock;
  readonly #messages = new Map<string, { body: string; hiddenUntil: number; receipt: string }>();
  readonly #waiting = new Set<AbortController>();
  #ids = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Number of messages that are not deleted. */
  get size(): number {
    return this.#messages.size;
  }

  /** Number of receive calls under way. */
  get waiting(): number {
    return this.#waiting.size;
  }

  send(...bodies: string[]): void {
    for (const body of bodies) {
      this.#ids += 1;
      this.#messages.set(`m${this.#ids}`, { body, hiddenUntil: 0, receipt: "" });
    }
    for (const waiting of this.#waiting) waiting.abort();
  }

  /** Purges the queue, as its owner can. */
  purge(): void {
    this.#messages.clear();
  }

  count(operation: string): number {
    return this.calls.filter((call) => call === operation).length;
  }

  /** An identity whose SQS has only this queue. */
  identity(key: string, region = "eu-west-1"): Identity {
    const unused = async () => {
      throw new Error("only SQS is supported");
    };
    return {
      key,
      region,
      caller: unused,
      ssm: { getParameters: unused, getParameter: unused, getParametersByPath: unused, describeParameters: unused },
      kms: { decrypt: unused, describeKey: unused },
      sqs: this,
    };
  }

  async receive(request: ReceiveRequest): Promise<QueueMessage[]> {
    const { atMost, waitSeconds, hiddenSeconds, signal } = request;
    this.requests.push(request);
    this.#note("ReceiveMessage", request);
    const end = this.#clock.monotonic() + waitSeconds * 1_000;
    for (;;) {
      if (signal?.aborted) throw new Failure("Unreachable", "retry", "given up");
      this.fault?.("ReceiveMessage", request);
      const now = this.#clock.monotonic();
      const free = [...this.#messages].filter(([, { hiddenUntil }]) => hiddenUntil <= now).slice(0, atMost);
      if (free.length > 0 || now >= end) {
        return free.map(([id, message]) => {
          message.hiddenUntil = now + hiddenSeconds * 1_000;
          message.receipt = `${id}@${now}`;
          return { id, receipt: message.receipt, body: message.body };
        });
      }
      const woken = new AbortController();
      this.#waiting.add(woken);
      const shown = [...this.#messages.values()].map(({ hiddenUntil }) => hiddenUntil - now);
      await sleep(
        this.#clock,
        Math.min(end - now, ...shown),
        AbortSignal.any(signal ? [signal, woken.signal] : [woken.signal]),
      );
      this.#waiting.delete(woken);
    }
  }

  async remove(_: string, messages: readonly { id: string; receipt: string }[]): Promise<string[]> {
    this.#note("DeleteMessage", undefined);
    const removed = messages.filter(({ id, receipt }) => this.#messages.get(id)?.receipt === receipt);
    for (const { id } of removed) this.#messages.delete(id);
    return removed.map(({ id }) => id);
  }

  async hide(_: string, messages: readonly { id: string; receipt: string }[], seconds: number): Promise<void> {
    this.#note("ChangeMessageVisibility", undefined);
    for (const { id, receipt } of messages) {
      const message = this.#messages.get(id);
      if (message?.receipt === receipt) message.hiddenUntil = this.#clock.monotonic() + seconds * 1_000;
    }
    for (const waiting of this.#waiting) waiting.abort();
  }

  async tags(): Promise<ReadonlyMap<string, string>> {
    this.#note("ListQueueTags", undefined);
    return this.tagged;
  }

  #note(operation: string, request: ReceiveRequest | undefined): void {
    this.calls.push(operation);
    this.fault?.(operation, request);
  }
}

/** An EventBridge event about a parameter, as delivered to a queue. */
export function changeOf(name: string, part: object = {}): string {
  const { account = "123456789012", region = "eu-west-1" } = part as { account?: string; region?: string };
  return JSON.stringify({
    version: "0",
    "detail-type": "Parameter Store Change",
    source: "aws.ssm",
    account,
    time: "2026-05-22T16:43:48Z",
    region,
    resources: [`arn:aws:ssm:${region}:${account}:parameter${name}`],
    detail: { operation: "Update", name, type: "SecureString" },
    ...part,
  });
}
