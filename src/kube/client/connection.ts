import type { Dispatcher } from "undici";

/** How one request is sent. */
export interface Access {
  /** Scheme, host and port. */
  origin: string;
  /** Path prefix of the server without a trailing slash; usually "". */
  prefix: string;
  /** The pool for requests. */
  requests: Dispatcher;
  /** The pool for watches: each watch occupies a connection for minutes. */
  watches: Dispatcher;
  /** Authorization and impersonation. */
  headers: Readonly<Record<string, string>>;
}

/** The address of the API server, and the operator's credentials. */
export interface Connection {
  /** The current address, pools and credentials. Rejects with a KubeError if credentials cannot be loaded. */
  access(): Access | Promise<Access>;
  /**
   * Reloads the credentials after the server has refused `refused`. Resolves at once if they have been reloaded since.
   */
  renew(refused: Access): Promise<void>;
  /** Closes every connection. */
  close(): Promise<void>;
}
