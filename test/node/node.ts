import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ensureNodePrograms, type NodePrograms } from "../cluster/build.ts";
import { type Cluster, startCluster, untilReady } from "../cluster/cluster.ts";
import { buildBusyBox } from "./images.ts";
import { containerd, filesFor, kubelet, NODE_NAME, proxy, SOCKET, scheduler } from "./programs.ts";
import { Sandbox } from "./sandbox.ts";

/** Controllers that workloads, Services and a node need. */
const CONTROLLERS = [
  "deployment-controller",
  "replicaset-controller",
  "statefulset-controller",
  "daemonset-controller",
  "disruption-controller",
  "endpointslice-controller",
  "node-lifecycle-controller",
  "pod-garbage-collector-controller",
];

/** A cluster with one real node. */
export class NodeCluster {
  readonly cluster: Cluster;
  readonly sandbox: Sandbox;

  private constructor(cluster: Cluster, sandbox: Sandbox) {
    this.cluster = cluster;
    this.sandbox = sandbox;
  }

  /** Starts it, and waits until the node is Ready. Everything ends with this process. */
  static async start(options: { crds: string }): Promise<NodeCluster> {
    const programs = await ensureNodePrograms();
    const sandbox = await Sandbox.open();
    const cluster = await startCluster({ ...options, controllers: CONTROLLERS, address: sandbox.hostAddress });
    const node = new NodeCluster(cluster, sandbox);
    try {
      await node.#start(programs);
      return node;
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  async #start(programs: NodePrograms): Promise<void> {
    const { sandbox, cluster } = this;
    for (const [name, content] of Object.entries(filesFor(sandbox, cluster))) {
      await mkdir(dirname(join(sandbox.dir, name)), { recursive: true });
      await writeFile(join(sandbox.dir, name), content);
    }
    const runtime = containerd(sandbox);
    const running = await sandbox.start(runtime);
    await untilReady(runtime, running, async () => (await this.#ctr(["version"])) !== "");
    await this.#ctr(["images", "import", await buildBusyBox(sandbox.dir)]);
    await sandbox.start(scheduler(programs, sandbox));
    await sandbox.start(proxy(programs, sandbox));
    const agent = kubelet(programs, sandbox, cluster);
    await untilReady(agent, await sandbox.start(agent), () => this.#isReady(), 180_000);
  }

  /** The lines that the container of each pod of a label has logged, by the pod's name. A pod without a log is left out. */
  async logs(namespace: string, label: string): Promise<Map<string, string[]>> {
    const names = await this.cluster.run(["get", "pods", "-n", namespace, "-l", label, "--output", "name"]);
    const pods = names.split("\n").filter(Boolean);
    const logs = await Promise.all(pods.map((name) => this.cluster.kubectl(["logs", "-n", namespace, name])));
    const lines = pods.map(
      (name, index) => [name.slice("pod/".length), logs[index]!.stdout.trim().split("\n")] as const,
    );
    return new Map(lines.filter((_, index) => logs[index]!.code === 0));
  }

  /** The lines that a pod's container has logged, with when, in milliseconds since the epoch. */
  async timedLines(namespace: string, pod: string): Promise<{ at: number; line: string }[]> {
    const lines = (await this.cluster.run(["logs", "-n", namespace, pod, "--timestamps"])).trim().split("\n");
    return lines.map((text) => {
      const end = text.indexOf(" ");
      return { at: Date.parse(text.slice(0, end)), line: text.slice(end + 1) };
    });
  }

  /** Imports an image from an OCI archive. It gets the name `<repository>:<its name in the archive>`. */
  async importImage(archive: string, repository: string): Promise<void> {
    await this.#ctr(["images", "import", "--base-name", repository, archive]);
  }

  /** Sends SIGKILL to the container of a pod, as a crash would end it. */
  async crash(namespace: string, pod: string): Promise<void> {
    const path = "jsonpath={.status.containerStatuses[0].containerID}";
    const id = await this.cluster.run(["get", "pod", pod, "-n", namespace, "--output", path]);
    await this.#ctr(["tasks", "kill", "--signal", "SIGKILL", id.replace("containerd://", "")]);
  }

  async stop(): Promise<void> {
    await this.sandbox.stop();
    await this.cluster.stop();
  }

  /** Runs containerd's own client. */
  #ctr(args: string[]): Promise<string> {
    return this.sandbox.run("ctr", ["--address", SOCKET, "--namespace", "k8s.io", ...args]);
  }

  async #isReady(): Promise<boolean> {
    const path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
    const taints = "jsonpath={.spec.taints}";
    const [ready, left] = await Promise.all(
      [path, taints].map((output) => this.cluster.run(["get", "node", NODE_NAME, "--output", output])),
    );
    return ready === "True" && left === "";
  }
}
