import { stat } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import { Estimate } from "../cost/estimate.ts";
import { meteredCosts, samplesIn } from "../cost/metrics.ts";
import { isPriceName, type OwnPrices, type PriceName, prices } from "../cost/prices.ts";
import { asJson, asTable, type Cost } from "../cost/table.ts";
import { nobody } from "../policy/needs.ts";
import { systemClock } from "../runtime/clock.ts";
import { Failure } from "../runtime/failure.ts";
import { Granting } from "./granting.ts";
import { readText } from "./input.ts";
import { type ManifestFlags, readManifests } from "./manifests.ts";
import { print, say } from "./output.ts";
import { addManifestOptions } from "./render.ts";
import { UsageError } from "./usage.ts";

/** The flags of `keyferry cost` as commander gives them. */
export interface CostFlags extends ManifestFlags {
  metrics?: string;
  output: string;
  changesPerDay: number;
  members: number;
  advanced: number;
  higherThroughput?: true;
  price?: Map<PriceName, number>;
  clusterName?: string;
}

/** Milliseconds to wait for metrics, and their maximum bytes. */
const metricsWithinMs = 10_000;
const metricsBytes = 64 * 1_024 * 1_024;
/** Seconds after which the first sync no longer dominates the counters. */
const daySeconds = 86_400;

/** Declares the flags of `keyferry cost`. */
export function addCostOptions(command: Command): void {
  addManifestOptions(command)
    .description("Estimate a month's AWS requests and their costs, from manifests or metrics.")
    .option("--metrics <url|file>", "metrics of a running operator, instead of manifests")
    .option("-o, --output <format>", "table or json", "table")
    .option("--changes-per-day <count>", "changes of parameters, of all together", parseCount, 1)
    .option("--members <count>", "parameters below each path", parseCount, 10)
    .option("--advanced <count>", "parameters in the advanced tier, of all", parseCount, 0)
    .option("--higher-throughput", "the account has higher throughput on: every parameter asked for is paid for")
    .option(
      "--price <name=dollars>",
      `a price that replaces the list price: ${Object.keys(prices).join(", ")}`,
      parsePrice,
    )
    .option("--cluster-name <name>", "the operator's --cluster-name; for connections with binding");
}

/**
 * Prints the monthly cost.
 *
 * @returns the exit code: 1 if a manifest cannot be used, and is not counted
 * @throws UsageError, Failure
 */
export async function runCost(flags: CostFlags, files: readonly string[]): Promise<number> {
  const { metrics, output, price: own = new Map() } = flags;
  if (output !== "table" && output !== "json") throw new UsageError("--output must be table or json");
  if (metrics !== undefined && files.length > 0)
    throw new UsageError("--metrics replaces manifests: give one or the other");
  const problems = new Set<string>();
  const costs =
    metrics === undefined ? await estimated(flags, files, own, problems) : await metered(metrics, flags, own);
  print(output === "json" ? asJson(costs, own) : asTable(costs));
  for (const problem of problems) say(`keyferry: ${problem}`);
  return problems.size > 0 ? 1 : 0;
}

async function estimated(
  flags: CostFlags,
  files: readonly string[],
  own: OwnPrices,
  problems: Set<string>,
): Promise<Cost[]> {
  const { changesPerDay, members, advanced, higherThroughput = false, clusterName = "" } = flags;
  const manifests = await readManifests(files, flags);
  const estimate = new Estimate({ changesPerDay, members, advanced, higherThroughput, prices: own });
  const granting = new Granting({
    manifests,
    clusterName,
    identities: { get: nobody },
    // The costs are the same for every account; the list prices are those of one region.
    account: async ({ status }) => status?.accountID ?? "000000000000",
    region: async () => "us-east-1",
  });
  for (const problem of manifests.problems) problems.add(problem);
  await granting.each((...one) => estimate.add(...one), problems);
  return estimate.costs();
}

async function metered(from: string, flags: CostFlags, own: OwnPrices): Promise<Cost[]> {
  const higherThroughput = flags.higherThroughput ?? false;
  const isUrl = /^https?:\/\//.test(from);
  const { text, at } = isUrl ? await fetched(from) : { text: await readText(from), at: await writtenAt(from) };
  const { costs, seconds } = meteredCosts(samplesIn(text), at, { higherThroughput, prices: own });
  if (seconds < daySeconds) {
    const hours = (seconds / 3_600).toFixed(1);
    say(`keyferry: the operator has run for ${hours} h: its first sync dominates this estimate of a month`);
  }
  return costs;
}

async function fetched(url: string): Promise<{ text: string; at: number }> {
  try {
    const answer = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(metricsWithinMs) });
    if (!answer.ok) throw new Failure("Unreachable", "retry", `${url} answers ${answer.status}`);
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of answer.body ?? []) {
      pieces.push(piece);
      size += piece.length;
      if (size > metricsBytes)
        throw new Failure("TooLarge", "stalled", `${url} answers more than ${metricsBytes} bytes`);
    }
    return { text: Buffer.concat(pieces).toString("utf8"), at: systemClock.now() };
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure("Unreachable", "retry", `${url} does not answer`);
  }
}

/** A file's modification time, which is when its metrics were read. */
async function writtenAt(file: string): Promise<number> {
  return file === "-" ? systemClock.now() : (await stat(file)).mtimeMs;
}

function parseCount(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new InvalidArgumentError("Use a whole number.");
  return Number(text);
}

function parsePrice(text: string, before: Map<PriceName, number> = new Map()): Map<PriceName, number> {
  const [name = "", dollars = ""] = text.split("=");
  if (!isPriceName(name) || !/^[0-9]{1,9}(\.[0-9]{1,9})?$/.test(dollars)) {
    throw new InvalidArgumentError(`Use NAME=DOLLARS, NAME one of ${Object.keys(prices).join(", ")}.`);
  }
  return new Map(before).set(name, Number(dollars));
}
