import type { ListOptions, ListPage, ListWatch, WatchOptions } from "../informer/list-watch.ts";
import { events, type KubeObject, type ObjectMeta, type Resource, serviceAccounts } from "../resource.ts";
import { describe, objectPathOf, pathOf, queryOf } from "./path.ts";
import { type Call, notUnderstood, Transport, type TransportOptions } from "./transport.ts";

export interface GetOptions {
  /** Request PartialObjectMetadata: the result has only apiVersion, kind and metadata. */
  metadataOnly?: boolean;
  signal?: AbortSignal;
}

export interface WriteOptions {
  /** The field manager that owns the fields that are set; `kubectl --show-managed-fields` shows it. */
  fieldManager?: string;
  subresource?: "status";
  /** The server validates the request and answers, but persists nothing. */
  dryRun?: boolean;
  signal?: AbortSignal;
}

export interface ApplyOptions extends WriteOptions {
  fieldManager: string;
  /** Take over fields from other managers. Without it, such an apply fails with `fieldManagerConflict`. */
  force?: boolean;
  /** Request PartialObjectMetadata: the answer has only apiVersion, kind and metadata. */
  metadataOnly?: boolean;
}

export interface DeleteOptions {
  /** Precondition: the object's uid. */
  uid?: string;
  /** Precondition: the object's resourceVersion. */
  resourceVersion?: string;
  propagationPolicy?: "Orphan" | "Background" | "Foreground";
  signal?: AbortSignal;
}

/** The answer of the TokenRequest API (authentication.k8s.io/v1). */
export interface TokenRequest extends KubeObject {
  status?: { token?: string; expirationTimestamp?: string };
}

/** Maximum bytes of an object. etcd's limit is 1.5 MiB; as JSON an object can be several times larger. */
const maxObjectBytes = 16 * 2 ** 20;
/** Maximum bytes of a list: enough for an unpaged list of a large cluster, and below V8's string limit of 512 MiB. */
const maxListBytes = 384 * 2 ** 20;

/**
 * A client for the Kubernetes API. Every method rejects with a KubeError. A request is retried only after a 401, once,
 * with reloaded credentials.
 */
export class KubeClient implements ListWatch {
  #transport: Transport;

  constructor(options: TransportOptions) {
    this.#transport = new Transport(options);
  }

  /**
   * From now on, rejects every write except Events with a KubeError `other`.
   *
   * @param writesMs milliseconds after which requests under way are aborted, and reads are rejected, too
   * @returns resolves when no write is under way
   */
  stop(writesMs: number): Promise<void> {
    return this.#transport.stop(writesMs);
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

  /** One page of a list, or the whole list if no limit is set. */
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
      maxListBytes,
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
   * Begins a watch. Resolves to the body's stream when the server has answered 200. The iteration throws a KubeError if
   * the stream breaks, and ends when the server ends it. With `metadataOnly`, an aggregated API may still send whole
   * objects.
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
   * Server-side apply: `object` is the whole intent of this field manager. Creates the object if it does not exist. A
   * resourceVersion or uid in its metadata is a precondition.
   */
  async apply<T extends KubeObject>(resource: Resource, object: T, options: ApplyOptions): Promise<T> {
    const { namespace, name } = object.metadata;
    const { fieldManager, force, metadataOnly, dryRun, subresource, signal } = options;
    const applied = await this.#object<T>({
      verb: "apply",
      method: "PATCH",
      request: describe("PATCH", resource, namespace, name),
      path:
        objectPathOf(resource, namespace, name, subresource) +
        queryOf({ fieldManager, force, dryRun: dryRun && "All" }),
      // The API server has no type application/apply-patch+json; JSON is valid YAML.
      headers: { "content-type": "application/apply-patch+yaml", ...acceptOf(metadataOnly, "PartialObjectMetadata") },
      body: JSON.stringify(object),
      signal,
    });
    return metadataOnly ? metadataOf(applied) : applied;
  }

  /** JSON merge patch (RFC 7386). */
  async mergePatch<T extends KubeObject>(
    resource: Resource,
    { namespace, name }: { namespace?: string | undefined; name: string },
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

  /**
   * Creates a token of a ServiceAccount by the TokenRequest API: `create` on `serviceaccounts/token`. It changes nothing
   * in the cluster. The answer holds a credential.
   */
  async requestToken(
    { namespace, name }: { namespace: string; name: string },
    spec: { audiences: string[]; expirationSeconds: number },
  ): Promise<TokenRequest> {
    return this.#object<TokenRequest>({
      verb: "create",
      method: "POST",
      request: `${describe("POST", serviceAccounts, namespace, name)}/token`,
      path: objectPathOf(serviceAccounts, namespace, name, "token"),
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec }),
    });
  }

  /**
   * Asks the API server by an object that it answers and does not store, such as a TokenReview: `create` on the resource.
   * The spec may hold a credential.
   *
   * @returns the answer's status
   */
  async review<S extends object>(resource: Resource, spec: object, { signal }: { signal?: AbortSignal }): Promise<S> {
    const { group, version, kind } = resource;
    const request = describe("POST", resource);
    const answer = await this.#transport.json(
      {
        verb: "create",
        method: "POST",
        request,
        path: pathOf(resource),
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ apiVersion: `${group}/${version}`, kind, spec }),
        signal,
      },
      maxObjectBytes,
    );
    const { status } = answer as { status?: S | null };
    if (typeof status !== "object" || status === null) throw notUnderstood(request);
    return status;
  }

  /** Replaces an object. The resourceVersion in its metadata is a precondition. */
  async update<T extends KubeObject>(resource: Resource, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace, name } = object.metadata;
    const { fieldManager, dryRun, signal } = options;
    return this.#object<T>({
      verb: "update",
      method: "PUT",
      request: describe("PUT", resource, namespace, name),
      path: objectPathOf(resource, namespace, name) + queryOf({ fieldManager, dryRun: dryRun && "All" }),
      headers: { "content-type": "application/json" },
      body: JSON.stringify(object),
      signal,
    });
  }

  /** Deletes an object. Finalizers may delay the deletion. */
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
      maxObjectBytes,
    );
  }

  async #object<T extends KubeObject>(call: Call): Promise<T> {
    const object = (await this.#transport.json(call, maxObjectBytes)) as Partial<T>;
    if (typeof object.metadata !== "object" || object.metadata === null) throw notUnderstood(call.request);
    return object as T;
  }
}

/** Drops all but metadata: a server without PartialObjectMetadata support answers with whole objects. */
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
