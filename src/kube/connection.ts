import type { Dispatcher } from "undici";

/** What one request needs. */
export interface Access {
  /** Scheme, host and port. */
  origin: string;
  /** Path that the server lies under, without a slash at its end: "" for most. */
  prefix: string;
  /** The pool for requests. */
  requests: Dispatcher;
  /** The pool for watches: each holds a connection of its own for minutes. */
  watches: Dispatcher;
  /** Authorization and impersonation. */
  headers: Readonly<Record<string, string>>;
}

/** Where the API server is and who we are there. */
export interface Connection {
  /** What a request is to be sent with, at this moment. Rejects with a KubeError where credentials cannot be had. */
  access(): Access | Promise<Access>;
  /**
   * Reads the credentials anew from their source, after the server has refused `refused`. At once if they have been
   * read anew meanwhile.
   */
  renew(refused: Access): Promise<void>;
  /** Closes every connection. */
  close(): Promise<void>;
}
