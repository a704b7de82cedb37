import { createHash } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { KubeConfig } from "@kubernetes/client-node";
import { Agent, type Dispatcher, ProxyAgent } from "undici";
import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { type HttpProxy, noProxies, type Proxies } from "../runtime/proxies.ts";
import { type Credentials, credentialsOf, podCluster } from "./config.ts";
import type { Access, Connection } from "./connection.ts";
import { KubeError } from "./errors.ts";

export interface PooledConnectionOptions {
  /** Loads the configuration; called again when credentials were refused. */
  load: () => KubeConfig;
  clock: Clock;
  log: Log;
  /** The proxies of the environment; a kubeconfig's own proxy goes first. None when left out. */
  proxies?: Proxies;
  /**
   * Milliseconds after which certificate and token files are looked at again; 10,000 when left out. A rotated token
   * stays good for minutes after its file has changed.
   */
  rereadMs?: number;
}

/** Connections of the pool for requests: as many requests as can be under way at once; more wait for one to end. */
const connections = 64;
/** Milliseconds before the first probe of a silent connection: load balancers drop them after a minute. */
const keepAliveInitialDelay = 30_000;
/** Milliseconds for which an unused connection is kept: each holds 100 kB of TLS, and a new one takes 3 ms. */
const idleMs = 5_000;

/**
 * A connection by a KubeConfig: one pool for requests and one for watches, kept as long as the certificates are the
 * same. When these change, new pools take over, and the old ones close as soon as what they carry has ended.
 */
export class PooledConnection implements Connection {
  #options: PooledConnectionOptions;
  #config: KubeConfig;
  #current: { access: Access; identity: string; readAt: number } | undefined;
  #reading: Promise<Access> | undefined;
  #renewing: Promise<void> | undefined;

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
    this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async close(): Promise<void> {
    const { access } = this.#current ?? {};
    this.#current = undefined;
    await Promise.all([access?.requests.destroy(), access?.watches.destroy()]);
  }

  async #renewOnce(): Promise<void> {
    await this.#reading?.catch(() => {});
    try {
      // A configuration of its own forgets what client-node remembers: tokens, and the answers of plugins.
      this.#config = this.#options.load();
    } catch (error) {
      throw new KubeError("unauthorized", `no credentials for the API server: ${(error as Error).message}`);
    }
    this.#current &&= { ...this.#current, readAt: Number.NEGATIVE_INFINITY };
    await this.#read();
  }

  /** Reads the credentials; several who ask at once share one reading. */
  #read(): Promise<Access> {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
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
      // What was read before may well be good still; if it is not, the server says so, and renew() fails.
      if (!before || before.readAt === Number.NEGATIVE_INFINITY) throw error;
      log.warn({ error: (error as Error).message }, "the credentials for the API server could not be read again");
      this.#current = { ...before, readAt: clock.monotonic() };
      return before.access;
    }
  }

  async #accessWith({ headers, tls }: Credentials, kept: Access | undefined): Promise<Access> {
    const { origin, pathname } = new URL(this.#config.getCurrentCluster()!.server);
    const place = { origin, prefix: pathname.replace(/\/+$/, ""), headers };
    if (kept) return { ...place, requests: kept.requests, watches: kept.watches };
    if (this.#config.getCurrentCluster()!.proxyUrl) {
      return { ...place, requests: await this.#throughProxy(), watches: await this.#throughProxy() };
    }
    // Certificates are parsed once for all connections of a pool: a bundle of CAs in NODE_EXTRA_CA_CERTS takes tens of
    // milliseconds, for which every new connection would stop the event loop.
    const target = { ...tls, secureContext: createSecureContext(tls), keepAlive: true, keepAliveInitialDelay };
    const options = { keepAliveTimeout: idleMs, allowH2: false };
    const proxy = this.#environmentsProxy();
    if (proxy) {
      const through = { ...options, uri: proxy.url.href, requestTls: target };
      return { ...place, requests: new ProxyAgent({ ...through, connections }), watches: new ProxyAgent(through) };
    }
    const straight = { ...options, connect: target };
    return { ...place, requests: new Agent({ ...straight, connections }), watches: new Agent(straight) };
  }

  /**
   * As client-go's http.ProxyFromEnvironment. A pod knows its API server by an address, which users may have left out of
   * NO_PROXY beside `.svc`: its name there counts as well.
   */
  #environmentsProxy(): HttpProxy | undefined {
    const { name, server } = this.#config.getCurrentCluster()!;
    const { proxies = noProxies } = this.#options;
    const proxy = proxies.for(new URL(server));
    return name === podCluster && !proxies.for(new URL("https://kubernetes.default.svc")) ? undefined : proxy;
  }

  /** client-node knows how to get through HTTP and SOCKS proxies, and makes a pool of its own for it. */
  async #throughProxy(): Promise<Dispatcher> {
    let found: Dispatcher | undefined;
    const context = { setHeaderParam() {}, setDispatcher: (dispatcher: Dispatcher) => (found = dispatcher) };
    type Context = Parameters<KubeConfig["applySecurityAuthentication"]>[0];
    await this.#config.applySecurityAuthentication(context as unknown as Context);
    if (!found) throw new KubeError("network", "the kubeconfig's proxy-url cannot be used");
    return found;
  }
}

/** Pools serve as long as this stays the same. */
function identityOf(config: KubeConfig, { tls }: Credentials): string {
  const { server, proxyUrl } = config.getCurrentCluster()!;
  const texts = [server, proxyUrl, tls.ca, tls.cert, tls.key, tls.rejectUnauthorized, tls.servername].map(String);
  return createHash("sha256").update(JSON.stringify(texts)).digest("hex");
}

/** Lets what is under way end, then closes. */
function retire({ requests, watches }: Access): void {
  for (const pool of [requests, watches]) pool.close().catch(() => {});
}
