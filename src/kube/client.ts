import type { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import type { Metrics } from "../metrics/metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { BodyTooLong, parseJSON, readBody } from "./body.ts";
import type { Access, Connection } from "./connection.ts";
import { errorOfAnswer, errorOfConnection, KubeError } from "./errors.ts";
import type { ListOptions, ListPage, ListWatch, WatchOptions } from "./list-watch.ts";
import { describe, objectPathOf, pathOf, queryOf } from "./path.ts";
import type { KubeObject, ObjectMeta, Resource } from "./resource.ts";

export interface KubeClientOptions {
  connection: Connection;
  metrics: Metrics;
  clock: Clock;
  log: Log;
  /** Sent with each request; audit logs show it. */
  userAgent: string;
  /** Milliseconds for a whole request, and for the beginning of a watch; 30,000 when left out. */
  timeoutMs?: number;
}

export interface GetOptions {
  /** Ask for PartialObjectMetadata: what comes back holds apiVersion, kind and metadata, and nothing else. */
  metadataOnly?: boolean;
  signal?: AbortSignal;
}

export interface WriteOptions {
  /** Who owns the fields that are set; RBAC and kubectl show it. */
  fieldManager?: string;
  subresource?: "status";
  /** Have the server check and answer, and keep nothing. */
  dryRun?: boolean;
  signal?: AbortSignal;
}

export interface ApplyOptions extends WriteOptions {
  fieldManager: string;
  /** Take fields over from other managers; else such an apply is a `fieldManagerConflict`. */
  force?: boolean;
}

export interface DeleteOptions {
  /** Delete only the object of this uid. */
  uid?: string;
  /** Delete only this version. */
  resourceVersion?: string;
  propagationPolicy?: "Orphan" | "Background" | "Foreground";
  signal?: AbortSignal;
}

type Verb = "get" | "list" | "watch" | "apply" | "patch" | "create" | "delete";

interface Call {
  verb: Verb;
  method: Dispatcher.HttpMethod;
  /** For messages. */
  request: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal | undefined;
}

/** The largest object that etcd takes is 1.5 MiB; as JSON it is some times that, at worst. */
const longestObject = 16 * 2 ** 20;
/** A list without pages, of everything in a large cluster, still comes through; V8 holds no string over 512 MiB. */
const longestList = 384 * 2 ** 20;
const longestFailure = 2 ** 18;

/**
 * Requests to the Kubernetes API. Every method rejects with a KubeError; none tries again by itself, but once with
 * credentials read anew where the server answered 401.
 */
export class KubeClient implements ListWatch {
  #options: KubeClientOptions;
  #timeoutMs: number;

  constructor(options: KubeClientOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
  }

  async get<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options: GetOptions = {},
  ): Promise<T> {
    const object = await this.#object<T>({
      verb: "get",
      method: "GET",
      request: describe("GET", resource, namespace, name),
      path: objectPathOf(resource, namespace, name),
      headers: acceptOf(options.metadataOnly, "PartialObjectMetadata"),
      signal: options.signal,
    });
    return options.metadataOnly ? metadataOf(object) : object;
  }

  /** One page of a list; all of it where no limit is set. */
  async list<T extends KubeObject>(resource: Resource, options: ListOptions = {}): Promise<ListPage<T>> {
    const { namespace, metadataOnly, signal, ...query } = options;
    const request = describe("LIST", resource, namespace);
    const answer = await this.#json(
      {
        verb: "list",
        method: "GET",
        request,
        path: pathOf(resource, namespace) + queryOf(query),
        headers: acceptOf(metadataOnly, "PartialObjectMetadataList"),
        signal,
      },
      longestList,
    );
    const { items, metadata } = answer as { items?: T[] | null; metadata?: Omit<ListPage<T>, "items"> };
    const version = metadata?.resourceVersion;
    if (typeof version !== "string" || !(Array.isArray(items) || items === null)) throw notUnderstood(request);
    const list = items ?? [];
    const next = metadata?.continue;
    return {
      items: metadataOnly ? list.map(metadataOf) : list,
      resourceVersion: version,
      ...(next ? { continue: next } : {}),
    };
  }

  /**
   * Begins a watch. Resolves when the server has answered 200, to the body as it comes; the iteration throws a
   * KubeError when the stream breaks, and ends when the server ends it. Whoever asks for metadata only has to look
   * what comes: an aggregated API may send whole objects.
   */
  async watch(resource: Resource, options: WatchOptions): Promise<AsyncIterable<Uint8Array>> {
    const { namespace, metadataOnly, signal, ...query } = options;
    const request = describe("WATCH", resource, namespace);
    const call: Call = {
      verb: "watch",
      method: "GET",
      request,
      path: pathOf(resource, namespace) + queryOf({ watch: true, ...query }),
      headers: acceptOf(metadataOnly, "PartialObjectMetadata"),
      signal,
    };
    const { body } = await this.#authorized(call, (access) =>
      this.#timed(
        call,
        (abort) => this.#send(call, access.watches, access, abort),
        (response) => response.body,
      ),
    );
    return chunksOf(body, request);
  }

  /**
   * Server-side apply: `object` is the whole intent of this field manager. Creates the object where there is none; a
   * resourceVersion or uid in its metadata is a precondition.
   */
  async apply<T extends KubeObject>(resource: Resource, object: T, options: ApplyOptions): Promise<T> {
    const { namespace, name } = object.metadata;
    const { fieldManager, force, dryRun, subresource, signal } = options;
    return this.#object<T>({
      verb: "apply",
      method: "PATCH",
      request: describe("PATCH", resource, namespace, name),
      path:
        objectPathOf(resource, namespace, name, subresource) +
        queryOf({ fieldManager, force, dryRun: dryRun && "All" }),
      // JSON is YAML too. The type application/apply-patch+json is no type of the API server's.
      headers: { "content-type": "application/apply-patch+yaml" },
      body: JSON.stringify(object),
      signal,
    });
  }

  /** JSON merge patch (RFC 7386). */
  async mergePatch<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    patch: object,
    options: WriteOptions = {},
  ): Promise<T> {
    const { fieldManager, dryRun, subresource, signal } = options;
    return this.#object<T>({
      verb: "patch",
      method: "PATCH",
      request: describe("PATCH", resource, namespace, name),
      path: objectPathOf(resource, namespace, name, subresource) + queryOf({ fieldManager, dryRun: dryRun && "All" }),
      headers: { "content-type": "application/merge-patch+json" },
      body: JSON.stringify(patch),
      signal,
    });
  }

  async create<T extends KubeObject>(resource: Resource, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace, name } = object.metadata;
    const { fieldManager, dryRun, signal } = options;
    return this.#object<T>({
      verb: "create",
      method: "POST",
      request: describe("POST", resource, namespace, name),
      path:
        pathOf(resource, resource.namespaced ? (namespace ?? "") : undefined) +
        queryOf({ fieldManager, dryRun: dryRun && "All" }),
      headers: { "content-type": "application/json" },
      body: JSON.stringify(object),
      signal,
    });
  }

  /** Deletes an object, or begins to: finalizers may keep it for a while. */
  async delete(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    const { uid, resourceVersion, propagationPolicy, signal } = options;
    await this.#json(
      {
        verb: "delete",
        method: "DELETE",
        request: describe("DELETE", resource, namespace, name),
        path: objectPathOf(resource, namespace, name),
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          kind: "DeleteOptions",
          apiVersion: "v1",
          preconditions: { uid, resourceVersion },
          propagationPolicy,
        }),
        signal,
      },
      longestObject,
    );
  }

  async #object<T extends KubeObject>(call: Call): Promise<T> {
    const object = (await this.#json(call, longestObject)) as Partial<T>;
    if (typeof object.metadata !== "object" || object.metadata === null) throw notUnderstood(call.request);
    return object as T;
  }

  async #json(call: Call, mostBytes: number): Promise<object> {
    const bytes = await this.#authorized(call, (access) =>
      this.#timed(call, async (abort) => {
        const { body } = await this.#send(call, access.requests, access, abort);
        return this.#read(call, body, mostBytes);
      }),
    );
    const parsed = parseJSON(bytes);
    if (typeof parsed !== "object" || parsed === null) throw notUnderstood(call.request);
    return parsed;
  }

  /** Tries once more with credentials read anew where the server does not know us: a token may have been rotated. */
  async #authorized<T>(call: Call, attempt: (access: Access) => Promise<T>): Promise<T> {
    const { connection, log } = this.#options;
    const access = await connection.access();
    try {
      return await attempt(access);
    } catch (error) {
      if (!(error instanceof KubeError) || error.kind !== "unauthorized") throw error;
      log.debug({ request: call.request }, "the API server did not accept the credentials; they are read anew");
      await connection.renew(access);
      return attempt(await connection.access());
    }
  }

  /**
   * Runs `attempt` with a signal that aborts with the caller's, or when time is up.
   *
   * @param goesOn the body, in a result that is only the beginning: the caller's signal ends that too
   */
  async #timed<T>(
    call: Call,
    attempt: (abort: AbortSignal) => Promise<T>,
    goesOn?: (result: T) => Readable,
  ): Promise<T> {
    const { signal, request } = call;
    const controller = new AbortController();
    const cancel = () => controller.abort(new KubeError("other", `${request}: cancelled`));
    const release = () => signal?.removeEventListener("abort", cancel);
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

  async #send(call: Call, pool: Dispatcher, access: Access, abort: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { userAgent, metrics } = this.#options;
    const count = (code: string) => metrics.kubernetesRequests.inc({ verb: call.verb, code });
    let response: Dispatcher.ResponseData;
    try {
      abort.throwIfAborted();
      response = await pool.request({
        origin: access.origin,
        path: access.prefix + call.path,
        method: call.method,
        headers: { "user-agent": userAgent, accept: "application/json", ...access.headers, ...call.headers },
        body: call.body ?? null,
        signal: abort,
        // Our own timer bounds both, and is a clock that tests can step.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
    } catch (error) {
      const failure = abort.aborted ? (abort.reason as KubeError) : errorOfConnection(call.request, error);
      count(failure.kind);
      throw failure;
    }
    const { statusCode, headers, body } = response;
    count(String(statusCode));
    if (statusCode >= 200 && statusCode < 300) return response;
    const bytes = await readBody(body, longestFailure).catch(() => Buffer.of());
    throw errorOfAnswer(call.request, statusCode, headers["retry-after"], parseJSON(bytes));
  }

  async #read(call: Call, body: Readable, mostBytes: number): Promise<Buffer> {
    try {
      return await readBody(body, mostBytes);
    } catch (error) {
      if (!(error instanceof BodyTooLong)) throw error;
      throw new KubeError("tooLarge", `${call.request}: the answer is over ${mostBytes} bytes`);
    }
  }
}

async function* chunksOf(body: Readable, request: string): AsyncGenerator<Uint8Array> {
  try {
    yield* body as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw errorOfConnection(request, error);
  }
}

/** A server that cannot give metadata alone answers with the whole, of which the rest is dropped. */
function metadataOf<T extends KubeObject>({ apiVersion, kind, metadata }: T): T {
  const kept: { apiVersion?: string; kind?: string; metadata: ObjectMeta } = { metadata };
  if (apiVersion !== undefined) kept.apiVersion = apiVersion;
  if (kind !== undefined) kept.kind = kind;
  return kept as T;
}

function acceptOf(metadataOnly: boolean | undefined, kind: string): Record<string, string> {
  if (!metadataOnly) return {};
  return { accept: `application/json;as=${kind};g=meta.k8s.io;v=v1,application/json` };
}

function notUnderstood(request: string): KubeError {
  return new KubeError("other", `${request}: the answer is not what the API server gives`);
}
