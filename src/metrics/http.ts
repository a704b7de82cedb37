import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** What a path answers with. */
export interface Answer {
  status: number;
  contentType?: string;
  body: string | Buffer;
}

/** Bounds on what whoever reaches the port can take: connections, time, bytes. */
const limits = {
  /** Beyond them the oldest connection ends: who holds many keeps nobody else out. */
  connections: 64,
  requestsOfAConnection: 100,
  headerBytes: 8_192,
  /** Milliseconds for a request to come, and for a connection to be silent within an answer or between two requests. */
  requestMs: 5_000,
  silentMs: 10_000,
};

/**
 * Serves GET requests on fixed paths and nothing else.
 *
 * @param address host undefined for every interface; port 0 for a free one
 * @returns the server and the port that it listens on; rejects where the port is taken
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
 * Remembers what `make` gives for a time, and makes it once for all who ask meanwhile.
 *
 * @param ms milliseconds for which it is remembered, from when it is there; a failure is not
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
