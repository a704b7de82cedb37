import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { SQS } from "@aws-sdk/client-sqs";
import { SSM } from "@aws-sdk/client-ssm";
import { STS } from "@aws-sdk/client-sts";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Emulator, startEmulator } from "./emulator.ts";
import { tokenWith } from "./web-identity.ts";

let emulator: Emulator;

beforeAll(async () => {
  emulator = await startEmulator();
});
afterAll(() => emulator.stop());

/** The events in a queue, the oldest first, without what differs from run to run. */
async function received(sqs: SQS, QueueUrl: string): Promise<Record<string, unknown>[]> {
  await emulator.flushEvents();
  const { Messages = [] } = await sqs.receiveMessage({ QueueUrl, MaxNumberOfMessages: 10 });
  return Messages.map(({ Body }) => JSON.parse(Body!) as Record<string, unknown>);
}

test("sends every change to the queue as an EventBridge event, without version and value", async () => {
  const sqs = new SQS(emulator.config());
  const { QueueUrl } = await sqs.createQueue({ QueueName: "changes" });
  expect(QueueUrl).toBe(`${emulator.url}/123456789012/changes`);
  emulator.eventsTo(QueueUrl!);
  const ssm = new SSM(emulator.config());
  const Name = "/events/a";
  await ssm.putParameter({ Name, Value: "canary", Type: "SecureString", Description: "d" });
  await ssm.putParameter({ Name, Value: "canary", Overwrite: true });
  await ssm.labelParameterVersion({ Name, Labels: ["prod"] });
  await ssm.deleteParameters({ Names: [Name, "/events/none"] });
  await emulator.putParameter({ name: "/events/far", value: "v" }, { region: "us-east-1" });
  const events = await received(sqs, QueueUrl!);
  expect(events.map(({ detail }) => detail)).toEqual(
    ["Create", "Update", "LabelParameterVersion", "Delete"].map((operation) => {
      return { operation, name: Name, type: "SecureString", description: "d" };
    }),
  );
  expect(events[0]).toMatchObject({
    source: "aws.ssm",
    "detail-type": "Parameter Store Change",
    account: "123456789012",
    region: "eu-west-1",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    resources: ["arn:aws:ssm:eu-west-1:123456789012:parameter/events/a"],
  });
  expect(JSON.stringify(events)).not.toContain("canary");
});

test("executes a past expiration, and sends a policy action event and a deletion event", async () => {
  const sqs = new SQS(emulator.config({ region: "eu-central-1" }));
  const { QueueUrl } = await sqs.createQueue({ QueueName: "policies" });
  const scope = { region: "eu-central-1" };
  emulator.eventsTo(QueueUrl!, scope);
  const policies = JSON.stringify([
    { Type: "Expiration", Version: "1.0", Attributes: { Timestamp: "2020-01-01T00:00:00Z" } },
  ]);
  await emulator.putParameter({ name: "/expired", value: "v", tier: "Advanced", policies }, scope);
  await emulator.tick();
  const ssm = new SSM(emulator.config(scope));
  await vi.waitFor(() =>
    expect(ssm.getParameter({ Name: "/expired" })).rejects.toMatchObject({ name: "ParameterNotFound" }),
  );
  const events = await received(sqs, QueueUrl!);
  expect(events.map((event) => [event["detail-type"], event.detail])).toEqual([
    ["Parameter Store Change", { operation: "Create", name: "/expired", type: "String" }],
    [
      "Parameter Store Policy Action",
      { "parameter-name": "/expired", "parameter-type": "String", "policy-type": "Expiration" },
    ],
    ["Parameter Store Change", { operation: "Delete", name: "/expired", type: "String" }],
  ]);
});

test("a static access key belongs to a user of 123456789012, or of the given account", async () => {
  const identity = { account: "999999999999", arn: "arn:aws:iam::999999999999:user/ann" };
  emulator.identity("AKIAANN", identity);
  const who = (accessKeyId?: string) =>
    new STS(emulator.config(accessKeyId ? { accessKeyId } : {})).getCallerIdentity({});
  await expect(who()).resolves.toMatchObject({
    Account: "123456789012",
    Arn: "arn:aws:iam::123456789012:user/AKIAKEYFERRYTEST",
  });
  await expect(who("AKIAANN")).resolves.toMatchObject({ Account: identity.account, Arn: identity.arn });
});

test("the credentials of an assumed role act in the role's account, with and without a web identity", async () => {
  const sts = new STS(emulator.config());
  const role = { RoleArn: "arn:aws:iam::888888888888:role/tenant", RoleSessionName: "keyferry.demo" };
  const WebIdentityToken = tokenWith({}, Date.now());
  const answers = [await sts.assumeRole(role), await sts.assumeRoleWithWebIdentity({ ...role, WebIdentityToken })];
  for (const { Credentials } of answers) {
    const config = emulator.config({ accessKeyId: Credentials!.AccessKeyId! });
    await expect(new STS(config).getCallerIdentity({})).resolves.toMatchObject({
      Account: "888888888888",
      Arn: "arn:aws:sts::888888888888:assumed-role/tenant/keyferry.demo",
    });
    await emulator.putParameter({ name: "/tenant", value: "theirs" }, { account: "888888888888" });
    const { Parameters } = await new SSM(config).getParameters({ Names: ["/tenant"] });
    expect(Parameters).toMatchObject([{ Value: "theirs", ARN: "arn:aws:ssm:eu-west-1:888888888888:parameter/tenant" }]);
  }
});

test("a denied AssumeRole is an AccessDenied error of the Query protocol", async () => {
  emulator.deny({ action: "sts:AssumeRole" });
  const role = { RoleArn: "arn:aws:iam::888888888888:role/tenant", RoleSessionName: "s" };
  await expect(new STS(emulator.config()).assumeRole(role)).rejects.toMatchObject({ name: "AccessDenied" });
  emulator.allowAll();
});

test("reads a Secrets Manager secret through Parameter Store as version 0, only with decryption", async () => {
  const post = (target: string, body: object) =>
    fetch(emulator.url, {
      method: "POST",
      headers: {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": target,
        authorization: "AWS4-HMAC-SHA256 Credential=AKIAX/20260101/eu-west-1/secretsmanager/aws4_request, Signature=0",
      },
      body: JSON.stringify(body),
    });
  const made = (await (await post("secretsmanager.CreateSecret", { Name: "db", SecretString: "pw" })).json()) as object;
  expect(made).toMatchObject({ Name: "db" });
  const ssm = new SSM(emulator.config());
  const Name = "/aws/reference/secretsmanager/db";
  await expect(ssm.getParameter({ Name })).rejects.toMatchObject({ name: "ValidationException" });
  const { Parameter } = await ssm.getParameter({ Name, WithDecryption: true });
  expect(Parameter).toMatchObject({ Value: "pw", Version: 0, Type: "SecureString" });
  const source = JSON.parse(Parameter!.SourceResult!) as object;
  expect(source).toMatchObject({ Name: "db", VersionId: expect.stringMatching(/^[0-9a-f-]{36}$/), SecretString: "pw" });
});

test("moto ends with the process that started it, also after SIGKILL", async () => {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  const child = spawn(process.execPath, [main], { stdio: ["ignore", "pipe", "inherit"] });
  const line = await new Promise<Buffer>((resolve) => child.stdout.once("data", resolve));
  const { motoUrl } = JSON.parse(line.toString()) as { motoUrl: string };
  await expect(fetch(motoUrl)).resolves.toBeDefined();
  child.kill("SIGKILL");
  await vi.waitFor(() => expect(fetch(motoUrl)).rejects.toThrow(), { timeout: 5_000 });
});
