import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../cluster/ports.ts";
import { type Supervised, startSupervised } from "./supervise.ts";

/** The built program, running as a process against a cluster. */
export interface RunningOperator {
  pid: number;
  metricsUrl: string;
  probesUrl: string;
  logFile: string;
  /** The log so far. */
  log(): Promise<string>;
  /** The sum of a metric's series that have `labels`; 0 without series. */
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  /** Resolves to the exit code, or to null if a signal ended the process. */
  exited: Promise<number | null>;
  /** Sends SIGTERM, and waits for the end. */
  stop(): Promise<void>;
  /** Sends SIGKILL, and waits for the end. */
  kill(): Promise<void>;
}

let started = 0;

/**
 * Starts `dist/keyferry.js controller` outside the cluster.
 *
 * @param options.bundle another program than `dist/keyferry.js`, such as an older version
 * @param options.ready false returns at once. Default: waits until /readyz returns ok.
 */
export async function startOperator(options: {
  kubeconfig: string;
  folder: string;
  args?: string[];
  env?: Record<string, string>;
  /** Options of Node. */
  node?: readonly string[];
  bundle?: string;
  ready?: boolean;
}): Promise<RunningOperator> {
  const [metrics, probes] = [await freePort(), await freePort()];
  const logFile = join(options.folder, `operator-${process.pid}-${started++}.log`);
  const flags = [
    "--metrics-bind-address",
    `127.0.0.1:${metrics}`,
    "--health-probe-bind-address",
    `127.0.0.1:${probes}`,
  ];
  const program: Supervised = await startSupervised({
    name: "keyferry",
    command: process.execPath,
    args: [
      ...(options.node ?? []),
      options.bundle ?? "dist/keyferry.js",
      "controller",
      ...flags,
      "--allow-insecure-endpoints",
      ...(options.args ?? []),
    ],
    env: { KUBECONFIG: options.kubeconfig, ...options.env },
    logFile,
  });
  const log = () => readFile(logFile, "utf8");
  const operator: RunningOperator = {
    pid: program.pid,
    metricsUrl: `http://127.0.0.1:${metrics}/metrics`,
    probesUrl: `http://127.0.0.1:${probes}`,
    logFile,
    log,
    exited: program.exited,
    async metric(name, labels = {}) {
      const page = await (await fetch(operator.metricsUrl)).text();
      const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
      let sum = 0;
      for (const line of page.split("\n")) {
        if (!line.startsWith(`${name} `) && !line.startsWith(`${name}{`)) continue;
        if (wanted.every((pair) => line.includes(pair))) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
      }
      return sum;
    },
    stop: () => program.stop(),
    async kill() {
      process.kill(program.pid, "SIGKILL");
      await program.exited;
    },
  };
  if (options.ready === false) return operator;
  let ended = false;
  void program.exited.then(() => {
    ended = true;
  });
  await until(async () => {
    if (ended) throw new Error(`the operator ended: ${(await log()).slice(-2_000)}`);
    return (await fetch(`${operator.probesUrl}/readyz`).catch(() => undefined))?.status === 200;
  }, 30_000);
  return operator;
}

/**
 * Polls until a condition holds. The interval is 20 ms, and at least as long as one check: a check by kubectl costs as
 * much as what it waits for.
 *
 * @throws if the condition does not hold within `withinMs`
 */
export async function until(
  holds: () => Promise<boolean> | boolean,
  withinMs = 20_000,
  what: string | (() => string) = "what was waited for",
): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    const before = performance.now();
    if (await holds()) return;
    const tookMs = performance.now() - before;
    if (performance.now() > end) {
      throw new Error(`${typeof what === "string" ? what : what()} did not happen within ${withinMs} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(20, tookMs)));
  }
}
