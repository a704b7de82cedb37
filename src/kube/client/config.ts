import { accessSync } from "node:fs";
import { isIPv6 } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { KubeConfig } from "@kubernetes/client-node";
import { KubeError } from "../errors.ts";

/** Where the kubelet mounts the ServiceAccount's token and the API server's CA. */
const serviceAccount = "var/run/secrets/kubernetes.io/serviceaccount";

export interface ConfigSource {
  /** The process environment: KUBECONFIG, KUBERNETES_SERVICE_HOST and _PORT. */
  env: Readonly<Record<string, string | undefined>>;
  /** The root directory for the ServiceAccount's files. Default `/`; tests set it. */
  root?: string;
}

/**
 * Loads the client configuration in controller-runtime's order (pkg/client/config, loadConfig): the merged files of
 * KUBECONFIG, the pod's ServiceAccount, ~/.kube/config.
 *
 * @throws Error with a message for the user, which names the file and never quotes its content
 */
export function loadKubeConfig({ env, root = "/" }: ConfigSource): KubeConfig {
  const config = new KubeConfig();
  const files = (env.KUBECONFIG ?? "").split(process.platform === "win32" ? ";" : ":").filter((file) => file !== "");
  const home = join(env.HOME ?? homedir(), ".kube", "config");
  if (files.length > 0) {
    load(config, files);
  } else if (env.KUBERNETES_SERVICE_HOST && isReadable(join(root, serviceAccount, "token"))) {
    loadFromPod(config, env.KUBERNETES_SERVICE_HOST, env.KUBERNETES_SERVICE_PORT, join(root, serviceAccount));
  } else if (isReadable(home)) {
    load(config, [home]);
  } else {
    throw new Error(
      "no Kubernetes cluster is configured: set KUBECONFIG to a kubeconfig file, or run in a pod with a ServiceAccount",
    );
  }
  const cluster = config.getCurrentCluster();
  if (!cluster || !URL.canParse(cluster.server)) {
    throw new Error("the current context of the kubeconfig names no cluster with a server: see kubectl config view");
  }
  if (new URL(cluster.server).protocol === "http:" && !cluster.skipTLSVerify) {
    throw new Error("the kubeconfig's server uses plain HTTP, which exposes credentials: use https");
  }
  if (!config.getCurrentUser()) {
    throw new Error("the current context of the kubeconfig names no user that exists: see kubectl config view");
  }
  return config;
}

/** The cluster name of the configuration from a pod's ServiceAccount. */
export const podCluster = "pod";

/** KubeConfig.loadFromCluster is not used: it reads only process.env, and uses plain HTTP for some ports. */
function loadFromPod(config: KubeConfig, host: string, port: string | undefined, folder: string): void {
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port || 443}`;
  const cluster = { name: podCluster, server, caFile: join(folder, "ca.crt"), skipTLSVerify: false };
  const authProvider = { name: "tokenFile", config: { tokenFile: join(folder, "token") } };
  config.loadFromClusterAndUser(cluster, { name: "pod", authProvider });
}

/** Merges kubeconfig files. If several files have an entry, the first applies, as in kubectl. */
function load(config: KubeConfig, files: string[]): void {
  for (const [index, file] of files.entries()) {
    const one = index === 0 ? config : new KubeConfig();
    try {
      one.loadFromFile(file);
    } catch (error) {
      // The parser's message quotes the file, which contains tokens and keys.
      const code = (error as NodeJS.ErrnoException).code;
      throw new Error(`kubeconfig ${file}: ${typeof code === "string" ? code : "is not a kubeconfig"}`);
    }
    if (index > 0) merge(config, one);
  }
}

function merge(config: KubeConfig, more: KubeConfig): void {
  for (const cluster of more.clusters) if (!config.getCluster(cluster.name)) config.addCluster(cluster);
  for (const user of more.users) if (!config.getUser(user.name)) config.addUser(user);
  for (const context of more.contexts) if (!config.getContextObject(context.name)) config.addContext(context);
  if (!config.getCurrentContext()) config.setCurrentContext(more.getCurrentContext());
}

function isReadable(file: string): boolean {
  try {
    accessSync(file);
    return true;
  } catch {
    return false;
  }
}

/** The current headers and TLS options of a KubeConfig. */
export interface Credentials {
  headers: Record<string, string>;
  tls: {
    ca?: string | Buffer | (string | Buffer)[];
    cert?: string | Buffer;
    key?: string | Buffer;
    rejectUnauthorized?: boolean;
    servername?: string;
  };
}

/**
 * Reads the files and runs the plugins that a KubeConfig names. For each KubeConfig object, client-node caches a token
 * file for a minute and a plugin's answer until it expires.
 *
 * @throws KubeError `unauthorized`, without the plugin's output
 */
export async function credentialsOf(config: KubeConfig): Promise<Credentials> {
  const options: Parameters<KubeConfig["applyToHTTPSOptions"]>[0] & { auth?: string | null } = { headers: {} };
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException | undefined)?.code;
    const plugin = config.getCurrentUser()?.exec?.command;
    const source = typeof plugin === "string" ? `the credential plugin ${plugin}` : "the kubeconfig's user or cluster";
    const detail = typeof code === "string" ? ` (${code})` : "";
    throw new KubeError("unauthorized", `no credentials for the API server: ${source} failed${detail}`);
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    // A token file may end in a line feed, which is invalid in a header.
    if (value !== undefined) headers[name.toLowerCase()] = String(value).trim();
  }
  if (options.auth) headers.authorization = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  const { ca: own, cert, key, rejectUnauthorized, servername } = options as Credentials["tls"];
  // The option `ca` replaces all default CAs, including NODE_EXTRA_CA_CERTS: add these again.
  const more = own ? getCACertificates("extra") : [];
  const ca = own && more.length > 0 ? [own, ...more].flat() : own;
  return {
    headers,
    tls: {
      ...(ca ? { ca } : {}),
      ...(cert ? { cert } : {}),
      ...(key ? { key } : {}),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
      ...(servername ? { servername } : {}),
    },
  };
}
