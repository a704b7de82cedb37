import { createHash } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { KubeConfig } from "@kubernetes/client-node";
import { Agent, type Dispatcher, ProxyAgent } from "undici";
import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { type HttpProxy, noProxies, type Proxies } from "../../runtime/proxies.ts";
import { SingleFlight } from "../../runtime/single-flight.ts";
import { KubeError } from "../errors.ts";
import { type Credentials, credentialsOf, podCluster } from "./config.ts";
import type { Access, Connection } from "./connection.ts";

export interface PooledConnectionOptions {
  /** Loads the configuration. Called again after a 401. */
  load: () => KubeConfig;
  clock: Clock;
  log: Log;
  /** The environment's proxies; a kubeconfig's own proxy has precedence. Default: none. */
  proxies?: Proxies;
  /**
   * Milliseconds after which certificate and token files are read again. Default 10,000. A rotated token stays valid
   * for minutes after its file has changed.
   */
  rereadMs?: number;
}

/**
 * Maximum connections of the pool for requests, and so of concurrent requests. Further requests wait. Twice the writes
 * that hold slots at once; slow writes that have released theirs use a connection each until they end.
 */
const connections = 128;
/** Milliseconds before the first keep-alive probe: load balancers drop idle connections after a minute. */
const keepAliveInitialDelay = 30_000;
/** Milliseconds for which an idle connection is kept. Each holds 100 kB of TLS state; opening one takes 3 ms. */
const idleMs = 4_000;

/**
 * A connection by a KubeConfig, with one pool for requests and one for watches. When the certificates change, new pools
 * replace the old ones, which close when their requests have ended.
 */
export class PooledConnection implements Connection {
  #options: PooledConnectionOptions;
  #config: KubeConfig;
  #current: { access: Access; identity: string; readAt: number } | undefined;
  readonly #reading = new SingleFlight<Access>();
  readonly #renewing = new SingleFlight<void>();

  /** @throws what `load` throws */
  constructor(options: PooledConnectionOptions) {
    this.#options = options;
    this.#config = options.load();
  }

  access(): Access | Promise<Access> {
    const { clock, rereadMs = 10_000 } = this.#options;
    const current = this.#current;
    if (current && clock.monotonic() - current.readAt < rereadMs) return current.access;
    return this.#read();
  }

  renew(refused: Access): Promise<void> {
    if (this.#current && this.#current.access !== refused) return Promise.resolve();
    return this.#renewing.run(() => this.#renewOnce());
  }

  async close(): Promise<void> {
    const { access } = this.#current ?? {};
    this.#current = undefined;
    await Promise.all([access?.requests.destroy(), access?.watches.destroy()]);
  }

  async #renewOnce(): Promise<void> {
    await this.#reading.get()?.catch(() => {});
    try {
      // client-node caches tokens and plugin answers for each KubeConfig object: a new object clears the cache.
      this.#config = this.#options.load();
    } catch (error) {
      throw new KubeError("unauthorized", `no credentials for the API server: ${(error as Error).message}`);
    }
    this.#current &&= { ...this.#current, readAt: Number.NEGATIVE_INFINITY };
    await this.#read();
  }

  /** Reads the credentials. Concurrent callers share one read. */
  #read(): Promise<Access> {
    return this.#reading.run(() => this.#readOnce());
  }

  async #readOnce(): Promise<Access> {
    const { clock, log } = this.#options;
    const before = this.#current;
    try {
      const credentials = await credentialsOf(this.#config);
      const identity = identityOf(this.#config, credentials);
      const access = await this.#accessWith(credentials, before?.identity === identity ? before.access : undefined);
      this.#current = { access, identity, readAt: clock.monotonic() };
      if (before && before.identity !== identity) {
        log.info({ server: access.origin }, "certificates of the API server or the client have changed");
        retire(before.access);
      }
      return access;
    } catch (error) {
      // The previous credentials may still be valid. If not, the server answers 401, and renew() fails.
      if (!before || before.readAt === Number.NEGATIVE_INFINITY) throw error;
      log.warn({ error: (error as Error).message }, "the credentials for the API server could not be read again");
      this.#current = { ...before, readAt: clock.monotonic() };
      return before.access;
    }
  }

  async #accessWith({ headers, tls }: Credentials, kept: Access | undefined): Promise<Access> {
    const { origin, pathname } = new URL(this.#config.getCurrentCluster()!.server);
    const server = { origin, prefix: pathname.replace(/\/+$/, ""), headers };
    if (kept) return { ...server, requests: kept.requests, watches: kept.watches };
    if (this.#config.getCurrentCluster()!.proxyUrl) {
      return { ...server, requests: await this.#throughProxy(), watches: await this.#throughProxy() };
    }
    // Parse certificates once for all connections of a pool: a CA bundle in NODE_EXTRA_CA_CERTS would block the event
    // loop for tens of milliseconds at every new connection.
    const target = { ...tls, secureContext: createSecureContext(tls), keepAlive: true, keepAliveInitialDelay };
    const options = { keepAliveTimeout: idleMs, allowH2: false };
    const proxy = this.#environmentsProxy();
    if (proxy) {
      const through = { ...options, uri: proxy.url.href, requestTls: target };
      return { ...server, requests: new ProxyAgent({ ...through, connections }), watches: new ProxyAgent(through) };
    }
    const direct = { ...options, connect: target };
    return { ...server, requests: new Agent({ ...direct, connections }), watches: new Agent(direct) };
  }

  /**
   * As Go's http.ProxyFromEnvironment. A pod knows its API server by IP address, which NO_PROXY may not list: an entry
   * that matches kubernetes.default.svc, such as `.svc`, applies as well.
   */
  #environmentsProxy(): HttpProxy | undefined {
    const { name, server } = this.#config.getCurrentCluster()!;
    const { proxies = noProxies } = this.#options;
    const proxy = proxies.for(new URL(server));
    return name === podCluster && !proxies.for(new URL("https://kubernetes.default.svc")) ? undefined : proxy;
  }

  /** client-node makes the pool: it supports HTTP and SOCKS proxies. */
  async #throughProxy(): Promise<Dispatcher> {
    let found: Dispatcher | undefined;
    const context = { setHeaderParam() {}, setDispatcher: (dispatcher: Dispatcher) => (found = dispatcher) };
    type Context = Parameters<KubeConfig["applySecurityAuthentication"]>[0];
    await this.#config.applySecurityAuthentication(context as unknown as Context);
    if (!found) throw new KubeError("network", "the kubeconfig's proxy-url cannot be used");
    return found;
  }
}

/** A digest of everything that a pool depends on: a pool is replaced when it changes. */
function identityOf(config: KubeConfig, { tls }: Credentials): string {
  const { server, proxyUrl } = config.getCurrentCluster()!;
  const texts = [server, proxyUrl, tls.ca, tls.cert, tls.key, tls.rejectUnauthorized, tls.servername].map(String);
  return createHash("sha256").update(JSON.stringify(texts)).digest("hex");
}

/** Closes the pools when their requests have ended. */
function retire({ requests, watches }: Access): void {
  for (const pool of [requests, watches]) pool.close().catch(() => {});
}
