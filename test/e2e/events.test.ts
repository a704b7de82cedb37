import { SQS } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { countRequests } from "../cluster/audit.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { documents, keysOf, openStage, readyCount, type Stage, synced } from "./stage.ts";

/** Changes reach their Secrets by events: the poll interval is an hour. */

let stage: Stage;
let operator: RunningOperator;
let sqs: SQS;
let queueUrl: string;

const spec = { refresh: { pollInterval: "1h" } };
const dataOf = async (name: string, key = "K0") => {
  const text = await stage.cluster.run(["get", "secret", name, "-n", "events", "-o", `jsonpath={.data.${key}}`]);
  return Buffer.from(text, "base64").toString();
};
const writes = async () =>
  countRequests((await stage.audit.take()).filter(({ verb, resource }) => verb === "patch" && resource === "secrets"));
/** Messages in the queue, including those in flight. */
const left = async () => {
  const AttributeNames = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"] as const;
  const { Attributes } = await sqs.getQueueAttributes({ QueueUrl: queueUrl, AttributeNames: [...AttributeNames] });
  return AttributeNames.reduce((sum, name) => sum + Number(Attributes?.[name]), 0);
};

beforeAll(async () => {
  stage = await openStage();
  const { aws, cluster } = stage;
  sqs = new SQS(aws.config());
  queueUrl = (await sqs.createQueue({ QueueName: "keyferry", tags: { "keyferry.io/cluster": "mine" } })).QueueUrl!;
  aws.eventsTo(queueUrl);
  const endpoints = { ssm: aws.url, kms: aws.url, sts: aws.url, sqs: aws.url };
  await stage.connect({ pollInterval: "1h", endpoints, events: { queueUrl } });
  await cluster.run(["create", "namespace", "events"]);
  const names = Array.from({ length: 20 }, (_, i) => `/events/p${i}`);
  for (const name of [...names, "/events/shared"]) await aws.putParameter({ name, type: "SecureString", value: "1" });
  const objects = [
    ...names.map((name, i) => synced("events", `r${i}`, { ...keysOf([name]), ...spec })),
    ...names.map((_, i) => synced("events", `shared${i}`, { ...keysOf(["/events/shared"]), ...spec })),
  ];
  await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
  operator = await stage.operator(["--cluster-name", "mine"]);
  await until(async () => (await readyCount(cluster, "events")) === objects.length, 60_000, "the first sync");
  await aws.flushEvents();
  await until(async () => (await left()) === 0, 30_000, "an empty queue");
  // On a busy machine the looks that the first events asked for go on for some seconds.
  const looks = () => aws.count({ operation: "GetParameters" });
  await until(
    async () => {
      const before = looks();
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      return looks() === before;
    },
    60_000,
    "no look under way",
  );
}, 240_000);
afterAll(async () => {
  await operator.stop();
  await stage.close();
});

it("a change reaches its Secret and no other, and its message is deleted after the write", async () => {
  await stage.audit.take();
  stage.aws.resetCalls();
  await stage.aws.putParameter({ name: "/events/p3", type: "SecureString", value: "2" });
  await until(async () => (await dataOf("r3")) === "2", 20_000, "the new value");
  await until(async () => (await left()) === 0, 20_000, "an empty queue");
  expect(await writes()).toEqual({ "patch secrets": 1 });
  expect(stage.aws.count({ operation: "GetParameters" })).toBe(2);
}, 60_000);

it("a change for twenty Secrets costs one look, one read, and one write each", async () => {
  await stage.audit.take();
  stage.aws.resetCalls();
  await stage.aws.putParameter({ name: "/events/shared", type: "SecureString", value: "2" });
  await until(async () => (await left()) === 0, 20_000, "an empty queue");
  for (let i = 0; i < 20; i++) expect(await dataOf(`shared${i}`)).toBe("2");
  expect(await writes()).toEqual({ "patch secrets": 20 });
  const reads = stage.aws.log({ operation: "GetParameters" });
  expect(reads.filter(({ decrypt }) => decrypt)).toHaveLength(1);
}, 60_000);

it("fifty changes of one parameter in a second end with the last value, after a few writes", async () => {
  await stage.audit.take();
  for (let i = 0; i < 50; i++) {
    await stage.aws.putParameter({ name: "/events/p5", type: "SecureString", value: `at ${i}` });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await stage.aws.flushEvents();
  await until(async () => (await left()) === 0, 30_000, "an empty queue");
  expect(await dataOf("r5")).toBe("at 49");
  const { "patch secrets": count } = await writes();
  expect(count).toBeGreaterThanOrEqual(1);
  // At most one per 300 ms, while the changes and their messages arrive.
  expect(count).toBeLessThanOrEqual(12);
}, 60_000);

it("the connection reports stretched polls after an announced change, but not while its queue is missing", async () => {
  const said = (path: string) => stage.cluster.run(["get", "cawsc", "default", "-o", `jsonpath=${path}`]);
  expect(await said("{.status.pollInterval}")).toBe("10h");
  expect(await operator.metric("keyferry_events_received_total", { type: "change" })).toBeGreaterThan(70);
  await sqs.deleteQueue({ QueueUrl: queueUrl });
  const condition = '{.status.conditions[?(@.type=="EventsReady")].reason}';
  await until(async () => (await said(condition)) === "QueueNotFound", 30_000, "the condition");
  await until(async () => (await said("{.status.pollInterval}")) === "1h", 10_000, "the base interval");
}, 90_000);
