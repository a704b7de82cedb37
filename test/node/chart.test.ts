import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openClient } from "../../bench/kubernetes.ts";
import { RolloutOracle } from "../e2e/rollouts/oracle.ts";
import { documents, synced } from "../e2e/stage.ts";
import { until } from "../support/operator.ts";
import { ChartScene } from "./chart-scene.ts";
import { whyNoNode } from "./requirements.ts";
import { RevertingApp } from "./reverting-app.ts";
import { DEADLINE_S, deployment, prepareShop, SLACK_S, shop } from "./workload.ts";

const why = await whyNoNode();
if (why) process.stderr.write(`No real node: ${why}.\n`);

const names = ["a", "b", "c"];

describe.skipIf(why)("installed by the chart on a real node", () => {
  let scene: ChartScene;
  beforeAll(async () => {
    scene = await ChartScene.start({ maxConcurrent: 1 });
  }, 1_200_000);
  afterAll(() => scene?.stop());

  test("both replicas become ready, and one leads and receives events", async (context) => {
    scene.logsOnFailure(context);
    await scene.ready();
  });

  test("a killed leader's successor restarts each Deployment once, one at a time and always with all replicas", async (context) => {
    scene.logsOnFailure(context);
    const { aws } = scene;
    const { cluster } = scene.node;
    const { namespace } = shop;
    const secret = await prepareShop(cluster, aws);
    const apps = names.map((name) => deployment({ ...shop, name }));
    await cluster.run(["apply", "-f", "-"], documents([secret, ...apps]));
    await cluster.run(["wait", "--for=condition=Available", "deployment", "--all", "-n", namespace, "--timeout=90s"]);
    const { client, close } = openClient(cluster.kubeconfigPath);
    const oracle = new RolloutOracle(client, namespace);
    await oracle.synced;

    await aws.putParameter({ name: "/shop/db", type: "SecureString", value: "two" });
    await until(() => oracle.restarts.size === 1, 60_000, "the first restart");
    const killed = await scene.crashLeader();
    expect(oracle.restarts.size).toBeLessThan(names.length);
    await scene.nextLeader(killed);
    await until(() => oracle.restarts.size === names.length && oracle.inProgress === 0, 120_000, "all rollouts");
    await cluster.run(["wait", "--for=condition=RolledOut", "kss/db", "-n", namespace, "--timeout=60s"]);
    for (const name of names) await scene.untilCurrent(namespace, name, "two");
    await scene.settled();
    await oracle.stop();
    await close();
    expect([...oracle.restarts.values()].map((revisions) => revisions.length)).toEqual([1, 1, 1]);
    expect(oracle.missing, "replicas that were missing").toBe(0);
    expect(oracle.most, "rollouts at the same time").toBe(1);
  });

  test("a value that makes new pods crash stops the rollout with the old pods in place, and a good value resumes it", async (context) => {
    scene.logsOnFailure(context);
    const { aws, node } = scene;
    const { cluster } = node;
    const namespace = "bad";
    await cluster.run(["create", "namespace", namespace]);
    await aws.putParameter({ name: "/bad/db", type: "SecureString", value: "one" });
    const data = [{ key: "DB", parameter: { name: "/bad/db" } }];
    const rollout = { mode: "Auto", minInterval: "0s" } as const;
    const secret = synced(namespace, "db", { data, refresh: { pollInterval: "10s" }, rollout });
    const app = deployment({ namespace, secret: "db", key: "DB", name: "app" });
    await cluster.run(["apply", "-f", "-"], documents([secret, app]));
    await cluster.run(["wait", "--for=condition=Available", "deployment/app", "-n", namespace, "--timeout=90s"]);
    const before = [...(await node.logs(namespace, "app=app")).keys()];
    const { client, close } = openClient(cluster.kubeconfigPath);
    const oracle = new RolloutOracle(client, namespace);
    await oracle.synced;

    await aws.putParameter({ name: "/bad/db", type: "SecureString", value: "bad" });
    const reason = 'jsonpath={.status.conditions[?(@.type=="RolledOut")].reason}';
    const hasFailed = async () =>
      (await cluster.run(["get", "kss", "db", "-n", namespace, "--output", reason])) === "DeadlineExceeded";
    await until(hasFailed, 90_000, "DeadlineExceeded");
    const during = await node.logs(namespace, "app=app");
    expect([...during.keys()]).toEqual(expect.arrayContaining(before));
    expect([...during.values()]).toContainEqual(["env bad"]);

    await aws.putParameter({ name: "/bad/db", type: "SecureString", value: "two" });
    await until(
      () => oracle.restarts.get(`${namespace}/app`)?.length === 2 && oracle.inProgress === 0,
      90_000,
      "recovery",
    );
    await cluster.run(["wait", "--for=condition=RolledOut", "kss/db", "-n", namespace, "--timeout=60s"]);
    await scene.untilCurrent(namespace, "app", "two");
    await oracle.stop();
    await close();
    expect(oracle.missing, "replicas that were missing").toBe(0);
  });

  test("a killed leader's successor takes a bad value back that the leader had rolled out", async (context) => {
    const app = await RevertingApp.create(scene, "revert", context, { progressDeadlineSeconds: DEADLINE_S });
    const { timeline, oracle, pods } = app;
    await app.putBad();
    await timeline.until("new pod", 30_000);
    const killed = await scene.crashLeader();
    timeline.note("leader killed");
    await scene.nextLeader(killed);
    timeline.note("next leader");
    for (const moment of ["new pod gone", "RolledOut"]) await timeline.until(moment, 90_000);
    expect(timeline.seconds("leader killed", "deadline exceeded")).toBeGreaterThan(0);
    // 10 s as without a kill, and 5 s for a Lease that is taken over only after the deadline.
    expect(timeline.seconds("put", "new pod gone")).toBeLessThan(DEADLINE_S + 15 + SLACK_S);
    expect(app.pods, "the pods of the earlier ReplicaSet").toEqual(pods);
    expect(app.condition("HeldBack")).toMatchObject({ status: "True", reason: "RolloutFailed" });
    await app.untilFiles("one");
    await scene.settled();
    expect(oracle.missing, "replicas that were missing").toBe(0);
  });

  test("every call to AWS is made with the role of the pods' projected token", () => scene.expectRole());
});
