import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { AuditedRequest } from "../cluster/audit.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { kubeconfigThrough, startTcpProxy } from "../support/tcp-proxy.ts";
import { documents, keysOf, openStage, readyCount, synced } from "./stage.ts";

const stage = await openStage();
const { cluster, aws, audit } = stage;
const own = "keyferry-system";
/** Short, so that the test is. The rules between the three are those of the defaults. */
const timing = { leaseMs: 3_000, deadlineMs: 2_000, retryMs: 500 };
const flags = ["--leader-elect", "--lease-duration", "3s", "--renew-deadline", "2s", "--retry-period", "500ms"];
/** Milliseconds that a busy machine may add. */
const slackMs = 1_000;
const user = (name: string) => `system:serviceaccount:${own}:${name}`;
const kubeconfigs = new Map<string, string>();
const running = new Set<RunningOperator>();
const resources = 60;
let round = 0;

beforeAll(async () => {
  await stage.connect({ limits: { ssmRequestsPerSecond: 5, kmsRequestsPerSecond: 100 } });
  await cluster.run(["create", "namespace", own]);
  for (const name of ["a", "b", "powerless"]) {
    await cluster.run(["create", "serviceaccount", name, "-n", own]);
    if (name !== "powerless") {
      const binding = ["create", "clusterrolebinding", name, "--clusterrole", "cluster-admin"];
      await cluster.run([...binding, "--serviceaccount", `${own}:${name}`]);
    }
    kubeconfigs.set(name, await cluster.kubeconfigFor(own, name));
  }
  const rules = [
    { apiGroups: ["keyferry.io"], resources: ["*"], verbs: ["get", "list", "watch"] },
    { apiGroups: [""], resources: ["namespaces", "secrets"], verbs: ["get", "list", "watch"] },
  ];
  const role = { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata: { name: "reads" }, rules };
  await cluster.run(["apply", "-f", "-"], documents([role]));
  const binding = ["create", "clusterrolebinding", "powerless", "--clusterrole", "reads"];
  await cluster.run([...binding, "--serviceaccount", `${own}:powerless`]);
}, 60_000);

afterEach(async () => {
  aws.clearFaults();
  await Promise.all([...running].map((operator) => operator.kill().catch(() => {})));
  running.clear();
  await cluster.kubectl(["delete", "lease", "keyferry", "-n", own, "--ignore-not-found"]);
});
afterAll(() => stage.close());

async function start(name: string, kubeconfig = kubeconfigs.get(name)!, ready = true): Promise<RunningOperator> {
  const env = { POD_NAMESPACE: own, POD_NAME: name };
  const operator = await stage.operator(flags, { kubeconfig, env, ready });
  running.add(operator);
  return operator;
}

const readiness = async (operator: RunningOperator) => {
  const answer = await fetch(`${operator.probesUrl}/readyz`);
  return `${answer.status} ${(await answer.text()).trim()}`;
};

/** By the probe: a page of metrics is cached for a second. */
const leads = async (operator: RunningOperator) => (await readiness(operator)) === "200 ok";

/** Starts a leader a, and a standby b. */
async function pair(kubeconfig?: string): Promise<[RunningOperator, RunningOperator]> {
  const a = await start("a", kubeconfig);
  await until(() => leads(a), 10_000, "a leader");
  return [a, await start("b")];
}

/** Applies SyncedSecrets that take twelve seconds to sync at the connection's rate. */
async function bulk(): Promise<() => Promise<void>> {
  const namespace = `lease-${round++}`;
  await stage.bulk(namespace, resources);
  return () => until(async () => (await readyCount(cluster, namespace)) === resources, 40_000, `${resources} Secrets`);
}

/** Applies SyncedSecrets one after the other until `end` is called, and then waits until all are Ready. */
async function load(): Promise<{ namespace: string; end: () => Promise<void> }> {
  const namespace = `lease-${round++}`;
  await cluster.run(["create", "namespace", namespace]);
  let isOver = false;
  let count = 0;
  const working = (async () => {
    while (!isOver) await apply(namespace, `r${count++}`);
  })();
  const end = async () => {
    isOver = true;
    await working;
    await until(async () => (await readyCount(cluster, namespace)) === count, 20_000, `${count} Secrets`);
  };
  return { namespace, end };
}

async function apply(namespace: string, name: string): Promise<void> {
  await aws.putParameter({ name: `/${namespace}/${name}`, type: "SecureString", value: "v" });
  await cluster.run(["apply", "-f", "-"], documents([synced(namespace, name, keysOf([`/${namespace}/${name}`]))]));
}

const changing = ["patch", "create", "update", "delete"];
/** Writes of Secrets and statuses that took effect. */
function writesOf(requests: readonly AuditedRequest[], name: string): AuditedRequest[] {
  return requests.filter(
    ({ user: by, verb, resource, code }) =>
      by === user(name) &&
      changing.includes(verb) &&
      (resource === "secrets" || resource === "syncedsecrets/status") &&
      code < 300,
  );
}

/** Milliseconds between the last write of a and the first of b. */
async function gapMs(): Promise<number> {
  const requests = await audit.take();
  const [before, after] = [writesOf(requests, "a"), writesOf(requests, "b")];
  expect(before.length).toBeGreaterThan(0);
  expect(after.length).toBeGreaterThan(0);
  const last = Math.max(...before.map(({ at }) => at));
  const first = Math.min(...after.map(({ at }) => at));
  expect(first).toBeGreaterThanOrEqual(last);
  return first - last;
}

it("the standby is ready, calls AWS for nothing and writes nothing", async () => {
  const [a, b] = await pair();
  await audit.take();
  const { namespace, end } = await load();
  await until(async () => (await readyCount(cluster, namespace)) > 2, 20_000, "the first Secrets");
  await end();
  expect(await readiness(a)).toBe("200 ok");
  expect(await readiness(b)).toBe("200 ok, standby");
  expect([await a.metric("keyferry_leader"), await b.metric("keyferry_leader")]).toEqual([1, 0]);
  expect(await b.metric("keyferry_aws_requests_total")).toBe(0);
  const requests = await audit.take();
  expect(writesOf(requests, "a").length).toBeGreaterThan(0);
  expect(requests.filter(({ user: by, verb }) => by === user("b") && changing.includes(verb))).toEqual([]);
}, 60_000);

it("SIGTERM hands over in under 2 s, and no change is missed", async () => {
  const [a, b] = await pair();
  await audit.take();
  aws.resetCalls();
  const end = await bulk();
  await until(() => aws.count({ operation: "GetParameters" }) > 2, 20_000, "the first reads");
  const sentAt = performance.now();
  process.kill(a.pid, "SIGTERM");
  await until(() => leads(b), 10_000, "the next leader");
  expect(performance.now() - sentAt).toBeLessThan(2_000);
  expect(await a.exited).toBe(0);
  expect(performance.now() - sentAt).toBeLessThan(5_000);
  await end();
  expect(await gapMs()).toBeLessThan(2_000);
  expect(await readiness(b)).toBe("200 ok");
}, 90_000);

it("after kill -9 the standby leads when the Lease has lapsed, and no change is missed", async () => {
  const [a, b] = await pair();
  await audit.take();
  aws.resetCalls();
  const end = await bulk();
  await until(() => aws.count({ operation: "GetParameters" }) > 2, 20_000, "the first reads");
  await a.kill();
  await until(() => leads(b), 10_000, "the next leader");
  await end();
  expect(await gapMs()).toBeLessThan(timing.leaseMs + 2_000);
}, 90_000);

it("a leader that is frozen past its Lease and thaws in the middle of a sync writes nothing", async () => {
  const [a, b] = await pair();
  const { namespace, end } = await load();
  await until(async () => (await readyCount(cluster, namespace)) > 0, 20_000, "the first Secret");
  await end();
  await audit.take();
  aws.resetCalls();
  aws.fault({ operation: "GetParameters", kind: "delay", delayMs: 500, times: 1 });
  await apply(namespace, "frozen");
  await until(() => aws.log({ operation: "GetParameters" }).length > 0, 10_000, "a read");
  process.kill(a.pid, "SIGSTOP");
  await until(() => leads(b), 10_000, "the next leader");
  const { end: endMore } = await load();
  await until(async () => writesOf(await audit.take(), "b").length > 0, 10_000, "a write of the next leader");
  process.kill(a.pid, "SIGCONT");
  await until(async () => !(await leads(a)), 5_000, "the end of the old term");
  await new Promise((resolve) => setTimeout(resolve, timing.leaseMs));
  await endMore();
  expect(writesOf(await audit.take(), "a")).toEqual([]);
  expect([await readiness(a), await leads(b)]).toEqual(["200 ok, standby", true]);
  // Both are as new: the old leader takes over again.
  process.kill(b.pid, "SIGTERM");
  await until(() => leads(a), 10_000, "the old leader's second term");
  const { end: endAgain } = await load();
  await endAgain();
}, 90_000);

it("a leader that is cut off from the API server stops before another begins, and stands by in the same process", async () => {
  const proxy = await startTcpProxy(Number(new URL(cluster.url).port));
  try {
    const [a, b] = await pair(await kubeconfigThrough(kubeconfigs.get("a")!, proxy));
    const { namespace, end } = await load();
    await until(async () => (await readyCount(cluster, namespace)) > 1, 20_000, "the first Secrets");
    proxy.cut();
    const cutAt = performance.now();
    await until(async () => !(await leads(a)), 10_000, "the end of the term");
    const stoppedMs = performance.now() - cutAt;
    expect(stoppedMs).toBeLessThan(timing.deadlineMs + slackMs);
    await until(() => leads(b), 10_000, "the next leader");
    const calls = await a.metric("keyferry_aws_requests_total");
    expect((await fetch(`${a.probesUrl}/healthz`)).status).toBe(200);
    await end();
    expect(await a.metric("keyferry_aws_requests_total")).toBe(calls);
    proxy.mend();
    await until(async () => (await readiness(a)) === "200 ok, standby", 20_000, "the standby");
    process.kill(b.pid, "SIGTERM");
    await until(() => leads(a), 40_000, "its second term");
  } finally {
    proxy.close();
  }
}, 120_000);

it("without rights to Leases a replica names the verb and does not lead", async () => {
  const operator = await start("powerless", undefined, false);
  const message = `may not get leases.coordination.k8s.io in namespace ${own}`;
  await until(async () => (await readiness(operator).catch(() => "")).includes(message), 20_000, "a refusal");
  expect(await readiness(operator)).toMatch(/^503 /);
  expect(await operator.log()).toContain(message);
  expect(await leads(operator)).toBe(false);
}, 40_000);

it("a program outside of a cluster works without leader election", async () => {
  const operator = await stage.operator();
  running.add(operator);
  await until(async () => (await operator.metric("keyferry_leader")) === 1, 10_000, "the work");
  expect((await cluster.kubectl(["get", "lease", "keyferry", "-n", own])).code).not.toBe(0);
}, 40_000);
