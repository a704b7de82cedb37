import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";

/** What another process needs to know to use a cluster: plain values, described at ClusterHandle. */
export interface ClusterDetails {
  url: string;
  kubeconfigPath: string;
  token: string;
  caFile: string;
  auditLogPath?: string;
  dir: string;
  kubectlPath: string;
}

/** How a run of kubectl ended. */
export interface KubectlResult {
  stdout: string;
  stderr: string;
  code: number;
}

/** A running cluster, seen from a test. */
export class ClusterHandle {
  /** For another process of this machine: `new ClusterHandle(details)` there is this cluster too. */
  readonly details: ClusterDetails;

  constructor(details: ClusterDetails) {
    this.details = details;
  }

  /** `https://<address>:<port>`. */
  get url(): string {
    return this.details.url;
  }

  /** The administrator's kubeconfig (system:masters). */
  get kubeconfigPath(): string {
    return this.details.kubeconfigPath;
  }

  /** The administrator's bearer token. */
  get token(): string {
    return this.details.token;
  }

  /** The certificates that the API server's chains up to, PEM. */
  get caFile(): string {
    return this.details.caFile;
  }

  /** The audit log, one JSON object a line (audit.ts reads it). Throws where none was asked for. */
  get auditLogPath(): string {
    if (!this.details.auditLogPath) throw new Error("This cluster was started without { audit: true }.");
    return this.details.auditLogPath;
  }

  /** The cluster's own temporary folder: its programs' logs, and what tests put there; it goes with the cluster. */
  get dir(): string {
    return this.details.dir;
  }

  /**
   * Runs kubectl as the administrator, or as whom a `--kubeconfig` among the arguments names. A non-zero exit is a
   * result, not an exception.
   *
   * @param input what it reads as `-f -`
   */
  async kubectl(args: string[], input = ""): Promise<KubectlResult> {
    const own = ["--cache-dir", join(this.dir, "kubectl-cache"), "--kubeconfig", this.kubeconfigPath];
    // The last --kubeconfig wins. HOME keeps the user's own preferences out.
    const kubectl = spawn(this.details.kubectlPath, [...own, ...args], {
      env: { PATH: process.env.PATH, HOME: this.dir },
      stdio: ["pipe", "pipe", "pipe"],
    });
    kubectl.stdin.on("error", () => {}).end(input);
    const ended = new Promise<number>((resolve, reject) => {
      kubectl.once("error", reject);
      kubectl.once("close", (code) => resolve(code ?? -1));
    });
    const [stdout, stderr, code] = await Promise.all([text(kubectl.stdout), text(kubectl.stderr), ended]);
    return { stdout, stderr, code };
  }

  /** As kubectl, for steps that have to work: gives standard output, and rejects with standard error otherwise. */
  async run(args: string[], input?: string): Promise<string> {
    const { stdout, stderr, code } = await this.kubectl(args, input);
    if (code !== 0) throw new Error(`kubectl ${args.join(" ")} ended with ${code}: ${stderr.trim()}`);
    return stdout;
  }

  /** Makes a namespace that no other test has, and gives its name: `<prefix>-<random>`. */
  async freshNamespace(prefix: string): Promise<string> {
    const name = `${prefix}-${randomBytes(4).toString("hex")}`;
    await this.run(["create", "namespace", name]);
    return name;
  }

  /**
   * Applies the CustomResourceDefinitions of a folder's YAML files and waits until their kinds are served. An empty
   * folder is nothing to do.
   */
  async applyCrds(folder: string): Promise<void> {
    const files = (await readdir(folder)).filter((file) => file.endsWith(".yaml"));
    if (files.length === 0) return;
    const names = await this.run(["apply", "--server-side", "--output", "name", "--filename", folder]);
    await this.run(["wait", "--for", "condition=Established", "--timeout", "30s", ...names.trim().split(/\s+/)]);
  }

  /** A token of an existing ServiceAccount, from the TokenRequest API, good for an hour. */
  async tokenFor(namespace: string, name: string): Promise<string> {
    return (await this.run(["create", "token", name, "--namespace", namespace])).trim();
  }

  /** The path of a kubeconfig that acts as an existing ServiceAccount, its namespace being the current one. */
  async kubeconfigFor(namespace: string, name: string): Promise<string> {
    const token = await this.tokenFor(namespace, name);
    const path = join(this.dir, `${namespace}.${name}.kubeconfig`);
    await writeFile(path, kubeconfig(this.url, this.caFile, token, namespace), { mode: 0o600 });
    return path;
  }
}

/** A kubeconfig with one context, as JSON, which is YAML too. */
export function kubeconfig(server: string, caFile: string, token: string, namespace = "default"): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "certificate-authority": caFile } }],
    users: [{ name: "test", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test", namespace } }],
    "current-context": "test",
  });
}
