import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseAllDocuments } from "yaml";
import { ensureHelm } from "../cluster/helm.ts";

/** The repository's root. */
export const root = join(import.meta.dirname, "../..");
/** The chart's folder. */
export const chart = join(root, "helm/keyferry");

/** Any object that the chart renders. */
export interface Rendered {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
}

/** A Deployment, as far as tests look into it. */
export interface Deployment extends Rendered {
  kind: "Deployment";
  spec: {
    replicas: number;
    strategy: object;
    selector: { matchLabels: Record<string, string> };
    template: {
      metadata: { labels: Record<string, string>; annotations?: Record<string, string> };
      spec: Record<string, unknown> & { containers: (Record<string, unknown> & { args: string[] })[] };
    };
  };
}

/** How a run of helm ended. */
export interface HelmResult {
  stdout: string;
  stderr: string;
  code: number;
}

/** What helm needs of a ClusterHandle. */
export interface HelmCluster {
  kubeconfigPath: string;
  dir: string;
}

const noCluster: HelmCluster = { kubeconfigPath: "/dev/null", dir: "/nonexistent" };

/**
 * Runs helm; a non-zero exit is a result, not an exception.
 *
 * @param input what it reads as `--values -`
 * @param cluster none when left out, which is enough for lint and template
 */
export async function helm(args: string[], input = "", cluster: HelmCluster = noCluster): Promise<HelmResult> {
  const process = spawn(await ensureHelm(), args, {
    // HOME keeps the user's own repositories and plugins out; what is learnt of a cluster is kept there too.
    env: { HOME: cluster.dir, KUBECONFIG: cluster.kubeconfigPath },
    stdio: ["pipe", "pipe", "pipe"],
  });
  process.stdin.on("error", () => {}).end(input);
  const ended = new Promise<number>((resolve, reject) => {
    process.once("error", reject);
    process.once("close", (code) => resolve(code ?? -1));
  });
  const [stdout, stderr, code] = await Promise.all([text(process.stdout), text(process.stderr), ended]);
  return { stdout, stderr, code };
}

/** The release's namespace in `template`. */
export const releaseNamespace = "ops";

/**
 * Runs `helm template` for a release named keyferry with these values, and with more arguments.
 *
 * @param values an object, or the text of a values file
 */
export async function template(values: object | string, ...more: string[]): Promise<HelmResult> {
  const args = ["template", "keyferry", chart, "--namespace", releaseNamespace, "--values", "-", ...more];
  return helm(args, typeof values === "string" ? values : JSON.stringify(values));
}

/** What `template` renders, the tests of `helm test` apart, as objects; rejects with helm's message where it refuses. */
export async function render(values: object, ...more: string[]): Promise<Rendered[]> {
  const { stdout, stderr, code } = await template(values, "--skip-tests", ...more);
  if (code !== 0) throw new Error(stderr);
  const documents = parseAllDocuments(stdout, { uniqueKeys: true });
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => document.toJS() as Rendered | null).filter((object) => object !== null);
}

/** The one Deployment among these objects. */
export function deploymentOf(objects: readonly Rendered[]): Deployment {
  return objects.find((object): object is Deployment => object.kind === "Deployment")!;
}
