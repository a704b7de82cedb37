import type { RunningOperator } from "../../support/operator.ts";
import { documents, type Stage } from "../stage.ts";

/** The flags of leader election, in milliseconds. */
export interface Timing {
  leaseMs: number;
  deadlineMs: number;
  retryMs: number;
}

/** The defaults of the program. */
export const defaultTiming: Timing = { leaseMs: 15_000, deadlineMs: 10_000, retryMs: 2_000 };
/** Short, so that a test is. The rules between the three are those of the defaults. */
export const shortTiming: Timing = { leaseMs: 3_000, deadlineMs: 2_000, retryMs: 500 };

/** A running replica. The audit log shows its user. */
export interface Replica extends RunningOperator {
  name: string;
  user: string;
  /** By the probe: a page of metrics is cached for a second. */
  leads(): Promise<boolean>;
}

/** How a replica is started. */
export interface StartOptions {
  /** Default: directly to the API server, as the replica's user. */
  kubeconfig?: string;
  /** Milliseconds by which the replica's wall clock is ahead. */
  skewMs?: number;
  /** Whether it takes part in the election. Default true. */
  elects?: boolean;
}

const own = "keyferry-system";

/** Starts replicas, each as a user of its own. */
export class Replicas {
  readonly timing: Timing;
  readonly #stage: Stage;
  readonly #running = new Set<Replica>();
  readonly #kubeconfigs = new Map<string, string>();

  private constructor(stage: Stage, timing: Timing) {
    [this.#stage, this.timing] = [stage, timing];
  }

  /** Creates the operator's namespace, and users with all rights. */
  static async prepare(stage: Stage, names: readonly string[], timing: Timing): Promise<Replicas> {
    const replicas = new Replicas(stage, timing);
    const { cluster } = stage;
    const metadata = (name: string) => ({ name, namespace: own });
    const objects = names.flatMap((name) => [
      { apiVersion: "v1", kind: "ServiceAccount", metadata: metadata(name) },
      {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRoleBinding",
        metadata: { name },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
        subjects: [{ kind: "ServiceAccount", ...metadata(name) }],
      },
    ]);
    await cluster.run(["create", "namespace", own]);
    await cluster.run(["apply", "-f", "-"], documents(objects));
    for (const name of names) replicas.#kubeconfigs.set(name, await cluster.kubeconfigFor(own, name));
    return replicas;
  }

  /** The kubeconfig of a user. */
  kubeconfig(name: string): string {
    return this.#kubeconfigs.get(name)!;
  }

  /** Starts a replica, and waits until it leads or stands by. */
  async start(name: string, options: StartOptions = {}): Promise<Replica> {
    const { kubeconfig = this.kubeconfig(name), skewMs = 0, elects = true } = options;
    const { leaseMs, deadlineMs, retryMs } = this.timing;
    const times = ["--lease-duration", `${leaseMs}ms`, "--renew-deadline", `${deadlineMs}ms`];
    const flags = elects ? ["--leader-elect", ...times, "--retry-period", `${retryMs}ms`] : [];
    const env = elects ? { POD_NAMESPACE: own, POD_NAME: name } : {};
    const skew = `const now = Date.now; Date.now = () => now() + ${skewMs};`;
    const node = skewMs === 0 ? [] : ["--import", `data:text/javascript,${encodeURIComponent(skew)}`];
    const operator = await this.#stage.operator(flags, { kubeconfig, env, node });
    const leads = async () => {
      const answer = await fetch(`${operator.probesUrl}/readyz`).catch(() => undefined);
      return answer?.status === 200 && (await answer.text()).trim() === "ok";
    };
    const replica: Replica = { ...operator, name, user: `system:serviceaccount:${own}:${name}`, leads };
    this.#running.add(replica);
    void replica.exited.then(() => this.#running.delete(replica));
    return replica;
  }

  /** Kills all replicas, and deletes the Lease. */
  async end(): Promise<void> {
    await Promise.all([...this.#running].map((replica) => replica.kill().catch(() => {})));
    await this.#stage.cluster.kubectl(["delete", "lease", "keyferry", "-n", own, "--ignore-not-found"]);
  }
}
