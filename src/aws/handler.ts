import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import type { HttpProxy, Proxies } from "../runtime/proxies.ts";
import { guardedLookup, type Lookup } from "./endpoints.ts";

/** A request through a proxy failed; `cause` is Node's error. */
export class ProxyFailed extends Error {
  readonly proxy: HttpProxy;
  /** The requested host. */
  readonly host: string;

  constructor(proxy: HttpProxy, host: string, cause: unknown) {
    super("the request failed through the proxy", { cause });
    this.name = "ProxyFailed";
    this.proxy = proxy;
    this.host = host;
  }
}

/** Options that the handlers of an identity share: sockets and timeouts. */
export interface HandlerSettings {
  proxies: Proxies;
  allowInsecureEndpoints: boolean;
  lookup?: Lookup;
  /** Maximum sockets to one host. */
  maxSockets: number;
  connectTimeoutMs: number;
}

type Handled = ReturnType<NodeHttpHandler["handle"]>;

/** Creates handlers that share sockets, both direct and through the environment's proxies. */
export class Handlers {
  readonly #settings: HandlerSettings;
  readonly #agents: { http: HttpAgent; https: HttpsAgent };
  readonly #proxied: { http: HttpAgent; https: HttpsAgent } | undefined;

  constructor(settings: HandlerSettings) {
    this.#settings = settings;
    const { proxies, maxSockets } = settings;
    const sockets = { keepAlive: true, maxSockets, lookup: guardedLookup(settings) };
    this.#agents = { http: new HttpAgent(sockets), https: new HttpsAgent(sockets) };
    if (proxies.all.length === 0) return;
    // This looks up only the proxy's name. A proxy on loopback is allowed, one at the metadata address is not.
    const lookup = guardedLookup({ ...settings, allowInsecureEndpoints: true });
    const proxyEnv: Record<string, string> = {};
    for (const { scheme, url } of proxies.all) proxyEnv[`${scheme.toUpperCase()}_PROXY`] = url.href;
    const through = { ...sockets, lookup, proxyEnv };
    this.#proxied = { http: new HttpAgent(through), https: new HttpsAgent(through) };
  }

  /** Creates an SDK handler. @param requestTimeout in milliseconds */
  handler(requestTimeout: number): NodeHttpHandler {
    const { connectTimeoutMs: connectionTimeout, proxies } = this.#settings;
    const times = { connectionTimeout, requestTimeout, throwOnRequestTimeout: true };
    const straight = new NodeHttpHandler({ httpAgent: this.#agents.http, httpsAgent: this.#agents.https, ...times });
    const proxied = this.#proxied;
    if (!proxied) return straight;
    const through = new NodeHttpHandler({ httpAgent: proxied.http, httpsAgent: proxied.https, ...times });
    return new ProxyHandler(straight, through, proxies) as unknown as NodeHttpHandler;
  }

  /** Closes every socket. */
  destroy(): void {
    for (const agents of [this.#agents, this.#proxied]) {
      agents?.http.destroy();
      agents?.https.destroy();
    }
  }
}

/** Sends each request directly or through its proxy, by NO_PROXY. */
class ProxyHandler implements Pick<NodeHttpHandler, "handle" | "metadata"> {
  readonly metadata = { handlerProtocol: "http/1.1" };
  readonly #straight: NodeHttpHandler;
  readonly #through: NodeHttpHandler;
  readonly #proxies: Proxies;

  constructor(straight: NodeHttpHandler, through: NodeHttpHandler, proxies: Proxies) {
    this.#straight = straight;
    this.#through = through;
    this.#proxies = proxies;
  }

  async handle(...[request, options]: Parameters<NodeHttpHandler["handle"]>): Promise<Awaited<Handled>> {
    const { protocol, hostname, port } = request;
    const proxy = this.#proxies.for({ protocol, hostname, port: port === undefined ? "" : `${port}` });
    if (!proxy) return this.#straight.handle(request, options);
    try {
      return await this.#through.handle(request, options);
    } catch (error) {
      throw new ProxyFailed(proxy, hostname, error);
    }
  }

  updateHttpClientConfig(...change: Parameters<NodeHttpHandler["updateHttpClientConfig"]>): void {
    this.#straight.updateHttpClientConfig(...change);
    this.#through.updateHttpClientConfig(...change);
  }

  httpHandlerConfigs(): ReturnType<NodeHttpHandler["httpHandlerConfigs"]> {
    return this.#straight.httpHandlerConfigs();
  }

  destroy(): void {
    this.#straight.destroy();
    this.#through.destroy();
  }
}
