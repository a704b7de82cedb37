import type { KubeObject, Resource } from "../resource.ts";

/** The parameters of a list. Undefined parameters are not sent. */
export interface ListOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Maximum objects per page. */
  limit?: number;
  /** The continue token of the previous page. */
  continue?: string;
  resourceVersion?: string;
  /** Request PartialObjectMetadata. */
  metadataOnly?: boolean;
  signal?: AbortSignal;
}

/** One page of a list, or the whole list. */
export interface ListPage<T> {
  items: T[];
  resourceVersion: string;
  /** The token of the next page; absent or empty on the last page. */
  continue?: string | undefined;
}

/** The parameters of a watch. */
export interface WatchOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  resourceVersion: string;
  /** Seconds after which the server ends the watch. */
  timeoutSeconds: number;
  allowWatchBookmarks: boolean;
  /** Request PartialObjectMetadata. */
  metadataOnly?: boolean;
  signal: AbortSignal;
}

/**
 * The part of the Kubernetes client that a reflector needs. Both methods reject with a KubeError, or with any error
 * once the signal has aborted.
 */
export interface ListWatch {
  list<T extends KubeObject>(resource: Resource, options: ListOptions): Promise<ListPage<T>>;
  /** Resolves to the body's stream when the server has answered 200: JSON events, one per line. */
  watch(resource: Resource, options: WatchOptions): Promise<AsyncIterable<Uint8Array>>;
}
