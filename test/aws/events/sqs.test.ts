import { afterEach, beforeEach, expect, test } from "vitest";
import { AwsServer, json, keepingLog, rig, seriesOf, specAt } from "../aws-server.ts";

const queueUrl = "https://sqs.eu-west-1.amazonaws.com/123456789012/keyferry";
const canary = "c4n4ry-b1rd";
let server: AwsServer;

beforeEach(async () => {
  server = await AwsServer.start();
});
afterEach(() => server.close());

const made = (options = {}) => {
  const parts = rig({ ...options, log: keepingLog() });
  return { ...parts, sqs: parts.identities.get(specAt(server.url)).sqs };
};
const receiveOf = (sqs: ReturnType<typeof made>["sqs"], waitSeconds = 0) =>
  sqs.receive({ queueUrl, atMost: 10, waitSeconds, hiddenSeconds: 60 });

test("never connects to the host of a queue URL", async () => {
  const { sqs } = made();
  await receiveOf(sqs);
  expect(server.received).toHaveLength(1);
  expect(JSON.parse(server.received[0]!.body)).toEqual({
    QueueUrl: queueUrl,
    MaxNumberOfMessages: 10,
    WaitTimeSeconds: 0,
    VisibilityTimeout: 60,
  });
  expect(server.received[0]!.headers.authorization).toContain("/eu-west-1/sqs/");
});

test("uses the regional SQS endpoint for any queue URL, if the connection sets none", async () => {
  const asked: string[] = [];
  const { identities } = rig({
    lookup: (host, _options, callback) => {
      asked.push(host);
      callback(Object.assign(new Error("none"), { code: "ENOTFOUND" }), "", 0);
    },
  });
  const { endpoints: _, ...spec } = specAt("");
  const { sqs } = identities.get(spec);
  const elsewhere = { queueUrl: "https://sqs.us-east-1.amazonaws.com/123456789012/q", atMost: 1, waitSeconds: 0 };
  await expect(sqs.receive({ ...elsewhere, hiddenSeconds: 60 })).rejects.toMatchObject({ code: "NetworkError" });
  expect(new Set(asked)).toEqual(new Set(["sqs.eu-west-1.amazonaws.com"]));
  identities.close();
});

test("drops incomplete and duplicate messages", async () => {
  const { sqs } = made();
  const whole = { MessageId: "1", ReceiptHandle: "r", Body: "b" };
  server.answerJson({ Messages: [whole, { ...whole, ReceiptHandle: "s" }, { MessageId: "2", Body: "b" }, {}] });
  expect(await receiveOf(sqs)).toEqual([{ id: "1", receipt: "s", body: "b" }]);
  server.answerJson({});
  expect(await receiveOf(sqs)).toEqual([]);
});

test("reports only the messages that SQS deleted", async () => {
  const { sqs } = made();
  server.answerJson({ Successful: [{ Id: "1" }], Failed: [{ Id: "2", Code: "InternalError", SenderFault: false }] });
  const [one, two] = ["1", "2"].map((id) => ({ id, receipt: "r" }));
  expect(await sqs.remove(queueUrl, [one!, two!])).toEqual(["1"]);
});

test("makes messages visible again, also after a stop, until the identities are closed", async () => {
  const { sqs, identities } = made();
  server.answerJson({ Successful: [{ Id: "1" }], Failed: [] });
  identities.stop();
  await sqs.hide(queueUrl, [{ id: "1", receipt: "r" }], 0);
  expect(JSON.parse(server.received[0]!.body)).toEqual({
    QueueUrl: queueUrl,
    Entries: [{ Id: "1", ReceiptHandle: "r", VisibilityTimeout: 0 }],
  });
  await expect(sqs.remove(queueUrl, [{ id: "1", receipt: "r" }])).rejects.toMatchObject({ next: "retry" });
  identities.close();
  await expect(sqs.hide(queueUrl, [{ id: "1", receipt: "r" }], 0)).rejects.toMatchObject({ next: "retry" });
  expect(server.received).toHaveLength(1);
});

test("adds the long-poll duration to the call timeout, and counts but does not time the receive", async () => {
  const { sqs, clock, metrics } = made({ callTimeoutMs: 10_000 });
  server.answer(() => {});
  const waiting = receiveOf(sqs, 20).catch((error: unknown) => error);
  await clock.advance(29_999);
  expect(await Promise.race([waiting, Promise.resolve("waits")])).toBe("waits");
  await clock.advance(1);
  expect(await waiting).toMatchObject({ code: "TimeoutError", reason: "Unreachable", next: "retry" });
  const short = receiveOf(sqs).catch((error: unknown) => error);
  await clock.advance(10_000);
  expect(await short).toMatchObject({ code: "TimeoutError" });
  const labels = { service: "sqs", operation: "ReceiveMessage" };
  expect(await seriesOf(metrics, "keyferry_aws_requests_total", labels)).toBe(2);
  expect(await seriesOf(metrics, "keyferry_aws_request_duration_seconds", { ...labels, le: "+Inf" })).toBe(1);
});

const user = "arn:aws:iam::123456789012:user/ferry";
const denial = `User: ${user} is not authorized to perform: sqs:x on resource: arn:aws:sqs:eu-west-1:1:q because no identity-based policy allows it ${canary}`;

test.each<[string, string, string, RegExp]>([
  [
    "QueueDoesNotExist",
    "QueueNotFound",
    "wait",
    /keyferry does not exist in eu-west-1, or is not for this caller to see: create/,
  ],
  ["AWS.SimpleQueueService.NonExistentQueue", "QueueNotFound", "wait", /keyferry does not exist in eu-west-1/],
  [
    "AccessDenied",
    "AccessDenied",
    "wait",
    /user\/ferry may not sqs:DeleteMessage on https:.*keyferry in eu-west-1: allow it in/,
  ],
  ["AccessDeniedException", "AccessDenied", "wait", /may not sqs:DeleteMessage on/],
  [
    "KmsAccessDenied",
    "AccessDenied",
    "wait",
    /may not kms:Decrypt on the key that encrypts .*keyferry in eu-west-1: allow/,
  ],
  ["KMS.AccessDeniedException", "AccessDenied", "wait", /may not kms:Decrypt on the key that encrypts/],
  ["KmsDisabled", "KeyUnavailable", "wait", /the KMS key that encrypts .*keyferry is disabled/],
  ["KMS.NotFoundException", "KeyUnavailable", "wait", /the KMS key that encrypts .*keyferry does not exist/],
  ["KmsThrottled", "Throttled", "retry", /AWS throttles sqs:DeleteMessage/],
  ["RequestThrottled", "Throttled", "retry", /AWS throttles/],
  ["OverLimit", "Throttled", "retry", /as many messages under way as SQS allows/],
  ["InvalidAddress", "InvalidData", "wait", /takes https:.*keyferry for no queue/],
  ["UnsupportedOperation", "InvalidData", "wait", /name a standard queue/],
  ["InternalError", "Unreachable", "retry", /Amazon SQS in eu-west-1 answers sqs:DeleteMessage with a server error/],
])("maps %s of SQS to %s", async (code, reason, next, message) => {
  const { sqs, log } = made();
  server.answerError(`com.amazonaws.sqs#${code}`, denial);
  const failure = await sqs.remove(queueUrl, [{ id: "1", receipt: "r" }]).catch((error: unknown) => error);
  expect(failure).toMatchObject({ reason, next, message: expect.stringMatching(message) });
  expect(log.lines.join() + (failure as Error).message).not.toContain(canary);
});

test("reports a response above the size limit as too long", async () => {
  const { sqs } = made();
  const message = { MessageId: "1", ReceiptHandle: "r", Body: '"'.repeat(1_048_576) };
  server.answerJson({ Messages: [message] });
  expect(await receiveOf(sqs)).toHaveLength(1);
  server.answer((_, response) => json(response, 200, { Messages: [message, message, message] }));
  await expect(receiveOf(sqs)).rejects.toMatchObject({ code: "AnswerTooLong", next: "retry" });
});
