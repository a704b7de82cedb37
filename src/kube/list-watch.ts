import type { KubeObject, Resource } from "./resource.ts";

/** What a list asks for. Left out means that the parameter is not sent. */
export interface ListOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Objects a page, at most. */
  limit?: number;
  /** The token of the page before. */
  continue?: string;
  resourceVersion?: string;
  resourceVersionMatch?: "NotOlderThan" | "Exact";
  /** Ask for PartialObjectMetadata. */
  metadataOnly?: boolean;
  signal?: AbortSignal;
}

/** One page of a list, or the whole of it. */
export interface ListPage<T> {
  items: T[];
  resourceVersion: string;
  /** The token of the next page; absent or empty on the last one. */
  continue?: string | undefined;
}

/** What a watch asks for. */
export interface WatchOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  resourceVersion: string;
  /** Seconds after which the server ends the watch. */
  timeoutSeconds: number;
  allowWatchBookmarks: boolean;
  sendInitialEvents?: boolean;
  resourceVersionMatch?: "NotOlderThan";
  /** Ask for PartialObjectMetadata. */
  metadataOnly?: boolean;
  signal: AbortSignal;
}

/**
 * The part of the Kubernetes client that a reflector needs. Both reject with a KubeError, or with anything once the
 * signal has aborted.
 */
export interface ListWatch {
  list<T extends KubeObject>(resource: Resource, options: ListOptions): Promise<ListPage<T>>;
  /** Resolves when the server has answered 200, to the body as it arrives: JSON events, one a line. */
  watch(resource: Resource, options: WatchOptions): Promise<AsyncIterable<Uint8Array>>;
}
