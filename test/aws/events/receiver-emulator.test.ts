import { SQS } from "@aws-sdk/client-sqs";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { ParameterNotice } from "../../../src/aws/events/notice.ts";
import { Receiver } from "../../../src/aws/events/receiver.ts";
import { Identities } from "../../../src/aws/identity.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { type Emulator, startEmulator } from "../../emulator/emulator.ts";
import { changeOf } from "../../support/fake-queue.ts";
import { until } from "../../support/scripted-server.ts";
import { keepingLog, seriesOf, specAt } from "../aws-server.ts";

let emulator: Emulator;
let sqs: SQS;
let identities: Identities;
const metrics = new Metrics();
const log = keepingLog();
let notices: ParameterNotice[] = [];
let states: string[] = [];
let handle: (notice: ParameterNotice) => Promise<void> = async () => {};
let receiver: Receiver | undefined;
let queues = 0;

beforeAll(async () => {
  emulator = await startEmulator({ reads: "memory", quota: "none" });
  sqs = new SQS(emulator.config());
  identities = new Identities({
    clock: systemClock,
    metrics,
    log,
    allowInsecureEndpoints: true,
    userAgent: "keyferry/test",
  });
});
afterAll(async () => {
  identities.close();
  await emulator.stop();
});
afterEach(async () => {
  await receiver?.stop();
  receiver = undefined;
  emulator.allowAll();
  emulator.clearFaults();
});

/** A queue that gets the changes from now on. */
async function freshQueue(tags: Record<string, string> = {}): Promise<string> {
  [notices, states] = [[], []];
  handle = async () => {};
  queues += 1;
  const { QueueUrl } = await sqs.createQueue({ QueueName: `events-${queues}`, tags });
  return QueueUrl!;
}

function start(queueUrl: string, hiddenSeconds = 60): void {
  receiver = new Receiver({
    queueUrl,
    isForeign: false,
    identity: identities.get(specAt(emulator.url)),
    clusterName: "mine",
    hiddenSeconds,
    clock: systemClock,
    random: () => 0,
    metrics,
    log,
    handle: async (notice) => {
      notices.push(notice as ParameterNotice);
      await handle(notice as ParameterNotice);
    },
    heard: () => {},
    changed: (health) => void states.push(health.state === "failed" ? health.failure.message : health.state),
  });
  receiver.start();
}

/** Messages in a queue, those that are hidden too. */
async function left(QueueUrl: string): Promise<number> {
  const names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"] as const;
  const { Attributes = {} } = await sqs.getQueueAttributes({ QueueUrl, AttributeNames: [...names] });
  return names.reduce((sum, name) => sum + Number(Attributes[name]), 0);
}

async function emptied(queueUrl: string): Promise<void> {
  // What was given out and not answered in time, on a busy machine, is hidden for a minute.
  const end = performance.now() + 150_000;
  while ((await left(queueUrl)) > 0) {
    if (performance.now() > end) throw new Error("the queue was never empty");
    // moto answers one call at a time: without a pause the looks would be most of its work.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("passes a parameter change to the handler, and then deletes its message", async () => {
  const queueUrl = await freshQueue({ "keyferry.io/cluster": "mine" });
  emulator.eventsTo(queueUrl);
  start(queueUrl);
  await until(() => states.includes("ok"), "health");
  await emulator.putParameter({ name: "/shop/db", value: "canary", type: "SecureString" });
  await until(() => notices.length > 0, "the notice");
  expect(notices).toMatchObject([{ type: "change", account: "123456789012", region: "eu-west-1", name: "/shop/db" }]);
  await emptied(queueUrl);
  expect(await seriesOf(metrics, "keyferry_events_received_total", { type: "change" })).toBe(1);
});

test("handles and deletes duplicate, reordered, SNS and invalid messages", async () => {
  const queueUrl = await freshQueue();
  const bodies = [
    changeOf("/b", { time: "2026-05-22T16:43:49Z" }),
    changeOf("/a"),
    changeOf("/a"),
    JSON.stringify({ Type: "Notification", Message: changeOf("/sns") }),
    "nonsense",
  ];
  for (const MessageBody of bodies) await sqs.sendMessage({ QueueUrl: queueUrl, MessageBody });
  start(queueUrl);
  await emptied(queueUrl);
  expect(notices.map(({ name }) => name).sort()).toEqual(["/a", "/a", "/b", "/sns"]);
  expect(log.lines.join()).not.toContain("nonsense");
});

test("receives a message again after its handler failed", async () => {
  const queueUrl = await freshQueue();
  handle = async () => {
    if (notices.length === 1) throw new Error("not now");
  };
  await sqs.sendMessage({ QueueUrl: queueUrl, MessageBody: changeOf("/a") });
  start(queueUrl, 1);
  await until(() => notices.length === 1, "the first try");
  expect(await left(queueUrl)).toBe(1);
  // moto may count a message that is about to be seen again neither among the hidden nor among the others.
  await until(() => notices.length === 2, "the second try");
  await emptied(queueUrl);
  expect(notices).toHaveLength(2);
});

test("drains a backlog of 200 in batches of ten", async () => {
  const queueUrl = await freshQueue();
  for (let batch = 0; batch < 20; batch++) {
    const Entries = Array.from({ length: 10 }, (_, i) => ({
      Id: `${i}`,
      MessageBody: changeOf(`/${batch}/${i}`),
    }));
    await sqs.sendMessageBatch({ QueueUrl: queueUrl, Entries });
  }
  emulator.resetCalls();
  start(queueUrl);
  await emptied(queueUrl);
  expect(new Set(notices.map(({ name }) => name)).size).toBe(200);
  await receiver!.stop();
  const count = (operation: string) => emulator.count({ service: "sqs", operation });
  // moto shares what it has out among receives of one instant, so that not every batch is full. On a busy machine it
  // delivers some messages again after three seconds.
  expect(count("DeleteMessageBatch")).toBeLessThanOrEqual(40);
  // Each of the three then waits for what comes next.
  expect(count("ReceiveMessage")).toBeLessThanOrEqual(40 + 4);
  expect(count("ListQueueTags")).toBe(1);
}, 200_000);

test("refuses the queue of another cluster", async () => {
  const queueUrl = await freshQueue({ "keyferry.io/cluster": "theirs" });
  await sqs.sendMessage({ QueueUrl: queueUrl, MessageBody: changeOf("/a") });
  start(queueUrl);
  await until(() => states.length > 0, "a state");
  expect(states[0]).toContain('is the queue of cluster "theirs", as its tag keyferry.io/cluster says');
  expect(await left(queueUrl)).toBe(1);
});

test.each([
  [
    "sqs:ListQueueTags",
    /user\/AKIAKEYFERRYTEST may not sqs:ListQueueTags on http:.* in eu-west-1: allow it in the caller/,
  ],
  ["sqs:ReceiveMessage", /may not sqs:ReceiveMessage on/],
])("reports a denial of %s, and recovers without a restart", async (action, message) => {
  const queueUrl = await freshQueue();
  emulator.deny({ action });
  start(queueUrl);
  await until(() => states.length > 0, "a state");
  expect(states[0]).toMatch(message);
  emulator.allowAll();
  await until(() => states.includes("ok"), "health");
});

test("reports a queue that is deleted during a receive, and uses it again once it is recreated", async () => {
  const queueUrl = await freshQueue();
  start(queueUrl);
  await until(() => states.includes("ok"), "health");
  await sqs.deleteQueue({ QueueUrl: queueUrl });
  await until(() => states.length === 2, "the end");
  expect(states[1]).toMatch(/does not exist in eu-west-1, or is not for this caller to see: create it/);
  await sqs.createQueue({ QueueName: queueUrl.slice(queueUrl.lastIndexOf("/") + 1) });
  await sqs.sendMessage({ QueueUrl: queueUrl, MessageBody: changeOf("/again") });
  await until(() => notices.length > 0, "the notice");
  await until(() => states.length === 3, "health");
  expect(states[2]).toBe("ok");
  await emptied(queueUrl);
});

test("stops promptly during long polls", async () => {
  const queueUrl = await freshQueue();
  start(queueUrl, 1);
  await until(() => states.includes("ok"), "health");
  await until(() => emulator.log({ operation: "ReceiveMessage", status: 0 }).length === 3, "three long polls");
  const before = performance.now();
  await receiver!.stop();
  expect(performance.now() - before).toBeLessThan(1_000);
  await sqs.sendMessage({ QueueUrl: queueUrl, MessageBody: changeOf("/later") });
  // A poll that was given up may still take it, unheard, and hide it for its second.
  const { Messages } = await sqs.receiveMessage({ QueueUrl: queueUrl, WaitTimeSeconds: 5 });
  expect(Messages).toHaveLength(1);
  expect(notices).toEqual([]);
});
