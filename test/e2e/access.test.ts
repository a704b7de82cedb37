import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, it } from "vitest";
import { kubeconfig } from "../cluster/handle.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { openStage } from "./stage.ts";

const stage = await openStage();
const { cluster } = stage;
const folder = await mkdtemp(join(tmpdir(), "keyferry-access-"));
removeAtEnd(folder);
const file = join(folder, "kubeconfig");
let operator: RunningOperator;

afterEach(() => operator.stop());
afterAll(() => stage.close());

/** Creates the operator's ServiceAccount, and a kubeconfig with a token for it. */
async function admit(): Promise<void> {
  await cluster.run(["create", "serviceaccount", "operator", "--namespace", "default"]);
  const token = (await cluster.run(["create", "token", "operator", "--namespace", "default"])).trim();
  await writeFile(file, kubeconfig(cluster.url, cluster.caFile, token));
}

const status = async (path: string) => (await fetch(`${operator.probesUrl}${path}`)).status;

it("/readyz fails half a minute after the API server rejects the credentials, and succeeds when it accepts others", async () => {
  const admin = ["--clusterrole=cluster-admin", "--serviceaccount=default:operator"];
  await cluster.run(["create", "clusterrolebinding", "operator", ...admin]);
  await admit();
  operator = await stage.operator([], { kubeconfig: file });
  await cluster.run(["delete", "serviceaccount", "operator", "--namespace", "default"]);
  const start = performance.now();
  await until(async () => (await status("/readyz")) === 503, 60_000, "the refusal to be told");
  expect(performance.now() - start).toBeGreaterThan(25_000);
  expect(await (await fetch(`${operator.probesUrl}/readyz`)).text()).toContain("rejects the operator's credentials");
  expect(await status("/healthz")).toBe(200);
  await admit();
  await until(async () => (await status("/readyz")) === 200, 30_000, "the other token to be taken");
}, 120_000);

it("no probe fails because the API server does not answer", async () => {
  operator = await stage.operator([], { kubeconfig: file });
  process.kill(cluster.pids.apiserver!, "SIGSTOP");
  try {
    await new Promise((resolve) => setTimeout(resolve, 45_000));
    expect([await status("/healthz"), await status("/readyz")]).toEqual([200, 200]);
  } finally {
    process.kill(cluster.pids.apiserver!, "SIGCONT");
  }
}, 120_000);
