import { BlockList, isIP } from "node:net";
import { domainToASCII } from "node:url";
import { Failure } from "./failure.ts";

/** The proxy for requests of one scheme. */
export interface HttpProxy {
  /** The scheme of the requests. */
  scheme: "http" | "https";
  /** Includes the user and password from the environment; never part of a message. */
  url: URL;
  /** The environment variable that sets the proxy. */
  variable: string;
  /** `host:port`, for messages. */
  label: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** One rule of NO_PROXY. */
type Rule = (host: string, port: string) => boolean;

/**
 * The proxies of HTTPS_PROXY, HTTP_PROXY and NO_PROXY, with the rules of Go's golang.org/x/net/http/httpproxy and so of
 * kubectl. The upper-case variable has precedence over the lower-case one. NO_PROXY lists hosts with their subdomains,
 * `.suffixes`, IP addresses, CIDR blocks and `*`; all but CIDR blocks may have a port. localhost and loopback addresses
 * are never proxied.
 */
export class Proxies {
  /** All configured proxies, at most one for each scheme. */
  readonly all: readonly HttpProxy[];
  readonly #rules: readonly Rule[];

  /** @throws Failure for an invalid proxy URL. The message omits the URL, which may contain a password. */
  constructor(env: Environment) {
    this.all = (["https", "http"] as const).flatMap((scheme) => proxyOf(env, scheme) ?? []);
    const { text } = variableOf(env, "NO_PROXY") ?? { text: "" };
    this.#rules = text
      .split(/[\s,]+/)
      .filter((entry) => entry !== "")
      .map((entry) => ruleOf(entry.toLowerCase()));
  }

  /** The proxy for requests to a URL; undefined for a direct connection. */
  for({ protocol, hostname, port }: Pick<URL, "protocol" | "hostname" | "port">): HttpProxy | undefined {
    const proxy = this.all.find(({ scheme }) => `${scheme}:` === protocol);
    if (!proxy) return undefined;
    const host = hostname
      .replace(/^\[|\]$/g, "")
      .replace(/\.$/, "")
      .toLowerCase();
    if (host === "localhost" || isLoopback(host)) return undefined;
    const number = port !== "" ? port : protocol === "https:" ? "443" : "80";
    return this.#rules.some((matches) => matches(host, number)) ? undefined : proxy;
  }
}

/** No proxies, regardless of the environment. */
export const noProxies = new Proxies({});

function variableOf(env: Environment, name: string): { variable: string; text: string } | undefined {
  for (const variable of [name, name.toLowerCase()]) {
    const text = env[variable]?.trim();
    if (text) return { variable, text };
  }
  return undefined;
}

function proxyOf(env: Environment, scheme: HttpProxy["scheme"]): HttpProxy | undefined {
  const { variable, text } = variableOf(env, `${scheme.toUpperCase()}_PROXY`) ?? {};
  if (variable === undefined || text === undefined) return undefined;
  const url = URL.parse(/^[a-z0-9+.-]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    const message = `${variable} names no proxy that can be used: write http://HOST:PORT or https://HOST:PORT`;
    throw new Failure("InvalidData", "stalled", message);
  }
  const port = url.port !== "" ? url.port : url.protocol === "https:" ? "443" : "80";
  return { scheme, url, variable, label: `${url.hostname}:${port}` };
}

function ruleOf(entry: string): Rule {
  if (entry === "*") return () => true;
  const block = /^([0-9a-f.:]+)\/([0-9]{1,3})$/.exec(entry);
  if (block) return inBlock(block[1]!, Number(block[2]));
  const [, bracketed, name, port = ""] = /^(?:\[([^\]]*)\]|([^:]*))(?::([0-9]+))?$/.exec(entry) ?? [];
  // An IPv6 address without brackets has no port.
  const host = bracketed ?? name ?? entry;
  const isPort: (other: string) => boolean = (other) => port === "" || port === other;
  if (isIP(host) !== 0) {
    const isAddress = inBlock(host, isIP(host) === 6 ? 128 : 32);
    return (other, otherPort) => isPort(otherPort) && isAddress(other, otherPort);
  }
  const isSuffixOnly = host.startsWith(".") || host.startsWith("*.");
  const bare = host.replace(/^\*?\./, "").replace(/\.$/, "");
  const domain = domainToASCII(bare) || bare;
  if (domain === "") return () => false;
  return (other, otherPort) =>
    isPort(otherPort) && (other.endsWith(`.${domain}`) || (!isSuffixOnly && other === domain));
}

function inBlock(address: string, prefix: number): Rule {
  const family = isIP(address);
  const list = new BlockList();
  try {
    list.addSubnet(address, prefix, family === 6 ? "ipv6" : "ipv4");
  } catch {
    return () => false;
  }
  return (host) => isIP(host) !== 0 && list.check(host, isIP(host) === 6 ? "ipv6" : "ipv4");
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

function isLoopback(host: string): boolean {
  return isIP(host) !== 0 && loopback.check(host, isIP(host) === 6 ? "ipv6" : "ipv4");
}
