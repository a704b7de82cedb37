import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { type RunningOperator, until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { openStage } from "./stage.ts";

const stage = await openStage();
const { cluster, aws, audit } = stage;
const folder = await mkdtemp(join(tmpdir(), "keyferry-stop-"));
removeAtEnd(folder);

/** Milliseconds for the delivery and handling of a signal, also on a busy machine. */
const deliveryMs = 250;
const resources = 60;

let operator: RunningOperator | undefined;
let round = 0;

beforeEach(() => stage.connect({ limits: { ssmRequestsPerSecond: 1, kmsRequestsPerSecond: 1 } }));

afterEach(async () => {
  aws.clearFaults();
  await operator?.stop();
  operator = undefined;
});
afterAll(() => stage.close());

/** Applies SyncedSecrets of ten parameters each, at a rate of one request a second. */
async function bulk(): Promise<string> {
  const namespace = `stop-${round++}`;
  await stage.bulk(namespace, resources);
  return namespace;
}

const reads = () => aws.count({ operation: "GetParameters", decrypt: true });

/** Sends signals and waits for the exit. Returns the exit code, the duration, and when the first signal was sent. */
async function end(running: RunningOperator, ...signals: NodeJS.Signals[]) {
  const sentAt = Date.now();
  const start = performance.now();
  for (const signal of signals) {
    if (performance.now() - start < 50 || (await fetch(running.probesUrl).catch(() => undefined))) {
      process.kill(running.pid, signal);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const code = await running.exited;
  if (code !== 0) throw new Error(`it ended with ${code}: ${(await running.log()).slice(-2_000)}`);
  return { code, ms: performance.now() - start, sentAt };
}

/** Sends signals, and checks that the operator exits with 0 within 5 s. */
async function endsInTime(running: RunningOperator, ...signals: NodeJS.Signals[]) {
  const ended = await end(running, ...signals);
  expect(ended.code).toBe(0);
  expect(ended.ms).toBeLessThan(5_000);
  return ended;
}

/** Runs `work` while the API server answers nothing. */
async function whileApiServerHangs(work: () => Promise<void>): Promise<void> {
  process.kill(cluster.pids.apiserver!, "SIGSTOP");
  await work().finally(() => process.kill(cluster.pids.apiserver!, "SIGCONT"));
}

async function writesAfter(at: number): Promise<string[]> {
  const requests = await audit.take();
  const changing = ["patch", "create", "update", "delete"];
  return requests
    .filter(
      (request) => request.userAgent.startsWith("keyferry/") && request.at > at && changing.includes(request.verb),
    )
    .filter(({ resource }) => resource !== "events")
    .map(({ verb, resource, name }) => `${verb} ${resource} ${name}`);
}

describe("SIGTERM", () => {
  it("during a bulk sync at one request a second starts no call and no write, and exits with 0 within 5 s", async () => {
    await bulk();
    const path = join(folder, "audit.jsonl");
    operator = await stage.operator(["--audit-log", path]);
    aws.resetCalls();
    await until(() => reads() >= 3, 20_000, "the third read");
    const { sentAt } = await endsInTime(operator, "SIGTERM");
    expect(aws.log().filter(({ at }) => at > sentAt + deliveryMs)).toEqual([]);
    expect(await writesAfter(sentAt + deliveryMs)).toEqual([]);
    const { stdout } = await promisify(execFile)("grep", ["-c", '"event":"read"', path]);
    expect(Number(stdout)).toBe(10 * reads());
  }, 60_000);

  it("twice, and SIGINT, exit with 0", async () => {
    for (const signals of [["SIGTERM", "SIGTERM", "SIGINT"], ["SIGINT"]] as NodeJS.Signals[][]) {
      await bulk();
      operator = await stage.operator();
      const before = reads();
      await until(() => reads() > before, 20_000, "a read");
      await endsInTime(operator, ...signals);
    }
  }, 60_000);

  it("while AWS hangs exits with 0 within 5 s", async () => {
    await bulk();
    operator = await stage.operator();
    aws.fault({ operation: "GetParameters", kind: "hang" });
    const hanging = () => aws.log({ operation: "GetParameters" }).some(({ status }) => status === 0);
    await until(hanging, 20_000, "a read");
    await endsInTime(operator, "SIGTERM");
  }, 60_000);

  it("while AWS hangs before the first connection is resolved exits with 0 within 5 s", async () => {
    aws.fault({ kind: "hang" });
    aws.resetCalls();
    operator = await stage.operator([], { ready: false });
    await until(() => aws.count({}) > 0, 20_000, "a call");
    await endsInTime(operator, "SIGTERM");
  }, 60_000);

  it("while the API server hangs exits with 0 within 5 s", async () => {
    await bulk();
    const running = await stage.operator(["--audit-log", join(folder, "hanging.jsonl")]);
    operator = running;
    const before = reads();
    await until(() => reads() > before, 20_000, "a read");
    await whileApiServerHangs(async () => {
      await until(() => reads() > before + 1, 20_000, "a read whose Secret cannot be written");
      await endsInTime(running, "SIGTERM");
    });
  }, 60_000);

  it("before the API server has answered exits with 0 within 5 s", async () => {
    await whileApiServerHangs(async () => {
      operator = await stage.operator([], { ready: false });
      const { log } = operator;
      await until(async () => (await log()).includes('"starting"'), 20_000, "the start");
      await endsInTime(operator, "SIGTERM");
    });
  }, 60_000);

  it("while the audit's FIFO has no reader exits with 0 within 5 s, and the lines are counted as lost", async () => {
    const path = join(folder, "fifo");
    await promisify(execFile)("mkfifo", [path]);
    await bulk();
    operator = await stage.operator(["--audit-log", path]);
    const running = operator;
    await until(
      async () => (await running.metric("keyferry_audit_lines_total", { result: "lost" })) >= 10,
      20_000,
      "lost lines",
    );
    expect(await running.log()).toContain('"code":"ENXIO"');
    await endsInTime(operator, "SIGTERM");
  }, 60_000);
});

it("SIGUSR1 opens no inspector in a command that waits for its input", async () => {
  const path = join(folder, "manifest");
  await promisify(execFile)("mkfifo", [path]);
  const command = spawn(process.execPath, ["dist/keyferry.js", "render", path], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [command.stdout, command.stderr])
    stream.on("data", (text) => {
      said += String(text);
    });
  // Resolves when the command opens the FIFO to read it.
  const manifest = await open(path, "w");
  command.kill("SIGUSR1");
  await new Promise((resolve) => setTimeout(resolve, 500));
  await manifest.close();
  await once(command, "close");
  expect(said).not.toContain("Debugger");
  expect(command.signalCode).toBeNull();
});

it("SIGUSR1 opens no inspector in the operator", async () => {
  operator = await stage.operator();
  process.kill(operator.pid, "SIGUSR1");
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await operator.log()).not.toContain("Debugger listening");
  expect((await fetch(`${operator.probesUrl}/healthz`)).status).toBe(200);
});
