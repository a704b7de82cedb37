import { SQS } from "@aws-sdk/client-sqs";
import { beforeEach, expect, it } from "vitest";
import type { ClusterAWSConnection } from "../../../src/api/types.ts";
import { clusterAWSConnections, type KubeObject } from "../../../src/kube/resource.ts";
import { sharedCluster } from "../../cluster/shared.ts";
import { makeWorld } from "../world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "events", { clusterName: "mine" });
const { aws, namespace } = world;
const sqs = new SQS(aws.config());
let queues = 0;
let queueUrl = "";

beforeEach(async () => {
  aws.allowAll();
  queues += 1;
  queueUrl = (await sqs.createQueue({ QueueName: `connection-${queues}` })).QueueUrl!;
  await world.restart();
});

const resource = () => world.client.get<ClusterAWSConnection & KubeObject>(clusterAWSConnections, undefined, namespace);

async function conditionOf(type: string) {
  return (await resource()).status?.conditions?.find((condition) => condition.type === type);
}

async function name(url: string | undefined): Promise<void> {
  const endpoints = { ssm: aws.url, kms: aws.url, sts: aws.url, sqs: aws.url };
  await world.makeConnection({ endpoints, ...(url === undefined ? {} : { events: { queueUrl: url } }) });
  await world.sync();
}

/** Runs until the connection's queue condition has this status and reason. */
async function says(status: "True" | "False", reason: string) {
  const end = performance.now() + 10_000;
  for (;;) {
    await world.sync();
    const condition = await conditionOf("EventsReady");
    if (condition?.status === status && condition.reason === reason) return condition;
    if (performance.now() > end) throw new Error(`${JSON.stringify(condition)} was never ${status} ${reason}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

it("reports that a connection's queue is received from, independent of Ready", async () => {
  await name(queueUrl);
  expect(await conditionOf("EventsReady")).toBeUndefined();
  world.engine.events.begin();
  expect(await says("True", "Receiving")).toMatchObject({
    message: `changes of parameters are received from ${queueUrl}`,
  });
  await name(undefined);
  expect(await conditionOf("EventsReady")).toBeUndefined();
  expect(await conditionOf("Ready")).toMatchObject({ status: "True" });
});

it("reports a missing queue and its return, while the connection stays ready", async () => {
  await name(queueUrl);
  world.engine.events.begin();
  await says("True", "Receiving");
  await sqs.deleteQueue({ QueueUrl: queueUrl });
  const { message } = await says("False", "QueueNotFound");
  expect(message).toMatch(/does not exist in eu-west-1.*: create it.*; parameters are polled meanwhile$/);
  expect(await conditionOf("Ready")).toMatchObject({ status: "True" });
  await sqs.createQueue({ QueueName: queueUrl.slice(queueUrl.lastIndexOf("/") + 1) });
  await world.clock.advance(5_000);
  await says("True", "Receiving");
});

it("names the other cluster that owns the queue, and names missing permissions", async () => {
  await sqs.tagQueue({ QueueUrl: queueUrl, Tags: { "keyferry.io/cluster": "theirs" } });
  await name(queueUrl);
  world.engine.events.begin();
  expect(await says("False", "NotAllowed")).toMatchObject({
    message: expect.stringContaining('is the queue of cluster "theirs"'),
  });
  aws.deny({ action: "sqs:ListQueueTags" });
  await world.clock.advance(5_000);
  expect(await says("False", "AccessDenied")).toMatchObject({
    message: expect.stringMatching(/user\/AKIAKEYFERRYTEST may not sqs:ListQueueTags on http/),
  });
});

it("reports a URL of another region at once", async () => {
  await name("https://sqs.us-east-1.amazonaws.com/123456789012/keyferry");
  expect(await conditionOf("EventsReady")).toMatchObject({ status: "False", reason: "InvalidData" });
});

it("keeps its message after a restart until the state is known, without a write", async () => {
  await name(queueUrl);
  world.engine.events.begin();
  await says("True", "Receiving");
  const before = (await resource()).metadata.resourceVersion;
  await world.restart();
  await world.sync();
  expect((await resource()).metadata.resourceVersion).toBe(before);
  world.engine.events.begin();
  await world.quiet();
  await world.sync();
  expect((await resource()).metadata.resourceVersion).toBe(before);
});

it("reports that nothing is received while the connection is not ready", async () => {
  await name(queueUrl);
  world.engine.events.begin();
  await says("True", "Receiving");
  await world.kubectl(["delete", "secret", "aws-credentials"]);
  world.engine.connections.secretChanged(namespace, "aws-credentials");
  expect(await says("False", "ConnectionNotReady")).toMatchObject({ message: expect.stringContaining("is not ready") });
});
