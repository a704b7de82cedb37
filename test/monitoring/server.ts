import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { freePort } from "../cluster/ports.ts";
import { until } from "../support/operator.ts";
import { startSupervised } from "../support/supervise.ts";
import type { RuleFile } from "./rules.ts";

/** A series of a query's result: its labels, and pairs of a time in seconds and a value. */
export interface Series {
  metric: Record<string, string>;
  values: [number, string][];
}

/** An alert that is pending or firing. */
export interface ActiveAlert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: "pending" | "firing";
}

/** A running Prometheus that scrapes one target. */
export interface PrometheusServer {
  /** Scrapes this `/metrics` URL from now on; undefined for none. */
  scrape(url: string | undefined): Promise<void>;
  /** The result of a range query from the start until now, at each second. */
  query(expr: string): Promise<Series[]>;
  alerts(): Promise<ActiveAlert[]>;
  /** Errors of the rules' evaluations, by the name of the rule. */
  ruleErrors(): Promise<Record<string, string>>;
  stop(): Promise<void>;
}

/** How Prometheus is started. */
export interface PrometheusOptions {
  /** The path of the program. */
  prometheus: string;
  /** For its configuration and its data. */
  folder: string;
  rules: RuleFile;
  /** Seconds between two scrapes, and between two evaluations of the rules. */
  intervalS: number;
}

/** Starts Prometheus on a free port. */
export async function startPrometheus(options: PrometheusOptions): Promise<PrometheusServer> {
  const { prometheus, folder, rules, intervalS } = options;
  const targets = join(folder, "targets.json");
  const scrape = async (url: string | undefined) => {
    const found = url === undefined ? [] : [{ targets: [new URL(url).host] }];
    // Prometheus would read a file that is half written.
    await writeFile(`${targets}.new`, JSON.stringify(found));
    await rename(`${targets}.new`, targets);
  };
  const config = {
    // A scrape that takes too long ends the series: the time of a pending alert would begin anew.
    global: {
      scrape_interval: `${intervalS}s`,
      scrape_timeout: `${intervalS}s`,
      evaluation_interval: `${intervalS}s`,
    },
    rule_files: [join(folder, "rules.yaml")],
    scrape_configs: [
      {
        job_name: "keyferry",
        honor_labels: true,
        file_sd_configs: [{ files: [targets], refresh_interval: "1s" }],
      },
    ],
  };
  await scrape(undefined);
  await writeFile(join(folder, "rules.yaml"), stringify(rules));
  await writeFile(join(folder, "prometheus.yaml"), stringify(config));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const started = Date.now();
  const server = await startSupervised({
    name: "prometheus",
    command: prometheus,
    args: [
      `--config.file=${join(folder, "prometheus.yaml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ],
    logFile: join(folder, "prometheus.log"),
  });
  const ask = async (path: string) => {
    const answer = await fetch(`${url}/api/v1/${path}`);
    const { status, data, error } = (await answer.json()) as { status: string; data: unknown; error?: string };
    if (status !== "success") throw new Error(`Prometheus refused ${path}: ${error}`);
    return data;
  };
  const isReady = async () => (await fetch(`${url}/-/ready`).catch(() => undefined))?.status === 200;
  await until(isReady, 60_000, "Prometheus");
  return {
    scrape,
    async query(query) {
      const [start, end] = [String(started / 1_000), String(Date.now() / 1_000)];
      const data = await ask(`query_range?${new URLSearchParams({ query, start, end, step: "1" })}`);
      return (data as { result: Series[] }).result;
    },
    async alerts() {
      return ((await ask("alerts")) as { alerts: ActiveAlert[] }).alerts;
    },
    async ruleErrors() {
      const { groups } = (await ask("rules")) as { groups: { rules: { name: string; lastError?: string }[] }[] };
      const all = groups.flatMap(({ rules: some }) => some);
      return Object.fromEntries(all.flatMap(({ name, lastError }) => (lastError ? [[name, lastError]] : [])));
    },
    stop: () => server.stop(),
  };
}
