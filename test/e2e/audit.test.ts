import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, it } from "vitest";
import { makeCanary, traces } from "../controllers/canary.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { documents, keysOf, openStage, readyCount, synced } from "./stage.ts";

const stage = await openStage();
const { cluster, aws } = stage;
const canary = makeCanary();
const names = Array.from({ length: 15 }, (_, index) => `/audit/k${index}`);
let operator: RunningOperator;

afterEach(() => operator?.stop());
afterAll(() => stage.close());

await stage.connect();
for (const name of names) await aws.putParameter({ name, type: "SecureString", value: canary.value });

async function syncIn(namespace: string): Promise<void> {
  await cluster.run(["create", "namespace", namespace]);
  const objects = ["one", "two"].map((name) => synced(namespace, name, keysOf(names)));
  await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
  await until(async () => (await readyCount(cluster, namespace)) === 2);
}

interface Line {
  audit: number;
  event: string;
  source: string;
  resources: string[];
  requestId: string;
  time: string;
}

it("the audit file has the parameters and resources of each request, and no value", async () => {
  const folder = await mkdtemp(join(tmpdir(), "keyferry-audit-"));
  removeAtEnd(folder);
  const path = join(folder, "audit.jsonl");
  operator = await stage.operator(["--audit-log", path, "--cluster-name", "prod"]);
  aws.resetCalls();
  await syncIn("filed");
  await operator.stop();

  const text = await readFile(path, "utf8");
  expect(traces(text, canary)).toEqual([]);
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
  const trail = aws.log({ operation: "GetParameters", decrypt: true });
  for (const { requestId, names: asked } of trail) {
    const read = lines.filter((line) => line.requestId === requestId && line.event === "read");
    expect(read.map(({ source }) => source).sort()).toEqual([...asked!].sort());
  }
  for (const name of names) {
    const resources = lines.filter(({ source }) => source === name).flatMap((line) => line.resources);
    expect(resources.sort()).toEqual(["filed/one", "filed/two"]);
  }
  expect(new Set(lines.map(({ audit }) => audit))).toEqual(new Set([1]));
});

it("an audit without disk space is counted and reported once, and stops nothing", async () => {
  operator = await stage.operator(["--audit-log", "/dev/full"]);
  await syncIn("full");
  await cluster.run(["delete", "secret", "-n", "full", "one"]);
  await until(async () => (await operator.metric("keyferry_secret_writes_total")) >= 3);
  expect(await operator.metric("keyferry_audit_lines_total", { result: "lost" })).toBeGreaterThanOrEqual(15);
  expect(await operator.metric("keyferry_audit_lines_total", { result: "written" })).toBe(0);
  expect((await operator.log()).split("\n").filter((line) => line.includes("audit lines"))).toHaveLength(1);
});

it("on standard output, audit lines and log lines are all whole", async () => {
  operator = await stage.operator(["--audit-log", "-"]);
  await syncIn("said");
  await operator.stop();
  const lines = (await operator.log()).trimEnd().split("\n");
  const parsed = lines.map((line) => JSON.parse(line) as Partial<Line> & { msg?: string });
  const audited = parsed.filter(({ audit }) => audit === 1);
  expect(new Set(audited.map(({ source }) => source))).toEqual(new Set(names));
  for (const line of parsed) expect(line.msg === undefined, JSON.stringify(line)).toBe(line.audit === 1);
});
