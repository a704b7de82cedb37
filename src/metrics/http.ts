import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** The response of a path. */
export interface Answer {
  status: number;
  contentType?: string;
  body: string | Buffer;
}

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

/**
 * Serves GET requests on fixed paths only.
 *
 * @param address host undefined for every interface; port 0 for a free port
 * @returns the server and the port that it listens on. Rejects if the port is in use.
 */
export async function serve(
  address: { host: string | undefined; port: number },
  paths: ReadonlyMap<string, () => Answer | Promise<Answer>>,
): Promise<{ server: Server; port: number }> {
  const { requestMs, silentMs, headerBytes, requestsOfAConnection } = limits;
  const options = {
    requestTimeout: requestMs,
    headersTimeout: requestMs,
    keepAliveTimeout: requestMs,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: headerBytes,
  };
  const server = createServer(options, (request, response) => {
    const handler = request.method === "GET" ? paths.get((request.url ?? "").split("?")[0]!) : undefined;
    const answering = handler ? Promise.resolve().then(handler) : Promise.resolve({ status: 404, body: "not found\n" });
    answering
      .catch((): Answer => ({ status: 500, body: "internal error\n" }))
      .then(({ status, contentType = "text/plain; charset=utf-8", body }: Answer) => {
        response
          .writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) })
          .end(body);
      });
  });
  server.maxRequestsPerSocket = requestsOfAConnection;
  server.setTimeout(silentMs);
  boundConnections(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.host, () => resolve());
  });
  server.unref();
  return { server, port: (server.address() as AddressInfo).port };
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
