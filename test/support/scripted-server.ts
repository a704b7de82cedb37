import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * A Kubernetes API server whose answers the test writes, one request at a time: the test takes the next request, checks
 * it, and writes the answer, down to single bytes of a watch.
 */
export class ScriptedServer {
  readonly url: string;
  #server: Server;
  #arrived: Exchange[] = [];
  #takers: ((exchange: Exchange) => void)[] = [];

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => {
      const exchange = new Exchange(request, response);
      const taker = this.#takers.shift();
      if (taker) taker(exchange);
      else this.#arrived.push(exchange);
    });
  }

  /** Listens on the loopback interface. Default: a free port. */
  static async start(port = 0): Promise<ScriptedServer> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    return new ScriptedServer(server);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Number of received requests that the test has not taken. */
  get unseen(): number {
    return this.#arrived.length;
  }

  /** The next request in order of arrival. Fails if none arrives within five real seconds. */
  next(): Promise<Exchange> {
    const exchange = this.#arrived.shift();
    if (exchange) return Promise.resolve(exchange);
    return new Promise((resolve, reject) => {
      const taker = (arrived: Exchange) => {
        clearTimeout(timer);
        resolve(arrived);
      };
      const timer = setTimeout(() => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        reject(new Error("no request arrived"));
      }, 5000);
      this.#takers.push(taker);
    });
  }

  /** The next request, which must be a list. */
  async nextList(): Promise<Exchange> {
    const exchange = await this.next();
    if (exchange.isWatch) throw new Error(`expected a list, got a watch: ${exchange.target}`);
    return exchange;
  }

  /** The next request, which must be a watch. */
  async nextWatch(): Promise<Exchange> {
    const exchange = await this.next();
    if (!exchange.isWatch) throw new Error(`expected a watch, got a list: ${exchange.target}`);
    return exchange;
  }

  /** Stops listening and closes every connection. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

/** One request and the answer to it. */
export class Exchange {
  readonly target: string;
  readonly path: string;
  readonly query: Record<string, string>;
  readonly accept: string;
  readonly authorization: string | undefined;
  /** Resolves when the client has disconnected, or the answer is complete. */
  readonly closed: Promise<void>;
  #response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    const url = new URL(request.url ?? "/", "http://server");
    this.target = `${request.method} ${request.url}`;
    this.path = url.pathname;
    this.query = Object.fromEntries(url.searchParams);
    this.accept = request.headers.accept ?? "";
    this.authorization = request.headers.authorization;
    this.#response = response;
    this.closed = new Promise((resolve) => response.once("close", resolve));
  }

  get isWatch(): boolean {
    return this.query.watch === "true" || this.query.watch === "1";
  }

  /** Answers with a list. */
  list(items: object[], metadata: { resourceVersion: string; continue?: string }): void {
    this.#json(200, { kind: "List", apiVersion: "v1", metadata, items });
  }

  /** Answers with a Status. */
  status(
    code: number,
    reason: string,
    extra: { retryAfterSeconds?: number; message?: string; causes?: object[] } = {},
  ) {
    if (extra.retryAfterSeconds) this.#response.setHeader("retry-after", String(extra.retryAfterSeconds));
    this.#json(code, status(code, reason, extra));
  }

  /** Answers 200 and keeps the stream open. */
  open(): this {
    if (!this.#response.headersSent) {
      this.#response.writeHead(200, { "content-type": "application/json" });
      this.#response.flushHeaders();
    }
    return this;
  }

  /** Writes events, one per line, in one chunk. */
  send(...events: object[]): this {
    return this.raw(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  }

  /** Writes bytes as they are, as one chunk. */
  raw(bytes: string | Uint8Array): this {
    this.open();
    this.#response.write(bytes);
    return this;
  }

  /** Ends the stream cleanly. */
  end(): void {
    this.open();
    this.#response.end();
  }

  /** Resets the connection. */
  reset(): void {
    this.#response.socket?.resetAndDestroy();
  }

  #json(code: number, body: object): void {
    this.#response.writeHead(code, { "content-type": "application/json" });
    this.#response.end(JSON.stringify(body));
  }
}

/** A Status object as the API server returns it. */
export function status(
  code: number,
  reason: string,
  extra: { retryAfterSeconds?: number; message?: string; causes?: object[] } = {},
) {
  const { retryAfterSeconds, causes, message = `scripted ${reason}` } = extra;
  const details = { ...(retryAfterSeconds && { retryAfterSeconds }), ...(causes && { causes }) };
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", code, reason, message, details };
}

/** Waits in the real event loop until `met` returns true. Fails after five real seconds. */
export async function until(met: () => boolean, what = "the condition"): Promise<void> {
  const end = performance.now() + 5000;
  while (!met()) {
    if (performance.now() > end) throw new Error(`${what} was never met`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
