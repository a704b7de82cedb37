import { SQS } from "@aws-sdk/client-sqs";
import { SSM } from "@aws-sdk/client-ssm";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Emulator, startEmulator } from "./emulator.ts";

let emulator: Emulator;
let sqs: SQS;
let QueueUrl: string;

beforeAll(async () => {
  emulator = await startEmulator({ reads: "memory", quota: "none" });
  sqs = new SQS(emulator.config());
  QueueUrl = (await sqs.createQueue({ QueueName: "door" })).QueueUrl!;
  emulator.eventsTo(QueueUrl);
});
afterAll(() => emulator.stop());
afterEach(async () => {
  emulator.clearFaults();
  emulator.allowAll();
  emulator.resetCalls();
});

const receive = (WaitTimeSeconds: number, abortSignal?: AbortSignal) =>
  sqs.receiveMessage({ QueueUrl, WaitTimeSeconds }, abortSignal ? { abortSignal } : {});
const changed = (name: string) => emulator.putParameter({ name, value: "v", overwrite: true });

test("a long poll returns a message on arrival, and blocks no other call", async () => {
  const waiting = Array.from({ length: 30 }, () => new AbortController());
  const received = waiting.map(({ signal }) => receive(20, signal).catch(() => undefined));
  await sqs.listQueues({});
  await new SSM(emulator.config()).getParameters({ Names: ["/a"] });
  const before = performance.now();
  await changed("/a");
  const { Messages } = (await Promise.any(received))!;
  expect(performance.now() - before).toBeLessThan(5_000);
  expect(Messages![0]!.Body).toContain('"/a"');
  for (const one of waiting) one.abort();
  await Promise.all(received);
  await sqs.deleteMessage({ QueueUrl, ReceiptHandle: Messages![0]!.ReceiptHandle! });
});

test("a long poll ends when its client disconnects, and takes no later message", async () => {
  const stop = new AbortController();
  const waiting = receive(20, stop.signal).catch(() => "gone");
  await sqs.listQueues({});
  stop.abort();
  expect(await waiting).toBe("gone");
  await changed("/b");
  await emulator.flushEvents();
  const { Messages } = await receive(1);
  expect(Messages).toHaveLength(1);
  await sqs.deleteMessage({ QueueUrl, ReceiptHandle: Messages![0]!.ReceiptHandle! });
});

test("a long poll without messages returns an empty list at its timeout", async () => {
  expect((await receive(1)).Messages).toBeUndefined();
});

test("counts SQS calls, and fails or denies them on request; a batch has the action of a single call", async () => {
  await receive(0);
  expect(emulator.count({ service: "sqs", operation: "ReceiveMessage" })).toBe(1);
  emulator.fault({ operation: "sqs:ReceiveMessage", kind: "503", times: 1 });
  await expect(receive(0)).rejects.toMatchObject({ name: "ServiceUnavailable" });
  emulator.deny({ action: "sqs:DeleteMessage" });
  const Entries = [{ Id: "1", ReceiptHandle: "r" }];
  await expect(sqs.deleteMessageBatch({ QueueUrl, Entries })).rejects.toMatchObject({
    name: "AccessDenied",
    message: expect.stringContaining("not authorized to perform: sqs:DeleteMessage on"),
  });
  expect(emulator.log({ service: "sqs" }).map(({ status }) => status)).toEqual([200, 503, 403]);
});

test.each(["receiveMessage", "listQueueTags"] as const)(
  "%s fails with QueueDoesNotExist for a missing queue",
  async (call) => {
    const none = { QueueUrl: `${emulator.url}/123456789012/none` };
    await expect(sqs[call](none)).rejects.toMatchObject({ name: "QueueDoesNotExist" });
  },
);
