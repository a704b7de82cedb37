import type { TestContext } from "vitest";
import { openClient } from "../../bench/kubernetes.ts";
import { RolloutOracle } from "../e2e/rollouts/oracle.ts";
import { documents, synced } from "../e2e/stage.ts";
import { until } from "../support/operator.ts";
import type { ChartScene } from "./chart-scene.ts";
import { type Pod, type Shown, Timeline } from "./timeline.ts";
import { deployment } from "./workload.ts";

/** The app and its Secret in each namespace. */
const [app, secret, key] = ["app", "db", "DB"];

/**
 * A Deployment of two replicas whose Secret, by `rollout.onFailure: Revert`, goes back if a restart fails. It starts with
 * the value `one`, and crashes with `bad`.
 */
export class RevertingApp {
  readonly timeline: Timeline;
  readonly oracle: RolloutOracle;
  readonly #scene: ChartScene;
  readonly #namespace: string;
  readonly #close: () => Promise<void>;

  private constructor(scene: ChartScene, namespace: string) {
    [this.#scene, this.#namespace] = [scene, namespace];
    const { client, close } = openClient(scene.node.cluster.kubeconfigPath);
    this.#close = close;
    this.timeline = new Timeline(client, namespace);
    this.oracle = new RolloutOracle(client, namespace);
  }

  /**
   * Creates it in a new namespace, and waits until it is available. At the test's end its moments are printed.
   *
   * @param spec of the Deployment
   */
  static async create(scene: ChartScene, namespace: string, context: TestContext, spec = {}): Promise<RevertingApp> {
    scene.logsOnFailure(context);
    const { cluster } = scene.node;
    await cluster.run(["create", "namespace", namespace]);
    await scene.aws.putParameter({ name: `/${namespace}/db`, type: "SecureString", value: "one" });
    const created = new RevertingApp(scene, namespace);
    context.onTestFinished(() => created.#end());
    const data = [{ key, parameter: { name: `/${namespace}/db` } }];
    const rollout = { mode: "Auto", onFailure: "Revert", minInterval: "0s" } as const;
    // The default strategy: of two replicas, none may be unavailable.
    const workload = deployment({ namespace, secret, key, name: app }, { strategy: {}, ...spec });
    await cluster.run(["apply", "-f", "-"], documents([synced(namespace, secret, { data, rollout }), workload]));
    await cluster.run(["wait", "--for=condition=Available", `deployment/${app}`, "-n", namespace, "--timeout=90s"]);
    await created.#rolledOut();
    await Promise.all([created.timeline.synced, created.oracle.synced]);
    // Times of the API server have whole seconds: a pod of the second of a change counts as started with it.
    const ageMs = ({ metadata }: Pod) => Date.now() - Date.parse(metadata.creationTimestamp!);
    await until(() => created.timeline.shown.pods(app).every((pod) => ageMs(pod) > 2_000), 10_000, "older pods");
    return created;
  }

  /** The names of its pods, each with the hash of the template that it was made from. */
  get pods(): string[] {
    return this.timeline.shown.pods(app).map(nameOf).sort();
  }

  /** A condition of its SyncedSecret. */
  condition(type: string): { status: string; reason: string; message: string } | undefined {
    return conditionOf(this.timeline.shown, type);
  }

  /** Changes the parameter to a good value, and waits until only pods that started with it are left. */
  async rollOut(value: string): Promise<void> {
    const { oracle } = this;
    const restarts = () => oracle.restarts.get(`${this.#namespace}/${app}`)?.length ?? 0;
    const before = restarts();
    await this.#put(value);
    await until(() => restarts() > before && oracle.inProgress === 0, 90_000, `the rollout of ${value}`);
    await this.#rolledOut();
    await this.#scene.untilCurrent(this.#namespace, app, value);
  }

  /**
   * Changes the parameter to `bad`. From then on the timeline has these moments: put, Secret bad, restarted, new pod,
   * CrashLoopBackOff, deadline exceeded, failure reported, Secret good, template good, new pod gone, RolledOut.
   */
  async putBad(): Promise<void> {
    const { timeline } = this;
    const good = { value: secretValue(timeline.shown), marks: marksOf(timeline.shown), pods: this.pods };
    const isNew = (pod: Pod) => !good.pods.includes(nameOf(pod));
    const newPods = (shown: Shown) => shown.pods(app).filter(isNew);
    timeline.begin("put");
    timeline.expect("Secret bad", (shown) => secretValue(shown) === "bad");
    timeline.expect("restarted", (shown) => marksOf(shown) !== good.marks);
    timeline.expect("new pod", (shown) => newPods(shown).length > 0);
    timeline.expect("CrashLoopBackOff", (shown) => newPods(shown).some(isCrashLooping));
    timeline.expect("deadline exceeded", (shown) => progressOf(shown) === "ProgressDeadlineExceeded");
    timeline.expect("failure reported", (shown) => shown.synced(secret)?.status?.failedRollout !== undefined);
    timeline.expect("Secret good", (shown) => secretValue(shown) === good.value, "Secret bad");
    timeline.expect("template good", (shown) => marksOf(shown) === good.marks, "restarted");
    timeline.expect("new pod gone", (shown) => newPods(shown).length === 0, "template good");
    timeline.expect("RolledOut", (shown) => conditionOf(shown, "RolledOut")?.status === "True", "template good");
    await this.#put("bad");
  }

  /**
   * Waits until the files of all pods have a value, and notes it as the moment "files good".
   *
   * @returns the lines that each pod has logged
   */
  async untilFiles(value: string): Promise<string[][]> {
    const { node } = this.#scene;
    const names = this.timeline.shown.pods(app).map(({ metadata }) => metadata.name!);
    const logs = () => Promise.all(names.map((name) => node.timedLines(this.#namespace, name)));
    const isGood = async () => (await logs()).every((lines) => lines.at(-1)!.line === `file ${value}`);
    await until(isGood, 120_000, `the file ${value} in all pods`);
    const all = await logs();
    this.timeline.note("files good", Math.max(...all.map((lines) => lines.at(-1)!.at)));
    return all.map((lines) => lines.map(({ line }) => line));
  }

  async #put(value: string): Promise<void> {
    await this.#scene.aws.putParameter({ name: `/${this.#namespace}/db`, type: "SecureString", value });
  }

  async #rolledOut(): Promise<void> {
    const { cluster } = this.#scene.node;
    await cluster.run(["wait", "--for=condition=RolledOut", `kss/${secret}`, "-n", this.#namespace, "--timeout=60s"]);
  }

  async #end(): Promise<void> {
    const { table } = this.timeline;
    await Promise.all([this.timeline.stop(), this.oracle.stop()]);
    await this.#close();
    process.stderr.write(`${this.#namespace}:\n${table}\n`);
  }
}

function nameOf({ metadata }: Pod): string {
  return `${metadata.name} of ${metadata.labels?.["pod-template-hash"]}`;
}

function isCrashLooping({ status }: Pod): boolean {
  return status?.containerStatuses?.some(({ state }) => state?.waiting?.reason === "CrashLoopBackOff") ?? false;
}

function secretValue(shown: Shown): string {
  return Buffer.from(shown.secret(secret)?.data?.[key] ?? "", "base64").toString();
}

/** The restart annotations of the pod template, as one text. */
function marksOf(shown: Shown): string {
  const annotations = Object.entries(shown.deployment(app)?.spec.template.metadata.annotations ?? {});
  return JSON.stringify(annotations.filter(([name]) => name.startsWith("restart.keyferry.io/")));
}

function progressOf(shown: Shown): string | undefined {
  return shown.deployment(app)?.status?.conditions?.find(({ type }) => type === "Progressing")?.reason;
}

function conditionOf(shown: Shown, type: string) {
  return shown.synced(secret)?.status?.conditions?.find((one) => one.type === type);
}
