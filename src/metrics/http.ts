import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";

/** The part of a request that a path may use. */
export interface Asked {
  /** The header Authorization. */
  authorization: string | undefined;
  /** The client's IP address. */
  address: string;
}

/** The response of a path. */
export interface Answer {
  status: number;
  contentType?: string;
  headers?: Record<string, string>;
  body: string | Buffer;
}

export type Handler = (asked: Asked) => Answer | Promise<Answer>;

/** Limits for each client that can reach the port. */
const limits = {
  /** Above it, the oldest connection is closed, so that a client with many connections does not block others. */
  connections: 64,
  requestsOfAConnection: 100,
  headerBytes: 8_192,
  /** Milliseconds for a request to arrive, and for a connection to be idle. */
  requestMs: 5_000,
  silentMs: 10_000,
};

/** A certificate with its chain, and its private key, as PEM. */
interface KeyPair {
  cert: string;
  key: string;
}

/** A running server. */
export interface Serving {
  server: Server;
  port: number;
  /** For connections from now on; only with TLS. */
  replaceCertificate(pair: KeyPair): void;
}

/**
 * Serves GET requests on fixed paths only.
 *
 * @param address host undefined for every interface; port 0 for a free port
 * @param certificate serves by TLS. Default: plain HTTP
 * @returns the server and the port that it listens on. Rejects if the port is in use.
 */
export async function serve(
  address: { host: string | undefined; port: number },
  paths: ReadonlyMap<string, Handler>,
  certificate?: KeyPair,
): Promise<Serving> {
  const { requestMs, silentMs, headerBytes, requestsOfAConnection } = limits;
  const options = {
    requestTimeout: requestMs,
    headersTimeout: requestMs,
    keepAliveTimeout: requestMs,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: headerBytes,
  };
  const listener: RequestListener = (request, response) => {
    void answerOf(paths, request).then(({ status, contentType = "text/plain; charset=utf-8", headers, body }) => {
      const own = { "content-type": contentType, "content-length": Buffer.byteLength(body) };
      response.writeHead(status, { ...headers, ...own }).end(body);
    });
  };
  const secure = certificate && createTlsServer({ ...options, ...certificate, handshakeTimeout: requestMs }, listener);
  const server = secure ?? createServer(options, listener);
  server.maxRequestsPerSocket = requestsOfAConnection;
  server.setTimeout(silentMs);
  boundConnections(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.host, () => resolve());
  });
  server.unref();
  const { port } = server.address() as AddressInfo;
  return { server, port, replaceCertificate: (pair) => secure?.setSecureContext({ ...pair }) };
}

async function answerOf(paths: ReadonlyMap<string, Handler>, request: IncomingMessage): Promise<Answer> {
  const handler = request.method === "GET" ? paths.get((request.url ?? "").split("?")[0]!) : undefined;
  if (!handler) return { status: 404, body: "not found\n" };
  const { headers, socket } = request;
  try {
    return await handler({ authorization: headers.authorization, address: socket.remoteAddress ?? "" });
  } catch {
    return { status: 500, body: "internal error\n" };
  }
}

function boundConnections(server: Server): void {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    if (sockets.size <= limits.connections) return;
    const [oldest] = sockets;
    sockets.delete(oldest!);
    oldest!.destroy();
  });
}

/**
 * Caches the result of `make`. Concurrent callers share one call of `make`.
 *
 * @param ms milliseconds for which a result is cached. Failures are not cached.
 */
export function remembered<T>(clock: { monotonic(): number }, ms: number, make: () => Promise<T>): () => Promise<T> {
  let made: { value: T; at: number } | undefined;
  let making: Promise<T> | undefined;
  return async () => {
    if (made && clock.monotonic() - made.at < ms) return made.value;
    making ??= make()
      .then((value) => {
        made = { value, at: clock.monotonic() };
        return value;
      })
      .finally(() => {
        making = undefined;
      });
    return making;
  };
}
