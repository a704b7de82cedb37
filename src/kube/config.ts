import { accessSync } from "node:fs";
import { isIPv6 } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { KubeConfig } from "@kubernetes/client-node";
import { KubeError } from "./errors.ts";

/** Where a kubelet puts a pod's ServiceAccount: its token, and the CA of the API server. */
const serviceAccount = "var/run/secrets/kubernetes.io/serviceaccount";

export interface ConfigSource {
  /** The process's environment: KUBECONFIG, KUBERNETES_SERVICE_HOST and _PORT. */
  env: Readonly<Record<string, string | undefined>>;
  /** The folder that stands for `/` where a pod's ServiceAccount is looked for; for tests. */
  root?: string;
}

/**
 * Loads what says where the API server is and who we are: the files that KUBECONFIG names, merged; else a pod's
 * ServiceAccount; else ~/.kube/config. It is controller-runtime's order (pkg/client/config, loadConfig).
 *
 * @throws Error with a message for the user, which names the file and never quotes it
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
    throw new Error("the kubeconfig's server is plain HTTP, on which credentials can be read: use https");
  }
  if (!config.getCurrentUser()) {
    throw new Error("the current context of the kubeconfig names no user that it has: see kubectl config view");
  }
  return config;
}

/** What the cluster of a pod's ServiceAccount is called. */
export const podCluster = "pod";

/** KubeConfig's own loadFromCluster looks at this process's environment only, and speaks plain HTTP to some ports. */
function loadFromPod(config: KubeConfig, host: string, port: string | undefined, folder: string): void {
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port || 443}`;
  const cluster = { name: podCluster, server, caFile: join(folder, "ca.crt"), skipTLSVerify: false };
  const authProvider = { name: "tokenFile", config: { tokenFile: join(folder, "token") } };
  config.loadFromClusterAndUser(cluster, { name: "pod", authProvider });
}

/** A kubeconfig's files as one: of an entry that stands in several, the first counts, as with kubectl. */
function load(config: KubeConfig, files: string[]): void {
  for (const [index, file] of files.entries()) {
    const one = index === 0 ? config : new KubeConfig();
    try {
      one.loadFromFile(file);
    } catch (error) {
      // The parser's message quotes the file, which holds tokens and keys.
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

/** What a KubeConfig says about a connection at one moment. */
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
 * Reads the files and runs the plugins that a KubeConfig names. client-node remembers a token file for a minute and a
 * plugin's answer until it expires, for each KubeConfig object.
 *
 * @throws KubeError `unauthorized`, without what a plugin has printed
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
    // A token file may end in a line feed, which no header may hold.
    if (value !== undefined) headers[name.toLowerCase()] = String(value).trim();
  }
  if (options.auth) headers.authorization = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  const { ca: own, cert, key, rejectUnauthorized, servername } = options as Credentials["tls"];
  // A CA of the kubeconfig's takes the place of all others, also of those that NODE_EXTRA_CA_CERTS adds.
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
