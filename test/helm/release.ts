import type { ClusterHandle } from "../cluster/handle.ts";
import { chart, helm } from "./chart.ts";

/** Every kind that the chart makes, but for the definitions of the kinds of its own, and Helm's own record. */
const kinds = [
  "deployments,poddisruptionbudgets,services,serviceaccounts",
  "roles,rolebindings,clusterroles,clusterrolebindings",
].join(",");

/** The kinds of keyferry.io, as their definitions are named. */
export const definitions = ["awsconnections", "clusterawsconnections", "syncedsecrets"].map(
  (plural) => `customresourcedefinition.apiextensions.k8s.io/${plural}.keyferry.io`,
);

/** An installation of the chart in a real cluster; its name is the full name of its objects too. */
export class Release {
  readonly name = "keyferry";
  readonly namespace: string;
  readonly #cluster: ClusterHandle;

  constructor(cluster: ClusterHandle, namespace: string) {
    this.#cluster = cluster;
    this.namespace = namespace;
  }

  /** The ServiceAccount's name as RBAC has it. */
  get user(): string {
    return `system:serviceaccount:${this.namespace}:${this.name}`;
  }

  /**
   * Installs, or upgrades what is installed, with these values alone; gives what helm prints.
   *
   * @param from another chart than the repository's, such as an older one
   * @param more arguments of helm
   */
  async install(values: object = {}, from = chart, ...more: string[]): Promise<string> {
    const args = ["upgrade", "--install", this.name, from, "--reset-values", "--values", "-", ...more];
    return this.#helm(args, JSON.stringify(values));
  }

  /** Rolls back to what was installed before. */
  async rollback(): Promise<void> {
    await this.#helm(["rollback", this.name]);
  }

  async uninstall(): Promise<void> {
    await this.#helm(["uninstall", this.name]);
  }

  /** What there is of it in the cluster, as sorted `namespace/kind/name`, the definitions apart. */
  async objects(): Promise<string[]> {
    const selector = `app.kubernetes.io/instance=${this.name}`;
    const columns = "custom-columns=NAMESPACE:.metadata.namespace,KIND:.kind,NAME:.metadata.name";
    const args = ["get", kinds, "--all-namespaces", "--selector", selector, "--output", columns, "--no-headers"];
    const lines = (await this.#cluster.run(args)).trim().split("\n");
    return lines
      .filter((line) => line !== "")
      .map((line) => line.trim().split(/\s+/).join("/"))
      .sort();
  }

  /** The definitions of keyferry.io in the cluster; one that is being deleted, which takes a while, is not counted. */
  async definitions(): Promise<string[]> {
    const columns = "custom-columns=NAME:.metadata.name,DELETED:.metadata.deletionTimestamp";
    const lines = await this.#cluster.run(["get", "crds", "--output", columns, "--no-headers"]);
    const rows = lines.split("\n").map((line) => line.trim().split(/\s+/));
    const left = rows.filter(([name, deleted]) => name!.endsWith(".keyferry.io") && deleted === "<none>");
    return left.map(([name]) => `customresourcedefinition.apiextensions.k8s.io/${name}`);
  }

  async #helm(args: string[], input = ""): Promise<string> {
    const { stdout, stderr, code } = await helm([...args, "--namespace", this.namespace], input, this.#cluster);
    if (code !== 0) throw new Error(`helm ${args.join(" ")} ended with ${code}: ${stderr.trim()}`);
    return stdout;
  }
}

interface Review {
  status: { resourceRules: { verbs: string[]; apiGroups: string[]; resources: string[]; resourceNames?: string[] }[] };
}

/**
 * What a user may do in a namespace, by the API server's own account (SelfSubjectRulesReview), as sorted
 * `group/resource: verbs`; cluster-wide resources among them where a ClusterRole grants them.
 */
export async function rightsOf(cluster: ClusterHandle, user: string, namespace: string): Promise<string[]> {
  const review = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectRulesReview", spec: { namespace } };
  // Validation by kubectl would itself need rights that the user has not.
  const args = ["create", "--as", user, "--validate=false", "--output", "json", "--filename", "-"];
  const { status } = JSON.parse(await cluster.run(args, JSON.stringify(review))) as Review;
  const verbs = new Map<string, Set<string>>();
  for (const rule of status.resourceRules) {
    for (const group of rule.apiGroups) {
      for (const resource of rule.resources) {
        const names = rule.resourceNames ? ` ${rule.resourceNames.join()}` : "";
        const of = `${group || "core"}/${resource}${names}`;
        verbs.set(of, new Set([...(verbs.get(of) ?? []), ...rule.verbs]));
      }
    }
  }
  return [...verbs].map(([of, set]) => `${of}: ${[...set].sort().join(", ")}`).sort();
}
