import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { root } from "../../scripts/crds.ts";
import { chart } from "../helm/chart.ts";
import { page, rowsBelow } from "./pages.ts";

const sizing = page("docs/sizing.md");
const numberIn = (cell: string) => Number(cell.replaceAll(",", ""));
const mebibytes = (cell: string) => (Number(/^`?(\d+)Mi`?$/.exec(cell)![1]) * 1_048_576) / 1e6;

/** Bytes of one of the things that the simulation counts, as docs/scale.md has them. */
function bytesOf(what: string): number {
  const row = rowsBelow(page("docs/scale.md"), "## Memory and shards").find(([first]) => first!.startsWith(what));
  return Number(/^([\d.]+) kB$/.exec(row![2]!)![1]) * 1_000;
}

/** MB of the process before it holds anything (docs/sizing.md says so). */
const processMb = Number(/\*\*Idle\*\* is (\d+) MB for the process/.exec(sizing.text)![1]);
const sizes = rowsBelow(sizing, "## Memory and CPU");

test("the idle memory of each row is that of the process, its SyncedSecrets and its parameters", () => {
  const resource = bytesOf("SyncedSecrets in the cache") + bytesOf("metadata of Secrets");
  const parameter = bytesOf("watched parameters, extrapolated");
  expect(sizing.text).toContain(`${resource / 1_000} kB for each SyncedSecret`);
  expect(sizing.text).toContain(`${parameter / 1_000} kB for each watched`);
  for (const [resources, parameters, idle] of sizes) {
    const mb = processMb + (numberIn(resources!) * resource + numberIn(parameters!) * parameter) / 1e6;
    expect(Math.abs(numberIn(idle!) - mb), resources).toBeLessThan(2);
  }
});

test("requests hold the idle memory, and limits twice as much", () => {
  expect(sizes.length).toBeGreaterThan(3);
  for (const [resources, , idle, requests, limits] of sizes) {
    expect(mebibytes(requests!), resources).toBeGreaterThanOrEqual(numberIn(idle!));
    expect(mebibytes(limits!), resources).toBeGreaterThanOrEqual(2 * numberIn(idle!));
  }
});

test("the first row is the chart's default", () => {
  const { resources } = parse(readFileSync(join(chart, "values.yaml"), "utf8")) as {
    resources: { requests: { cpu: string; memory: string }; limits: { memory: string } };
  };
  expect(sizes[0]!.slice(3)).toEqual([resources.requests.memory, resources.limits.memory, resources.requests.cpu]);
});

test("the measured figures are those of bench/README.md", () => {
  const bench = readFileSync(join(root, "bench/README.md"), "utf8");
  const measured = (what: string) => Number(new RegExp(`\\| ${what}[^|]*\\| ([\\d.]+) MB \\|`).exec(bench)![1]);
  const [small, large] = [measured("resident after 10 s idle"), measured("resident 10 s after the first sync")];
  expect(sizing.text).toContain(`Measured: ${small} MB with 2,000 SyncedSecrets`);
  expect(sizing.text).toContain(`${large} MB with 10,000`);
});

test("a first sync takes the parameters divided by ten and by the rate, and polls a quarter of it", () => {
  const seconds = (cell: string) => Number.parseFloat(cell) * (cell.endsWith("min") ? 60 : 1);
  for (const [parameters, slow, fast, interval] of rowsBelow(sizing, "## Parameter Store's quota")) {
    const calls = numberIn(parameters!) / 10;
    expect(seconds(slow!) / (calls / 20), parameters).toBeCloseTo(1, 1);
    expect(seconds(fast!) / (calls / 40), parameters).toBeCloseTo(1, 0);
    expect(seconds(interval!), parameters).toBe(Math.max(300, calls / 5));
  }
});
