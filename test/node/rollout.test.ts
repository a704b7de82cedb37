import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openClient } from "../../bench/kubernetes.ts";
import { RolloutOracle } from "../e2e/rollouts/oracle.ts";
import { connectionTo, documents } from "../e2e/stage.ts";
import { type Emulator, startEmulator } from "../emulator/emulator.ts";
import { startOperator, until } from "../support/operator.ts";
import { NodeCluster } from "./node.ts";
import { whyNoNode } from "./requirements.ts";
import { deployment, pod, prepareShop, shop } from "./workload.ts";

const why = await whyNoNode();
if (why) process.stderr.write(`No real node: ${why}.\n`);

describe.skipIf(why)("on a real node", () => {
  let node: NodeCluster;
  let aws: Emulator;
  beforeAll(async () => {
    node = await NodeCluster.start({ crds: "crds" });
    aws = await startEmulator({ reads: "memory", quota: "none", address: node.sandbox.hostAddress });
    await node.cluster.run(["apply", "-f", "-"], connectionTo(aws.url, { pollInterval: "10s" }));
  }, 1_200_000);
  afterAll(async () => {
    await node?.stop();
    await aws?.stop();
  });

  test("a changed parameter restarts a Deployment once, always with all replicas, and reaches files of running pods", async () => {
    const { cluster } = node;
    const { namespace } = shop;
    const secret = await prepareShop(cluster, aws);
    const objects = [secret, deployment({ ...shop, name: "app" }), pod({ ...shop, name: "lone" })];
    const operator = await startOperator({ kubeconfig: cluster.kubeconfigPath, folder: cluster.dir });
    await cluster.run(["apply", "-f", "-"], documents(objects));
    await cluster.run(["wait", "--for=condition=Available", "deployment/app", "-n", namespace, "--timeout=90s"]);
    await cluster.run(["wait", "--for=condition=Ready", "pod/lone", "-n", namespace, "--timeout=90s"]);
    const before = await node.logs(namespace, "app=app");
    expect([...before.values()]).toEqual([
      ["env one", "file one"],
      ["env one", "file one"],
    ]);

    const { client, close } = openClient(cluster.kubeconfigPath);
    const oracle = new RolloutOracle(client, namespace);
    await oracle.synced;
    await aws.putParameter({ name: "/shop/db", type: "SecureString", value: "two" });
    await until(() => oracle.restarts.size === 1, 60_000, "the restart");
    await until(() => oracle.inProgress === 0, 90_000, "the rollout's end");
    await until(async () => (await node.logs(namespace, "app=app")).size === 2, 30_000, "the old pods' end");
    const after = await node.logs(namespace, "app=app");
    expect([...after.values()]).toEqual([
      ["env two", "file two"],
      ["env two", "file two"],
    ]);
    expect([...after.keys()].filter((name) => before.has(name))).toEqual([]);
    const lone = async () => (await node.logs(namespace, "app=lone")).get("lone");
    await until(
      async () => (await lone())?.at(-1) === "file two",
      90_000,
      "the new file in the pod that was not restarted",
    );
    expect(await lone()).toEqual(["env one", "file one", "file two"]);

    await operator.stop();
    await oracle.stop();
    await close();
    expect([...oracle.restarts.values()].map((revisions) => revisions.length)).toEqual([1]);
    expect(oracle.missing, "replicas that were missing").toBe(0);
  });
});
