import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock, Random } from "../../src/runtime/clock.ts";
import type { Call } from "./call.ts";
import { Calls, type Entry } from "./calls.ts";
import { Denials } from "./denials.ts";
import { Events } from "./events.ts";
import { Faults, NoAnswer } from "./faults.ts";
import {
  errorReply,
  type Json,
  jsonReply,
  queryErrorReply,
  type Reply,
  readBody,
  ServiceError,
  write,
} from "./http.ts";
import { Identities, scopeOf } from "./identities.ts";
import { Kms } from "./kms/service.ts";
import { hopByHop, type Moto } from "./moto.ts";
import { metered, Quota } from "./quota.ts";
import { Sqs } from "./sqs.ts";
import { MemoryStore } from "./ssm/memory-store.ts";
import { MotoStore } from "./ssm/moto-store.ts";
import { namesOf, Ssm } from "./ssm/service.ts";
import { Sts } from "./sts.ts";

export interface DoorOptions {
  clock: Clock;
  random: Random;
  reads: "moto" | "memory";
  quota: number | "none";
  /** Starts moto at its first use, or gives the one that runs. */
  moto: () => Promise<Moto>;
}

/** Takes AWS calls over HTTP, answers what the door knows itself, and passes the rest on to moto. */
export class Door {
  readonly calls = new Calls();
  readonly identities = new Identities();
  readonly denials = new Denials();
  readonly faults: Faults;
  readonly quota: Quota;
  readonly events: Events;
  readonly kms: Kms;
  readonly ssm: Ssm;
  readonly sts: Sts;
  readonly #sqs = new Sqs();
  readonly #moto: () => Promise<Moto>;
  readonly #clock: Clock;

  constructor({ clock, random, reads, quota, moto }: DoorOptions) {
    this.#clock = clock;
    this.#moto = moto;
    this.faults = new Faults(clock, random);
    this.quota = new Quota(clock, quota);
    this.events = new Events(clock, moto, () => this.#sqs.sent());
    this.kms = new Kms(clock, this.denials);
    const publicStore = new MotoStore(moto);
    this.ssm = new Ssm({
      store: reads === "memory" ? new MemoryStore(clock) : publicStore,
      publicStore,
      kms: this.kms.use,
      denials: this.denials,
      events: this.events,
      clock,
      calls: this.calls,
    });
    this.sts = new Sts(this.identities, clock);
  }

  /** Answers one request, whatever becomes of it. */
  async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let reply: Reply;
    let call: Call | undefined;
    try {
      call = this.#read(request, await readBody(request));
      const gone = new AbortController();
      call.request.gone = gone.signal;
      response.once("close", () => gone.abort());
      reply = await this.#answer(call);
    } catch (error) {
      if (error instanceof NoAnswer) {
        if (error.how === "reset") request.socket.resetAndDestroy();
        return;
      }
      const known =
        error instanceof ServiceError ? error : new ServiceError("InternalFailure", `The door failed: ${error}`, 500);
      reply = call?.service === "sts" ? queryErrorReply(known) : errorReply(known);
    }
    write(response, reply);
  }

  /** Answers a call in this process: not counted, no quota, no faults, no denials. For a test's own preparations. */
  async direct(service: "ssm" | "kms", operation: string, input: Json, scope: DirectScope = {}): Promise<Json> {
    const whose = this.identities.whose("KEYFERRYDOOR");
    const call: Call = {
      ...whose,
      account: scope.account ?? whose.account,
      region: scope.region ?? "eu-west-1",
      service,
      operation,
      input,
      direct: true,
      request: { method: "POST", path: "/", headers: {}, body: Buffer.from(JSON.stringify(input)) },
    };
    const answer = await (service === "ssm" ? this.ssm.handle(call) : this.kms.handle(call));
    if (!answer) throw new Error(`The door does not know ${service}:${operation}`);
    return answer;
  }

  #read(request: IncomingMessage, body: Buffer): Call {
    const scope = scopeOf(request.headers);
    const target = String(request.headers["x-amz-target"] ?? "");
    let service = scope?.service ?? "sts";
    let operation = target.slice(target.lastIndexOf(".") + 1);
    let input: Json = {};
    if (target) {
      try {
        input = body.length > 0 ? (JSON.parse(body.toString()) as Json) : {};
      } catch {
        throw new ServiceError("SerializationException", "The body is not JSON");
      }
      service = targets.get(target.slice(0, target.lastIndexOf("."))) ?? service;
    } else if (String(request.headers["content-type"]).startsWith("application/x-www-form-urlencoded")) {
      input = Object.fromEntries(new URLSearchParams(body.toString()));
      operation = String(input.Action ?? "");
    }
    return {
      ...this.identities.whose(scope?.accessKeyId ?? "anonymous"),
      region: scope?.region ?? "us-east-1",
      service,
      operation: operation || `${request.method} ${request.url}`,
      input,
      direct: false,
      request: { method: request.method ?? "GET", path: request.url ?? "/", headers: request.headers, body },
    };
  }

  async #answer(call: Call): Promise<Reply> {
    const names = call.service === "ssm" ? namesOf(call.input) : [];
    const entry: Entry = {
      service: call.service,
      operation: call.operation,
      region: call.region,
      account: call.account,
      accessKeyId: call.accessKeyId,
      via: "client",
      status: 0,
      at: this.#clock.now(),
    };
    if (typeof call.input.WithDecryption === "boolean") entry.decrypt = call.input.WithDecryption;
    if (names.length > 0) entry.names = names;
    this.calls.add(entry);
    try {
      const hits = this.faults.hitting(call, names);
      await this.faults.before(hits);
      const { expiresAt = Infinity } = this.identities.whose(call.accessKeyId);
      if (expiresAt <= this.#clock.now()) {
        const code = call.service === "sts" ? "ExpiredToken" : "ExpiredTokenException";
        throw new ServiceError(code, "The security token included in the request is expired", 400);
      }
      if (call.service === "ssm" && metered.has(call.operation)) this.quota.spend(call);
      if (call.service !== "ssm" && call.service !== "kms") {
        this.denials.check(call, String(call.input.RoleArn ?? "*"), actions.get(call.operation));
      }
      const own = await this.#own(call);
      const reply = own ? jsonReply(this.faults.after(hits, call, own)) : await this.#pass(call);
      entry.status = reply.status;
      entry.requestId = reply.headers[requestIdHeader] ?? "";
      return reply;
    } catch (error) {
      if (error instanceof ServiceError) {
        entry.status = error.status;
        entry.error = error.code;
        entry.requestId = error.requestId;
      } else if (!(error instanceof NoAnswer)) entry.status = 500;
      throw error;
    } finally {
      entry.at = this.#clock.now();
    }
  }

  async #own(call: Call): Promise<Json | undefined> {
    if (call.service === "ssm") return this.ssm.handle(call);
    if (call.service === "kms") return this.kms.handle(call);
    return undefined;
  }

  /** Passes a call on to moto as it came, in the name of the caller's account. */
  async #pass(call: Call): Promise<Reply> {
    const own = call.service === "sts" ? this.sts.own(call) : undefined;
    if (own) return own;
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(call.request.headers)) {
      if (value !== undefined && !hopByHop.has(name)) headers[name] = String(value);
    }
    headers["x-moto-account-id"] = call.account;
    const { method, path } = call.request;
    const moto = await this.#moto();
    const send = (body: Buffer) => moto.send(method, path, headers, body);
    if (call.operation === "ReceiveMessage") return this.#sqs.receive(call, send);
    const reply = await send(call.request.body);
    if (call.operation.startsWith("SendMessage")) this.#sqs.sent();
    return reply;
  }
}

const requestIdHeader = "x-amzn-requestid";

/** Where a call of `direct` happens: account 123456789012, region eu-west-1 when left out. */
export interface DirectScope {
  account?: string;
  region?: string;
}

/** IAM's actions where they are not called like their operations (Service Authorization Reference). */
const actions: ReadonlyMap<string, string> = new Map([
  ["SendMessageBatch", "sqs:SendMessage"],
  ["DeleteMessageBatch", "sqs:DeleteMessage"],
  ["ChangeMessageVisibilityBatch", "sqs:ChangeMessageVisibility"],
]);

const targets: ReadonlyMap<string, string> = new Map([
  ["AmazonSSM", "ssm"],
  ["TrentService", "kms"],
  ["AmazonSQS", "sqs"],
]);
