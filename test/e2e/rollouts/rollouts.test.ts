import { afterAll, expect, it } from "vitest";
import { atOnce, openClient } from "../../../bench/kubernetes.ts";
import { deployments, type KubeObject } from "../../../src/kube/resource.ts";
import { until } from "../../support/operator.ts";
import { type Replica, Replicas, shortTiming } from "../hand-over/replicas.ts";
import { documents, openStage, synced } from "../stage.ts";
import { type Deployment, RolloutOracle } from "./oracle.ts";
import { makePodsReady } from "./pods.ts";

/** `make rollouts` has the larger sizes. */
const [count, kills] = process.env.CAMPAIGNS ? [500, 5] : [30, 1];
const limit = 5;
const namespace = "shop";
const stage = await openStage({ crds: "crds", controllers: ["deployment-controller", "replicaset-controller"] });
const { client, close } = openClient(stage.cluster.kubeconfigPath);
afterAll(async () => {
  await close();
  await stage.close();
});

function deployment(name: string): KubeObject {
  const labels = { app: name };
  const env = [{ name: "A", valueFrom: { secretKeyRef: { name: "shared", key: "A" } } }];
  const containers = [{ name: "app", image: "registry.example/app:1", env }];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace, name },
    spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
  } as KubeObject;
}

const isAvailable = ({ metadata, status }: Deployment) =>
  status?.observedGeneration === metadata.generation && status?.availableReplicas === 1;

it(`${count} Deployments that share a Secret restart once each, ${limit} at a time, over ${kills} killed leaders`, async () => {
  const { cluster, aws } = stage;
  await stage.connect({ pollInterval: "10s" });
  await cluster.run(["create", "namespace", namespace]);
  await aws.putParameter({ name: "/shared", value: "one" });
  const data = [{ key: "A", parameter: { name: "/shared" } }];
  const spec = { data, refresh: { pollInterval: "10s" }, rollout: { mode: "Auto" } } as const;
  await cluster.run(["apply", "-f", "-"], documents([synced(namespace, "shared", spec)]));
  const replicas = await Replicas.prepare(stage, ["a", "b"], shortTiming);
  let running: Replica[] = [await replicas.start("a"), await replicas.start("b")];
  const leader = async () => {
    for (const replica of running) if (await replica.leads()) return replica;
    return undefined;
  };
  await until(async () => (await leader()) !== undefined, 30_000, "a leader");

  const endPods = makePodsReady(client, namespace);
  await atOnce(count, (index) => client.create(deployments, deployment(`d${index}`)));
  const all = async () => (await client.list<Deployment>(deployments, { namespace })).items;
  await until(async () => (await all()).every(isAvailable), 300_000, "all Deployments to be available");
  const oracle = new RolloutOracle(client, namespace);
  await oracle.synced;

  await aws.putParameter({ name: "/shared", value: "two" });
  for (let kill = 1; kill <= kills; kill++) {
    const due = Math.floor((count * kill) / (kills + 1));
    await until(() => oracle.restarts.size >= due, 600_000, `${due} restarts`);
    const killed = (await leader())!;
    await killed.kill();
    running = [...running.filter((replica) => replica !== killed), await replicas.start(killed.name)];
    await until(async () => (await leader()) !== undefined, 30_000, "the next leader");
  }
  await until(() => oracle.restarts.size === count && oracle.inProgress === 0, 900_000, "all restarts to end");
  // A second restart would come now.
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const rolledOut = async () => {
    const json = await cluster.run(["get", "kss", "shared", "-n", namespace, "-o", "json"]);
    const { status } = JSON.parse(json) as { status: { conditions: { type: string; status: string }[] } };
    return status.conditions.find(({ type }) => type === "RolledOut")?.status === "True";
  };
  await until(rolledOut, 60_000, "RolledOut");
  await oracle.stop();
  await endPods();
  await replicas.end();

  expect(oracle.most).toBeLessThanOrEqual(limit);
  expect(oracle.missing, "replicas that were missing").toBe(0);
  const generations = (await all()).map(({ metadata }) => metadata.generation);
  expect(new Set(generations)).toEqual(new Set([2]));
  expect([...oracle.restarts.values()].every((revisions) => revisions.length === 1)).toBe(true);
}, 3_600_000);
