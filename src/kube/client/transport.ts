import type { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { errorOfAnswer, errorOfConnection, KubeError } from "../errors.ts";
import { parseJSON, readBody } from "./body.ts";
import type { Access, Connection } from "./connection.ts";
import { type Answer, exchange } from "./exchange.ts";

export interface TransportOptions {
  connection: Connection;
  metrics: Metrics;
  clock: Clock;
  log: Log;
  /** The header User-Agent, which the API server's audit log shows. */
  userAgent: string;
  /** Timeout in milliseconds of a whole request, and of the start of a watch. Default 30,000. */
  timeoutMs?: number;
  /** Checked before each write but Events: the writes of a replica that no longer leads do not begin. Default: true. */
  mayWrite?: () => boolean;
}

/** The label `verb` of kubernetes_requests_total: RBAC's verbs, and `apply`. */
export type Verb = "get" | "list" | "watch" | "apply" | "patch" | "create" | "update" | "delete";

/** One request. */
export interface Call {
  verb: Verb;
  method: Dispatcher.HttpMethod;
  /** The request in messages: `PATCH secrets shop/checkout`. */
  request: string;
  /** Path and query. */
  path: string;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal | undefined;
  /** Whether the write may begin after `stop`; true for Events. */
  afterStop?: boolean;
}

const readVerbs: readonly Verb[] = ["get", "list", "watch"];

/** Maximum bytes of an error response. A Status has some hundred bytes, with many causes some thousand. */
const maxErrorBytes = 2 ** 18;

/**
 * Sends requests with credentials and a timeout, and counts them. Every failure is a KubeError. A request is retried
 * only after a 401, once, with reloaded credentials.
 */
export class Transport {
  #options: TransportOptions;
  #timeoutMs: number;
  /** Resolves when no write is under way; undefined until `stop`. */
  #stopped: Promise<void> | undefined;
  #drained = () => {};
  /** Abort a request under way, one function for each: of writes, and of reads but watches. */
  readonly #writes = new Set<() => void>();
  readonly #reads = new Set<() => void>();
  /** Whether reads are rejected, too. */
  #isClosed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
  }

  /**
   * From now on, rejects every write without `afterStop` with a KubeError `other`.
   *
   * @param writesMs milliseconds after which requests under way are aborted, and reads are rejected, too
   * @returns resolves when no write is under way
   */
  stop(writesMs: number): Promise<void> {
    this.#stopped ??= this.#stop(writesMs);
    return this.#stopped;
  }

  #stop(writesMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drained = resolve;
    this.#options.clock.setTimer(() => {
      this.#isClosed = true;
      for (const cancel of [...this.#writes, ...this.#reads]) cancel();
    }, writesMs);
    if (this.#writes.size === 0) this.#drained();
    return promise;
  }

  get #isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  /** Resolves to the JSON object of a 2xx answer of at most `maxBytes` bytes. */
  async json(call: Call, maxBytes: number): Promise<object> {
    const bytes = await this.#authorized(call, (access) =>
      this.#timed(call, (abort) => this.#exchange(call, access, abort, maxBytes)),
    );
    const parsed = parseJSON(bytes);
    if (typeof parsed !== "object" || parsed === null) throw notUnderstood(call.request);
    return parsed;
  }

  /** Resolves to the body's stream of a 2xx answer. The iteration throws a KubeError if the stream breaks. */
  async stream(call: Call): Promise<AsyncIterable<Uint8Array>> {
    const { body } = await this.#authorized(call, (access) =>
      this.#timed(
        call,
        (abort) => this.#send(call, access.watches, access, abort),
        (response) => response.body,
      ),
    );
    return chunksOf(body, call.request);
  }

  /** Retries once with reloaded credentials after a 401: a token may have been rotated. */
  async #authorized<T>(call: Call, attempt: (access: Access) => Promise<T>): Promise<T> {
    const { connection, log } = this.#options;
    const access = await connection.access();
    try {
      return await attempt(access);
    } catch (error) {
      if (!(error instanceof KubeError) || error.kind !== "unauthorized") throw error;
      log.debug({ request: call.request }, "the API server rejected the credentials, reloading them");
      await connection.renew(access);
      return attempt(await connection.access());
    }
  }

  /**
   * Runs `attempt` with a signal that aborts with the caller's signal or at the timeout.
   *
   * @param goesOn returns the body of a streamed result: the caller's signal aborts that too
   */
  async #timed<T>(
    call: Call,
    attempt: (abort: AbortSignal) => Promise<T>,
    goesOn?: (result: T) => Readable,
  ): Promise<T> {
    const { signal, request } = call;
    const isRead = readVerbs.includes(call.verb);
    const isRefusable = !isRead && !call.afterStop;
    if ((isRefusable && this.#isStopped) || (isRead && this.#isClosed)) {
      throw new KubeError("other", `${request}: not begun, the operator is stopping`);
    }
    if (isRefusable && this.#options.mayWrite?.() === false) {
      throw new KubeError("other", `${request}: not begun, the Lease was not renewed in time`);
    }
    const controller = new AbortController();
    const cancel = () => controller.abort(new KubeError("other", `${request}: cancelled`));
    const under = isRefusable ? this.#writes : isRead && !goesOn ? this.#reads : undefined;
    const release = () => {
      signal?.removeEventListener("abort", cancel);
      under?.delete(cancel);
      if (this.#writes.size === 0) this.#drained();
    };
    under?.add(cancel);
    const timer = this.#options.clock.setTimer(() => {
      controller.abort(new KubeError("timeout", `${request}: no answer in ${this.#timeoutMs} ms`));
    }, this.#timeoutMs);
    if (signal?.aborted) cancel();
    signal?.addEventListener("abort", cancel);
    let body: Readable | undefined;
    try {
      const result = await attempt(controller.signal);
      body = goesOn?.(result);
      return result;
    } catch (error) {
      if (controller.signal.aborted) throw controller.signal.reason;
      throw error instanceof KubeError ? error : errorOfConnection(request, error);
    } finally {
      timer.cancel();
      if (body) body.once("close", release);
      else release();
    }
  }

  /** @returns the body of a 2xx answer */
  async #exchange(call: Call, access: Access, abort: AbortSignal, maxBytes: number): Promise<Buffer> {
    let isCounted = false;
    const begun = (statusCode: number) => {
      isCounted = true;
      this.#count(call, String(statusCode));
      return isSuccess(statusCode) ? maxBytes : maxErrorBytes;
    };
    try {
      const { statusCode, headers, bytes } = await exchange(access.requests, this.#request(call, access), {
        abort,
        begun,
      });
      if (!isSuccess(statusCode)) throw failureOf(call, statusCode, headers, bytes);
      if (!bytes) throw new KubeError("tooLarge", `${call.request}: the answer is larger than ${maxBytes} bytes`);
      return bytes;
    } catch (error) {
      const failure = error instanceof KubeError ? error : errorOfConnection(call.request, error);
      if (!isCounted) this.#count(call, failure.kind);
      throw failure;
    }
  }

  async #send(call: Call, pool: Dispatcher, access: Access, abort: AbortSignal): Promise<Dispatcher.ResponseData> {
    let response: Dispatcher.ResponseData;
    try {
      abort.throwIfAborted();
      response = await pool.request({ ...this.#request(call, access), signal: abort });
    } catch (error) {
      const failure = abort.aborted ? (abort.reason as KubeError) : errorOfConnection(call.request, error);
      this.#count(call, failure.kind);
      throw failure;
    }
    const { statusCode, headers, body } = response;
    this.#count(call, String(statusCode));
    if (isSuccess(statusCode)) return response;
    throw failureOf(call, statusCode, headers, await readBody(body, maxErrorBytes));
  }

  #request(call: Call, access: Access): Dispatcher.DispatchOptions & { path: string } {
    return {
      origin: access.origin,
      path: access.prefix + call.path,
      method: call.method,
      headers: {
        "user-agent": this.#options.userAgent,
        accept: "application/json",
        ...access.headers,
        ...call.headers,
      },
      body: call.body ?? null,
      // The timer of #timed bounds both, on a clock that tests can step.
      headersTimeout: 0,
      bodyTimeout: 0,
    };
  }

  #count({ verb }: Call, code: string): void {
    this.#options.metrics.kubernetesRequests.inc({ verb, code });
  }
}

function isSuccess(statusCode: number): boolean {
  return statusCode >= 200 && statusCode < 300;
}

function failureOf(call: Call, statusCode: number, headers: Answer["headers"], bytes: Buffer = Buffer.of()): KubeError {
  return errorOfAnswer(call.request, statusCode, headers["retry-after"], parseJSON(bytes));
}

async function* chunksOf(body: Readable, request: string): AsyncGenerator<Uint8Array> {
  try {
    yield* body as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw errorOfConnection(request, error);
  }
}

/** The answer is not a Kubernetes object. The message does not quote it. */
export function notUnderstood(request: string): KubeError {
  return new KubeError("other", `${request}: the answer is not a Kubernetes object`);
}
