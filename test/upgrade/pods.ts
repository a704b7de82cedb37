import type { Stage } from "../e2e/stage.ts";
import { type Deployment, deploymentOf, type Rendered } from "../helm/chart.ts";
import type { Release } from "../helm/release.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import type { Version } from "./versions.ts";

/** Flags of the chart that each process here sets itself. */
const own = /^--(metrics|health-probe)-bind-address=/;

/**
 * The pods of a release's Deployment, as processes of this machine: with the Deployment's arguments, as its
 * ServiceAccount, replaced by its strategy.
 */
export class Pods {
  readonly #stage: Stage;
  readonly #release: Release;
  #running: RunningOperator[] = [];
  #started = 0;

  constructor(stage: Stage, release: Release) {
    this.#stage = stage;
    this.#release = release;
  }

  /** The processes that run. */
  get running(): readonly RunningOperator[] {
    return this.#running;
  }

  /**
   * Replaces the processes by those of the Deployment as it is now.
   *
   * @param version the program that the Deployment's image stands for
   * @param between runs while the old processes stop
   * @returns the exit codes of the old processes
   */
  async roll(
    { bundle, refused = {} }: Version,
    between: () => Promise<unknown> = async () => {},
  ): Promise<(number | null)[]> {
    const { spec } = await this.#deployment();
    const given = spec.template.spec.containers[0]!.args.slice(1).filter((arg) => !own.test(arg));
    const args = given.map((arg) => refused[arg] ?? arg);
    const isRecreate = (spec.strategy as { type?: string }).type === "Recreate";
    const old = this.#running;
    const start = async () => {
      this.#running = await Promise.all(Array.from({ length: spec.replicas }, () => this.#start(bundle, args)));
    };
    const stop = async () => {
      const codes = old.map(async (pod) => {
        process.kill(pod.pid, "SIGTERM");
        return pod.exited;
      });
      await between();
      return Promise.all(codes);
    };
    if (!isRecreate) await start();
    const codes = await stop();
    if (isRecreate) await start();
    await until(() => this.#hasLeader(), 30_000, "a leader");
    return codes;
  }

  /** Ends all processes. */
  async stop(): Promise<void> {
    await Promise.all(this.#running.map((pod) => pod.stop()));
    this.#running = [];
  }

  async #start(bundle: string, args: string[]): Promise<RunningOperator> {
    const { namespace, name } = this.#release;
    const kubeconfig = await this.#stage.cluster.kubeconfigFor(namespace, name);
    const env = { POD_NAMESPACE: namespace, POD_NAME: `${name}-${this.#started++}` };
    return this.#stage.operator(args, { kubeconfig, env, bundle });
  }

  async #hasLeader(): Promise<boolean> {
    const ready = this.#running.map(async ({ probesUrl }) => (await fetch(`${probesUrl}/readyz`)).text());
    return (await Promise.all(ready)).some((text) => text.trim() === "ok");
  }

  async #deployment(): Promise<Deployment> {
    const { namespace, name } = this.#release;
    const args = ["get", "deployment", name, "--namespace", namespace, "--output", "json"];
    return deploymentOf([JSON.parse(await this.#stage.cluster.run(args)) as Rendered]);
  }
}
