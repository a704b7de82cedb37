import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openClient } from "../../bench/kubernetes.ts";
import { envOf, Workloads } from "../controllers/rollout/workloads.ts";
import { documents, keysOf, openStage, readyCount, type Stage, synced } from "../e2e/stage.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { kubeconfigThrough, startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { AlertWatch, type Fault } from "./alert-watch.ts";
import { readRules, scaledDown } from "./rules.ts";
import { type PrometheusServer, startPrometheus } from "./server.ts";

/** How a campaign runs. */
export interface CampaignOptions {
  /** The path of Prometheus. */
  prometheus: string;
  /** All times of the rules are divided by it: see `scaledDown`. */
  divisor: number;
  /** Seconds between two scrapes, and between two evaluations of the rules. */
  intervalS: number;
  /** Milliseconds for an alert to fire, and to clear. */
  withinMs: number;
  /** The spec of ClusterAWSConnection default; default: none. */
  connection?: (stage: Stage) => Promise<object>;
}

/** Milliseconds between two breaks of all connections: longer than a watch that counts as too short. */
const breakEveryMs = 2_000;
const rollouts = ["--rollout-kinds", "Deployment"];
const rolledOutParameter = "/shop/rolled-out";
/** Intervals of scrapes from the start of an operator until it counts as scraped. */
const scrapesBefore = 3;

/** A real Prometheus with the chart's rules that scrapes the built program, with a control plane and an AWS emulator. */
export class Campaign {
  readonly stage: Stage;
  readonly server: PrometheusServer;
  readonly alerts: AlertWatch;
  readonly #folder: string;
  readonly #intervalS: number;
  #operator: RunningOperator | undefined;

  private constructor(parts: {
    stage: Stage;
    server: PrometheusServer;
    folder: string;
    intervalS: number;
    withinMs: number;
  }) {
    this.stage = parts.stage;
    this.server = parts.server;
    this.#folder = parts.folder;
    this.#intervalS = parts.intervalS;
    this.alerts = new AlertWatch(parts.server, parts.withinMs);
  }

  /**
   * Starts everything, with an operator that has synced the namespace `shop`: twenty SyncedSecrets, one that holds changes
   * of `/shop/p0` for an approval, and one with a rollout that sets it back when it fails.
   */
  static async open({ prometheus, divisor, withinMs, intervalS, connection }: CampaignOptions): Promise<Campaign> {
    const folder = await mkdtemp(join(tmpdir(), "keyferry-monitoring-"));
    removeAtEnd(folder);
    const starting = startPrometheus({ prometheus, folder, intervalS, rules: scaledDown(readRules(), divisor) });
    const [stage, server] = await Promise.all([openStage(), starting]);
    const campaign = new Campaign({ stage, server, folder, intervalS, withinMs });
    await stage.connect(await connection?.(stage));
    await stage.cluster.run(["create", "namespace", "shop"]);
    const names = Array.from({ length: 20 }, (_, n) => `/shop/p${n}`);
    for (const name of [...names, rolledOutParameter]) await campaign.put(name);
    const plain = names.map((name, n) => synced("shop", `r${n}`, keysOf([name])));
    const held = synced("shop", "held", { ...keysOf(["/shop/p0"]), refresh: { approval: "Manual" } });
    const rollout = { mode: "Auto", onFailure: "Revert" } as const;
    const rolledOut = synced("shop", "rolled-out", { ...keysOf([rolledOutParameter]), rollout });
    await campaign.apply([...plain, held, rolledOut]);
    await writeFile(campaign.#audit("whole"), "");
    await campaign.#auditTo(campaign.#audit("whole"));
    await campaign.startOperator();
    await campaign.ready("shop", plain.length + 2);
    return campaign;
  }

  get operator(): RunningOperator {
    return this.#operator!;
  }

  /** Starts the operator, which Prometheus scrapes from now on. @param args further arguments of the program */
  async startOperator(args: string[] = [], options: { env?: Record<string, string>; kubeconfig?: string } = {}) {
    const node = ["--import", `data:text/javascript,${encodeURIComponent(defect(this.#defectFile))}`];
    this.#operator = await this.stage.operator(["--audit-log", this.#audit("link"), ...rollouts, ...args], {
      ...options,
      node,
    });
    await this.server.scrape(this.#operator.metricsUrl);
    // Prometheus sees an increase only from its second sample on: a fault must come later.
    const started = Date.now() / 1_000;
    const isScraped = async () =>
      (await this.server.query("up"))
        .flatMap(({ values }) => values)
        .some(([at, value]) => at > started + scrapesBefore * this.#intervalS && value === "1");
    await until(isScraped, 60_000, "scrapes of the operator");
  }

  apply(objects: object[]): Promise<string> {
    return this.stage.cluster.run(["apply", "--server-side", "--force-conflicts", "-f", "-"], documents(objects));
  }

  async remove(namespace: string, names: readonly string[]): Promise<void> {
    await this.stage.cluster.run(["delete", "syncedsecrets", "-n", namespace, "--wait=false", ...names]);
  }

  put(name: string, value = "1", region = "eu-west-1"): Promise<unknown> {
    return this.stage.aws.putParameter({ name, value, type: "SecureString" }, { region });
  }

  /** Waits until so many SyncedSecrets of a namespace are Ready. */
  ready(namespace: string, count: number): Promise<void> {
    const isReady = async () => (await readyCount(this.stage.cluster, namespace)) >= count;
    return until(isReady, 120_000, `${count} Ready SyncedSecrets in ${namespace}`);
  }

  /** The audit log cannot be written. */
  lostAudit(): Fault {
    return {
      alerts: ["AuditLost"],
      begin: async () => {
        await this.#auditTo("/dev/full");
        const refresh = `keyferry.io/refresh=${Date.now()}`;
        await this.stage.cluster.run(["annotate", "syncedsecret", "r0", "-n", "shop", "--overwrite", refresh]);
      },
      end: () => this.#auditTo(this.#audit("whole")),
    };
  }

  /** SyncedSecrets name parameters that do not exist. @param count more than a tenth of all */
  missingParameters(count: number): Fault {
    const names = Array.from({ length: count }, (_, n) => `missing${n}`);
    return {
      alerts: ["SecretNotReady", "ManySecretsNotReady"],
      begin: () => this.apply(names.map((name) => synced("shop", name, keysOf([`/shop/${name}`])))),
      end: () => this.remove("shop", names),
    };
  }

  /** A Deployment passes the deadline of its rollout with a new version, and becomes available with the next one. */
  failedRollout(): Fault {
    const { client, close } = openClient(this.stage.cluster.kubeconfigPath);
    const workloads = new Workloads(client, "shop");
    const name = "app";
    const untilMarks = (count: number, what: string) =>
      until(async () => (await workloads.marks(name)).length === count, 120_000, what);
    return {
      alerts: ["HeldBack", "RolloutFailed"],
      begin: async () => {
        await workloads.create(name, envOf("rolled-out", "K0"));
        await this.put(rolledOutParameter, "wrong");
        await untilMarks(1, "the restart of the Deployment");
        await workloads.begin(name);
        await workloads.exceedDeadline(name);
      },
      end: async () => {
        await untilMarks(0, "the Deployment to be set back");
        await workloads.rollOut(name);
        await this.put(rolledOutParameter, "corrected");
        await untilMarks(1, "the next restart of the Deployment");
        await workloads.rollOut(name);
        await close();
      },
    };
  }

  /** Something between the operator and the API server closes all connections again and again. */
  brokenWatches(): Fault {
    let timer: NodeJS.Timeout | undefined;
    let proxy: TcpProxy | undefined;
    return {
      alerts: ["WatchesRestart"],
      begin: async () => {
        const { url, kubeconfigPath } = this.stage.cluster;
        proxy = await startTcpProxy(Number(new URL(url).port));
        await this.operator.stop();
        await this.startOperator([], { kubeconfig: await kubeconfigThrough(kubeconfigPath, proxy) });
        timer = setInterval(() => proxy?.mend(), breakEveryMs);
      },
      end: async () => {
        clearInterval(timer);
        await this.operator.stop();
        proxy?.close();
        await this.startOperator();
      },
    };
  }

  /** Writes of Secrets throw an error that the operator does not expect. */
  internalError(): Fault {
    return {
      alerts: ["InternalError"],
      begin: async () => {
        await writeFile(this.#defectFile, "");
        await this.stage.cluster.run(["delete", "secret", "r2", "-n", "shop"]);
      },
      end: async () => {
        await rm(this.#defectFile);
        await this.stage.cluster.run([
          "annotate",
          "syncedsecret",
          "r2",
          "-n",
          "shop",
          `keyferry.io/refresh=${Date.now()}`,
        ]);
      },
    };
  }

  /** The operator has ended. */
  absence(): Fault {
    return { alerts: ["Absent"], begin: () => this.operator.stop(), end: () => this.startOperator() };
  }

  async close(): Promise<void> {
    await this.server.stop();
    await this.#operator?.stop();
    await this.stage.close();
  }

  /** While it exists, writes of Secrets throw. */
  get #defectFile(): string {
    return join(this.#folder, "defect");
  }

  #audit(name: string): string {
    return join(this.#folder, `audit-${name}`);
  }

  async #auditTo(path: string): Promise<void> {
    await rm(this.#audit("link"), { force: true });
    await symlink(path, this.#audit("link"));
  }
}

/** A module that makes writes of Secrets throw while a file exists. */
function defect(path: string): string {
  return `
    import { existsSync } from "node:fs";
    const real = Promise.withResolvers;
    Promise.withResolvers = function () {
      if (existsSync(${JSON.stringify(path)}) && new Error().stack.includes("SecretWriter.apply")) {
        throw new TypeError("a defect");
      }
      return real.call(this);
    };`;
}
