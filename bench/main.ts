import { readFile, writeFile } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import { KubeClient } from "../src/kube/client.ts";
import { loadKubeConfig } from "../src/kube/config.ts";
import { PooledConnection } from "../src/kube/pooled-connection.ts";
import { type KubeObject, secrets, syncedSecrets } from "../src/kube/resource.ts";
import { Metrics } from "../src/metrics/metrics.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { silent } from "../src/runtime/log.ts";
import { documents, keysOf, openStage, readyCount, synced } from "../test/e2e/stage.ts";
import { until } from "../test/support/operator.ts";

/** Times and memory of the built program, each beside what the machine can do at most in the same run. */

interface Row {
  work: string;
  seconds: number;
  perSecond: number;
  ofBareLoop: number;
  cpuSeconds: number;
  residentMiB: number;
  calls: number;
}

const stage = await openStage();
const { cluster, aws } = stage;
const rows: Row[] = [];
try {
  await stage.connect();
  for (const [resources, keys] of [
    [300, 10],
    [1_000, 3],
  ] as const) {
    rows.push(await firstSync(resources, keys));
  }
} finally {
  await stage.close();
}
print(rows);
await writeFile("bench/results.json", `${JSON.stringify({ node: process.version, rows }, null, 2)}\n`);

/** A first sync of everything at once, without a quota, and the same two writes a resource by a bare loop. */
async function firstSync(resources: number, keys: number): Promise<Row> {
  const namespace = `bench-${resources}`;
  console.error(`preparing ${resources} resources of ${keys} SecureStrings`);
  await cluster.run(["create", "namespace", namespace]);
  const parameters = (i: number) => Array.from({ length: keys }, (_, key) => `/${namespace}/r${i}/k${key}`);
  for (let i = 0; i < resources; i++) {
    for (const name of parameters(i)) await aws.putParameter({ name, type: "SecureString", value: "v".repeat(40) });
  }
  const objects = Array.from({ length: resources }, (_, i) => synced(namespace, `r${i}`, keysOf(parameters(i))));
  await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
  aws.resetCalls();

  console.error("syncing");
  const begun = performance.now();
  const operator = await stage.operator();
  const synchronised = () => operator.metric("keyferry_secret_writes_total", { action: "created" });
  await until(async () => (await synchronised()) >= resources, 120_000, "the sync");
  const seconds = (performance.now() - begun) / 1_000;
  await until(async () => (await readyCount(cluster, namespace)) === resources, 60_000, "every status");
  const cpuSeconds = await operator.metric("keyferry_process_cpu_seconds_total").catch(() => 0);
  const process = await processOf(operator.pid);
  const calls = aws.count({ operation: "GetParameters" });
  await operator.stop();

  console.error("the same writes by a bare loop");
  const bare = await bareLoop(namespace, resources, keys);
  return {
    work: `${resources} × ${keys}`,
    seconds,
    perSecond: resources / seconds,
    ofBareLoop: resources / seconds / bare,
    cpuSeconds: cpuSeconds || process.cpuSeconds,
    residentMiB: process.residentMiB,
    calls,
  };
}

/** @returns resources a second: one apply of a Secret and one of a status each, 32 at once */
async function bareLoop(namespace: string, resources: number, keys: number): Promise<number> {
  const load = () => loadKubeConfig({ env: { KUBECONFIG: cluster.kubeconfigPath } });
  const connection = new PooledConnection({ load, clock: systemClock, log: silent });
  const metrics = new Metrics();
  const client = new KubeClient({ connection, metrics, clock: systemClock, log: silent, userAgent: "bare-loop" });
  const data = Object.fromEntries(Array.from({ length: keys }, (_, i) => [`K${i}`, "dmFsdWU="]));
  const apply = { fieldManager: "bare-loop", force: true };
  const one = async (i: number) => {
    const metadata = { namespace, name: `bare${i}` };
    await client.apply(secrets, { apiVersion: "v1", kind: "Secret", metadata, data } as KubeObject, apply);
    const status = { observedGeneration: 1, revision: "bare", keyCount: keys };
    const object = { apiVersion: "keyferry.io/v1alpha1", kind: "SyncedSecret", metadata: { namespace, name: `r${i}` } };
    await client.apply(syncedSecrets, { ...object, status } as unknown as KubeObject, {
      ...apply,
      subresource: "status",
    });
  };
  const begun = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < resources) await one(next++);
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  const perSecond = resources / ((performance.now() - begun) / 1_000);
  await connection.close();
  return perSecond;
}

async function processOf(pid: number): Promise<{ residentMiB: number; cpuSeconds: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]!.split(" ");
  const kib = Number(/VmRSS:\s+([0-9]+)/.exec(status)?.[1]);
  return { residentMiB: kib / 1_024, cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100 };
}

function print(table: Row[]): void {
  console.log("| first sync | seconds | resources/s | of a bare loop | CPU | resident | GetParameters |");
  console.log("| --- | --- | --- | --- | --- | --- | --- |");
  for (const row of table) {
    const { work, seconds, perSecond, ofBareLoop, cpuSeconds, residentMiB, calls } = row;
    const cells = [
      work,
      seconds.toFixed(1),
      perSecond.toFixed(0),
      `${(100 * ofBareLoop).toFixed(0)}%`,
      `${cpuSeconds.toFixed(1)} s`,
      `${residentMiB.toFixed(0)} MiB`,
      String(calls),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}
