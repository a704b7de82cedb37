import { pollShare } from "../../src/aws/ratelimit/quota.ts";
import { priceOf } from "../../src/cost/prices.ts";
import { announcedFactor } from "../../src/parameters/schedule/intervals.ts";
import type { Scale } from "./fleet.ts";
import type { Weights } from "./memory.ts";
import type { Outcome, Outcomes } from "./neighbours.ts";
import type { Change, Cost, Found, Shared } from "./scenarios.ts";
import { pollIntervalMs } from "./world.ts";

export interface Report {
  scale: Scale;
  found: readonly Found[];
  shared: Shared;
  regions: Outcomes;
  weights: Weights;
}

const prices = { interaction: priceOf("interactions"), kms: priceOf("kmsRequests"), sqs: priceOf("sqsRequests") };
const monthSeconds = 30 * 86_400;
/** Standard parameters of an account and region, free at standard throughput. Further ones are advanced. */
const standardAtMost = 10_000;
const namesInACall = 10;
/** Seconds of one long poll of a queue. */
const longPollSeconds = 20;
/** Default requests a second of a site's connection. */
const defaultLimit = 20;
/** The limits of a shard: resources written a second by one process, and heap bytes. */
const shard = { writes: 150, heap: 300e6 };
const mega = 1e6;

/** The tables, in Markdown. Pure. */
export function report({ scale, found, shared, regions, weights }: Report): string {
  return [
    section("First sync", firstSync(found)),
    section("By account and region", bySite(found)),
    section("A round of polls", polls(found)),
    section("Changes", changes(found, shared)),
    section("Regions in trouble", troubled(regions)),
    section("Dollars a month", dollars(found)),
    section("Memory and shards", memory(scale, found, weights)),
  ].join("\n\n");
}

function firstSync(found: readonly Found[]): string[][] {
  const row = (name: string, costs: readonly Cost[]) => {
    const times = costs.map(({ ms }) => ms).sort((a, b) => a - b);
    const total = sum(costs);
    const cells = [
      span(times.at(-1)!),
      span(quantile(times, 0.5)),
      total.reads,
      total.calls - total.reads - total.throttles,
      total.throttles,
      total.decrypts,
    ];
    return [name, ...cells.map(text)];
  };
  return [
    ["first sync", "all", "median site", "reads", "polls meanwhile", "throttled", "decryptions"],
    row(
      "default, 20 requests/s",
      found.map(({ first }) => first),
    ),
    row(
      "`limits` at 40",
      found.map(({ firstAt40 }) => firstAt40),
    ),
    row(
      "restart, nothing changed",
      found.map(({ restart }) => restart),
    ),
  ];
}

function bySite(found: readonly Found[]): string[][] {
  const rows = [...new Set([0, 0.1, 0.25, 0.5, 1].map((share) => quantile(found, share)))];
  return [
    [
      "parameters",
      "first sync at 20",
      "at 40",
      "poll interval",
      "longest between two polls",
      "told by polls",
      "announced",
    ],
    ...rows.map(({ parameters, first, firstAt40, round, byPolls, byAnnouncements }) => [
      text(parameters),
      span(first.ms),
      span(firstAt40.ms),
      span(round.intervalMs),
      span(round.longestMs),
      span(Math.max(...byPolls.told)),
      span(Math.max(...byAnnouncements.told)),
    ]),
  ];
}

function polls(found: readonly Found[]): string[][] {
  const total = sum(found.map(({ round }) => round));
  const isStretched = ({ round }: Found) => round.intervalMs > pollIntervalMs;
  const parameters = found.reduce((all, site) => all + site.parameters, 0);
  const inStretched = found.filter(isStretched).reduce((all, site) => all + site.parameters, 0);
  return [
    [
      "parameters",
      "sites",
      "calls a round",
      "calls/s",
      "throttled",
      "decryptions",
      "stretched sites",
      "parameters there",
    ],
    [
      text(parameters),
      text(found.length),
      text(total.calls),
      text(Math.round(found.reduce((all, site) => all + pollsPerSecond(site), 0))),
      text(total.throttles),
      text(total.decrypts),
      text(found.filter(isStretched).length),
      `${Math.round((100 * inStretched) / parameters)}%`,
    ],
  ];
}

function changes(found: readonly Found[], shared: Shared): string[][] {
  const row = (name: string, all: readonly Change[]) => {
    const told = all.flatMap((one) => one.told).sort((a, b) => a - b);
    const made = all.flatMap((one) => one.made).sort((a, b) => a - b);
    const times = [told, made].flatMap((sorted) => [0.5, 0.99, 1].map((q) => span(quantile(sorted, q))));
    return [name, text(told.length), ...times, text(sum(all).decrypts)];
  };
  return [
    ["change", "dependants", "told p50", "p99", "last", "current p50", "p99", "last", "decryptions"],
    row(
      "1% of the parameters, by polls",
      found.map(({ byPolls }) => byPolls),
    ),
    row(
      "1%, announced",
      found.map(({ byAnnouncements }) => byAnnouncements),
    ),
    row("one shared parameter, by polls", [shared.byPolls]),
    row("shared, announced", [shared.byAnnouncements]),
  ];
}

function troubled({ alone, besideTwo, besideFive }: Outcomes): string[][] {
  const at = (outcomes: readonly Outcome[], name: string) => {
    const found = outcomes.find((outcome) => outcome.name === name);
    return found ? span(found.ms) : "";
  };
  return [
    [
      "first sync of a region",
      "without trouble",
      "two in trouble",
      "five in trouble",
      "throttled",
      "foreign throttled",
    ],
    ...besideFive.map(({ name, calls, throttles, foreignCalls, foreignThrottles }) => [
      name,
      at(alone, name),
      at(besideTwo, name),
      at(besideFive, name),
      percent(throttles / calls),
      foreignCalls > 0 ? percent(foreignThrottles / foreignCalls) : "",
    ]),
  ];
}

function dollars(found: readonly Found[]): string[][] {
  const looked = (perSecond: (site: Found) => number) =>
    found.reduce((all, site) => all + namesInACall * perSecond(site) * monthSeconds, 0);
  const advanced = (site: Found) => Math.max(1 - standardAtMost / site.parameters, 0);
  const changed = 30 * sum(found.map(({ byPolls }) => byPolls)).decrypts;
  const receives = (found.length * monthSeconds) / longPollSeconds;
  const row = (what: string, count: number, price: number) => [what, text(Math.round(count)), money(count * price)];
  return [
    ["what", "a month", "dollars"],
    row(
      "polls of standard parameters",
      looked((site) => pollsPerSecond(site) * (1 - advanced(site))),
      0,
    ),
    row(
      "polls of advanced parameters",
      looked((site) => pollsPerSecond(site) * advanced(site)),
      prices.interaction,
    ),
    row(
      "polls of advanced parameters, announced",
      looked((site) => announcedPerSecond(site) * advanced(site)),
      prices.interaction,
    ),
    row("all polls, with higher throughput on", looked(pollsPerSecond), prices.interaction),
    row("all polls, announced, with higher throughput on", looked(announcedPerSecond), prices.interaction),
    row("KMS: first sync, once", sum(found.map(({ first }) => first)).decrypts, prices.kms),
    row("KMS: 1% of the parameters changed a day", changed, prices.kms),
    row(
      "KMS: polls, restarts",
      found.reduce((all, { round, restart }) => all + round.decrypts + restart.decrypts, 0),
      prices.kms,
    ),
    row("SQS: one queue a site, empty long polls", receives, prices.sqs),
  ];
}

function memory(scale: Scale, found: readonly Found[], { entry, syncedSecret, secret }: Weights): string[][] {
  const parameters = found.reduce((all, site) => all + site.parameters, 0);
  const each = [...entry.values()].at(-1)!;
  const parts: [string, number, number][] = [
    ["watched parameters, extrapolated", parameters, each],
    ["SyncedSecrets in the cache", scale.resources, syncedSecret],
    ["metadata of Secrets", scale.resources, secret],
  ];
  const total = parts.reduce((all, [, count, bytes]) => all + count * bytes, 0);
  const byHeap = Math.ceil(total / shard.heap);
  const writing = scale.resources / shard.writes;
  return [
    ["", "count", "bytes each", "MB"],
    ...[...entry].map(([count, bytes]) => [
      "watched parameters, measured",
      text(count),
      kilo(bytes),
      mb(count * bytes),
    ]),
    ...parts.map(([name, count, bytes]) => [name, text(count), kilo(bytes), mb(count * bytes)]),
    ["in all", "", "", mb(total)],
    [`shards, at ${mb(shard.heap)} MB of these each`, text(byHeap), "", ""],
    [`first sync by writes: one shard at ${shard.writes}/s`, span(1_000 * writing), "", ""],
    [`first sync by writes: ${byHeap} shards`, span((1_000 * writing) / byHeap), "", ""],
  ];
}

/** Poll calls a second of a site. */
function pollsPerSecond({ round }: Found): number {
  return (1_000 * round.calls) / round.ms;
}

/** Poll calls a second of a site at the longer interval with events. */
function announcedPerSecond({ parameters }: Found): number {
  const asked = (1_000 * parameters) / namesInACall / (announcedFactor * pollIntervalMs);
  return Math.min(asked, pollShare * defaultLimit);
}

function sum(costs: readonly Cost[]): Cost {
  const total = { ms: 0, calls: 0, reads: 0, throttles: 0, decrypts: 0 };
  for (const { ms, calls, reads, throttles, decrypts } of costs) {
    total.ms += ms;
    total.calls += calls;
    total.reads += reads;
    total.throttles += throttles;
    total.decrypts += decrypts;
  }
  return total;
}

function quantile<T>(sorted: readonly T[], q: number): T {
  return sorted[Math.min(Math.floor(q * sorted.length), sorted.length - 1)]!;
}

/** A duration for people, with at most three digits. */
function span(ms: number): string {
  const seconds = ms / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  return seconds < 7_200 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3_600).toFixed(1)} h`;
}

const text = (cell: number | string): string => (typeof cell === "number" ? cell.toLocaleString("en-US") : cell);
const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;
const money = (amount: number): string =>
  amount.toLocaleString("en-US", { style: "currency", currency: "USD", maximumFractionDigits: amount < 100 ? 2 : 0 });
/** Rounded, so that the output of runs is equal. */
const kilo = (bytes: number): string => `${(bytes / 1_000).toFixed(1)} kB`;
const mb = (bytes: number): string => (bytes / mega).toFixed(bytes < 10 * mega ? 1 : 0);

function section(title: string, [head, ...rows]: string[][]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [`## ${title}`, "", line(head!), line(head!.map(() => "---")), ...rows.map(line)].join("\n");
}
