import type { ListOptions, ListPage, ListWatch, WatchOptions } from "./list-watch.ts";
import { describe, objectPathOf, pathOf, queryOf } from "./path.ts";
import { events, type KubeObject, type ObjectMeta, type Resource } from "./resource.ts";
import { type Call, notUnderstood, Transport, type TransportOptions } from "./transport.ts";

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

/** The largest object that etcd takes is 1.5 MiB; as JSON it is some times that, at worst. */
const longestObject = 16 * 2 ** 20;
/** A list without pages, of everything in a large cluster, still comes through; V8 holds no string over 512 MiB. */
const longestList = 384 * 2 ** 20;

/**
 * Requests to the Kubernetes API. Every method rejects with a KubeError; none tries again by itself, but once with
 * credentials read anew where the server answered 401.
 */
export class KubeClient implements ListWatch {
  #transport: Transport;

  constructor(options: TransportOptions) {
    this.#transport = new Transport(options);
  }

  /**
   * Begins no write any more but Events: each is a KubeError `other`.
   *
   * @param writesMs milliseconds that writes under way have to end
   */
  stop(writesMs: number): void {
    this.#transport.stop(writesMs);
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
    const answer = await this.#transport.json(
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
    return this.#transport.stream({
      verb: "watch",
      method: "GET",
      request: describe("WATCH", resource, namespace),
      path: pathOf(resource, namespace) + queryOf({ watch: true, ...query }),
      headers: acceptOf(metadataOnly, "PartialObjectMetadata"),
      signal,
    });
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
      afterStop: resource === events,
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
      afterStop: resource === events,
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
    await this.#transport.json(
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
    const object = (await this.#transport.json(call, longestObject)) as Partial<T>;
    if (typeof object.metadata !== "object" || object.metadata === null) throw notUnderstood(call.request);
    return object as T;
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
