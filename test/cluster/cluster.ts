import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { get } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Program, removeAtEnd, type Supervised, startSupervised } from "../support/supervise.ts";
import { type ControlPlane, ensureControlPlane } from "./build.ts";
import { ClusterHandle, kubeconfig } from "./handle.ts";
import { freePort } from "./ports.ts";
import { AUDIT_POLICY, apiserver, controllerManager, etcd, filesOf, type Layout, LOOPBACK } from "./programs.ts";

export interface ClusterOptions {
  /** Keep an audit log of every request's metadata; false when left out. */
  audit?: boolean;
  /**
   * A folder of CustomResourceDefinitions to apply before the garbage collector starts: it looks for new kinds only
   * every 30 s, and an owner of a kind that it does not know yet is not followed.
   */
  crds?: string;
  /** Controllers of kube-controller-manager besides those that every test needs. */
  controllers?: readonly string[];
  /** The address of this machine on which the API server listens, for clients in other network namespaces. Default: loopback. */
  address?: string;
}

/** How long one program may take to be ready; a busy machine with two cores needs some 10 s. */
const READY_MS = 60_000;
/** Another process can take a port between the look and the listen. */
const TRIES = 3;

/**
 * Starts a cluster; a few seconds, after a one-time build. It ends with this process at the latest, in whatever way
 * this process ends. Rejects with the last lines of a program's log when that one does not come up.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const programs = await ensureControlPlane();
  for (let left = TRIES - 1; ; left--) {
    const cluster = new Cluster(programs, await layOut(options));
    try {
      await cluster.start(options.crds);
      return cluster;
    } catch (error) {
      await cluster.stop();
      if (left === 0 || !(error as Error).message.includes("address already in use")) throw error;
    }
  }
}

/** A control plane of one's own: etcd, kube-apiserver, kube-controller-manager. */
export class Cluster extends ClusterHandle {
  #programs: ControlPlane;
  #layout: Layout;
  #etcd: Supervised | undefined;
  #apiserver: Supervised | undefined;
  #controllers: Supervised | undefined;

  constructor(programs: ControlPlane, layout: Layout & { token: string }) {
    const { dir, address, ports, audit, controllers = [], token } = layout;
    const { kubeconfig: kubeconfigPath, ca: caFile, auditLog } = filesOf(dir);
    const url = urlOf(layout);
    const details = { url, kubeconfigPath, token, caFile, dir, kubectlPath: programs.kubectl };
    super(audit ? { ...details, auditLogPath: auditLog } : details);
    this.#programs = programs;
    this.#layout = { dir, address, ports, audit, controllers };
  }

  /** Process ids of what runs now, by name: for measurements. */
  get pids(): Record<"etcd" | "apiserver" | "controllerManager", number | undefined> {
    const pids = { etcd: this.#etcd?.pid, apiserver: this.#apiserver?.pid };
    return { ...pids, controllerManager: this.#controllers?.pid };
  }

  /** Where etcd's clients connect, without TLS. */
  get etcdUrl(): string {
    return `http://127.0.0.1:${this.#layout.ports.etcd}`;
  }

  /** Starts what startCluster promises; the CRDs as in ClusterOptions. */
  async start(crds?: string): Promise<void> {
    const store = etcd(this.#programs, this.#layout);
    this.#etcd = await startSupervised(store);
    // Both at once: the API server waits for etcd by itself, but only etcd's log tells why etcd is not there.
    await Promise.all([untilReady(store, this.#etcd, () => accepts(this.#layout.ports.etcd)), this.startApiServer()]);
    if (crds) await this.applyCrds(crds);
    const program = controllerManager(this.#programs, this.#layout);
    this.#controllers = await startSupervised(program);
    // The first thing that it does for a namespace: then its controllers run.
    const account = ["get", "serviceaccount", "default", "--namespace", "default"];
    await untilReady(program, this.#controllers, async () => (await this.kubectl(account)).code === 0);
  }

  /** Kills the API server as a crash would. The rest runs on. */
  async stopApiServer(): Promise<void> {
    await this.#apiserver?.stop();
  }

  /** Starts it, again on the same port with the same certificate; resolves when it is ready. */
  async startApiServer(): Promise<void> {
    const program = apiserver(this.#programs, this.#layout);
    this.#apiserver = await startSupervised(program);
    await untilReady(program, this.#apiserver, () => this.#answers("/readyz"));
  }

  /** Ends all of it and removes its folder. */
  async stop(): Promise<void> {
    await Promise.all([this.#controllers?.stop(), this.#apiserver?.stop(), this.#etcd?.stop()]);
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }

  async #answers(path: string): Promise<boolean> {
    const ca = await readFile(this.caFile);
    const headers = { authorization: `Bearer ${this.token}` };
    return new Promise((resolve, reject) => {
      get(`${this.url}${path}`, { ca, headers, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      }).once("error", reject);
    });
  }
}

async function layOut({
  audit = false,
  controllers = [],
  address = LOOPBACK,
}: ClusterOptions): Promise<Layout & { token: string }> {
  const dir = await mkdtemp(join(tmpdir(), "keyferry-cluster-"));
  removeAtEnd(dir);
  const ports = { etcd: await freePort(), etcdPeer: await freePort(), apiserver: await freePort() };
  const layout = { dir, address, ports, audit, controllers, token: randomBytes(16).toString("hex") };
  const controllerToken = randomBytes(16).toString("hex");
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const tokens = [
    `${layout.token},admin,admin,"system:masters"`,
    `${controllerToken},system:kube-controller-manager,controller-manager,"system:masters"`,
  ];
  const files = filesOf(dir);
  const contents = {
    [files.serviceAccountKey]: privateKey.export({ type: "sec1", format: "pem" }),
    [files.tokens]: tokens.join("\n"),
    [files.auditPolicy]: AUDIT_POLICY,
    [files.kubeconfig]: kubeconfig(urlOf(layout), files.ca, layout.token),
    [files.controllerKubeconfig]: kubeconfig(urlOf(layout), files.ca, controllerToken),
  };
  for (const [file, content] of Object.entries(contents)) await writeFile(file, content, { mode: 0o600 });
  return layout;
}

function urlOf({ address, ports }: Layout): string {
  return `https://${address}:${ports.apiserver}`;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect").finally(() => socket.destroy());
  return true;
}

/** Asks until the answer is true; an exception means not yet. Rejects when the program ends or `withinMs` pass. */
export async function untilReady(
  program: Program,
  running: Supervised,
  isReady: () => Promise<boolean>,
  withinMs = READY_MS,
): Promise<void> {
  let ended = false;
  void running.exited.then(() => {
    ended = true;
  });
  const deadline = performance.now() + withinMs;
  while (!(await isReady().catch(() => false))) {
    if (ended || performance.now() > deadline) {
      const tail = (await readFile(program.logFile, "utf8")).trimEnd().split("\n").slice(-15).join("\n");
      const how = ended ? "ended before it was ready" : `was not ready after ${withinMs / 1000} s`;
      throw new Error(`${program.name} ${how}. Its last lines:\n${tail}`);
    }
    await sleep(50);
  }
}
