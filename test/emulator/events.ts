import { randomUUID } from "node:crypto";
import type { Clock } from "../../src/runtime/clock.ts";
import { parameterArn, type Scope } from "./call.ts";
import { type Moto, motoHeaders } from "./moto.ts";

/** A change as EventBridge tells of it. */
export interface Change {
  operation: "Create" | "Update" | "Delete" | "LabelParameterVersion";
  name: string;
  type: string;
  description?: string | undefined;
}

/** Sends what EventBridge would send to the SQS queues that were named, in the order of the changes. */
export class Events {
  #queues = new Map<string, Scope>();
  #sent: Promise<void> = Promise.resolve();
  #clock: Clock;
  #moto: () => Promise<Moto>;
  #told: () => void;

  /** @param sent called after each message that was sent */
  constructor(clock: Clock, moto: () => Promise<Moto>, sent: () => void) {
    this.#clock = clock;
    this.#moto = moto;
    this.#told = sent;
  }

  /** Makes a standard queue in `scope`. @throws Error where moto refuses it */
  async createQueue(name: string, scope: Scope): Promise<void> {
    await this.#ask(scope, "CreateQueue", { QueueName: name });
  }

  /** Sends the events of `scope` to the queue at `queueUrl`, which lies in the same scope, from now on. */
  to(queueUrl: string, scope: Scope): void {
    this.#queues.set(queueUrl, scope);
  }

  /** Sends no more events, to no queue. */
  clear(): void {
    this.#queues.clear();
  }

  /** A `Parameter Store Change`. */
  changed(scope: Scope, { operation, name, type, description }: Change): void {
    const detail = { operation, name, type, ...(description === undefined ? {} : { description }) };
    this.#emit(scope, name, "Parameter Store Change", detail);
  }

  /** A `Parameter Store Policy Action`; its field is `parameter-name`, not `name`. */
  policyActed(scope: Scope, name: string, type: string, policyType: string): void {
    const detail = { "parameter-name": name, "parameter-type": type, "policy-type": policyType };
    this.#emit(scope, name, "Parameter Store Policy Action", detail);
  }

  /** Resolves when everything that was to be sent until now is in its queues. @throws Error where a queue refused */
  flush(): Promise<void> {
    return this.#sent;
  }

  #emit(scope: Scope, name: string, detailType: string, detail: Record<string, string>): void {
    if (this.#queues.size === 0) return;
    const event = {
      version: "0",
      id: randomUUID(),
      "detail-type": detailType,
      source: "aws.ssm",
      account: scope.account,
      // EventBridge's time is to the second.
      time: new Date(this.#clock.now()).toISOString().replace(/\.\d+Z$/, "Z"),
      region: scope.region,
      resources: [parameterArn(scope, name)],
      detail,
    };
    const body = JSON.stringify(event);
    for (const [queue, { account, region }] of this.#queues) {
      if (account !== scope.account || region !== scope.region) continue;
      this.#sent = this.#sent.then(() => this.#send(queue, scope, body));
      // Whoever flushes is told; until then it must not count as unhandled.
      this.#sent.catch(() => {});
    }
  }

  async #send(queueUrl: string, scope: Scope, body: string): Promise<void> {
    try {
      await this.#ask(scope, "SendMessage", { QueueUrl: queueUrl, MessageBody: body });
    } finally {
      this.#told();
    }
  }

  async #ask(scope: Scope, operation: string, input: object): Promise<void> {
    const headers = motoHeaders(scope, "sqs", `AmazonSQS.${operation}`, "1.0");
    const reply = await (await this.#moto()).send("POST", "/", headers, Buffer.from(JSON.stringify(input)));
    if (reply.status !== 200) throw new Error(`SQS refused ${operation}: ${reply.body}`);
  }
}
