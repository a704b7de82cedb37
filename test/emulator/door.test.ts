import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { KMS } from "@aws-sdk/client-kms";
import { SSM } from "@aws-sdk/client-ssm";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { FakeClock, settle } from "../support/clock.ts";
import { type Emulator, startEmulator } from "./emulator.ts";

let emulator: Emulator;
let ssm: SSM;
const clock = new FakeClock();
const Names = ["/a", "/b"];

beforeAll(async () => {
  emulator = await startEmulator({ reads: "memory", clock, random: () => 0.5 });
  ssm = new SSM(emulator.config());
  for (const name of Names) await emulator.putParameter({ name, value: name });
});
afterAll(() => emulator.stop());
beforeEach(async () => {
  emulator.quota("none");
  emulator.resetCalls();
});
afterEach(() => {
  emulator.clearFaults();
  emulator.allowAll();
});

const read = () => ssm.getParameters({ Names });
const values = async () => (await read()).Parameters!.map(({ Value }) => Value);
const throttled = { name: "ThrottlingException", $metadata: { httpStatusCode: 400 } };

test("counts calls by service, operation, account and region", async () => {
  await read();
  await read();
  await ssm.getParameter({ Name: "/none" }).catch(() => {});
  await new SSM(emulator.config({ region: "us-east-1" })).getParameters({ Names });
  const [account, region] = ["123456789012", "eu-west-1"];
  expect(emulator.calls()).toEqual([
    { service: "ssm", operation: "GetParameters", account, region, count: 2 },
    { service: "ssm", operation: "GetParameter", account, region, count: 1 },
    { service: "ssm", operation: "GetParameters", account, region: "us-east-1", count: 1 },
  ]);
  expect(emulator.log({ operation: "GetParameter" })).toEqual([
    {
      ...{ service: "ssm", operation: "GetParameter", account, region, via: "client", names: ["/none"] },
      ...{ accessKeyId: "AKIAKEYFERRYTEST", status: 400, error: "ParameterNotFound", at: clock.now() },
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    },
  ]);
  expect(emulator.count({ operation: "GetParameters", region })).toBe(2);
});

test("does not count, throttle or deny a test's own setup calls", async () => {
  emulator.quota(1);
  emulator.deny({ action: "*" });
  for (let i = 0; i < 3; i++) await emulator.putParameter({ name: "/x", value: "v", type: "SecureString" });
  await emulator.encrypt({ keyId: await emulator.createKey(), plaintext: "x" });
  expect(emulator.calls()).toEqual([]);
});

test("throttles the 41st call in a second across all three read operations, and allows 40 more a second later", async () => {
  emulator.quota(40);
  for (let i = 0; i < 20; i++) await read();
  for (let i = 0; i < 10; i++) await ssm.getParameter({ Name: "/a" });
  for (let i = 0; i < 10; i++) await ssm.getParametersByPath({ Path: "/" });
  await expect(read()).rejects.toMatchObject(throttled);
  await expect(ssm.getParameter({ Name: "/a" })).rejects.toMatchObject(throttled);
  await clock.advance(25);
  await read();
  await expect(read()).rejects.toMatchObject(throttled);
  await clock.advance(5_000);
  for (let i = 0; i < 40; i++) await read();
  await expect(read()).rejects.toMatchObject(throttled);
});

test("keeps one quota per account and region, and does not count other operations", async () => {
  emulator.quota(1);
  await read();
  await ssm.describeParameters({});
  await ssm.getParameterHistory({ Name: "/a" });
  await expect(read()).rejects.toMatchObject(throttled);
  emulator.identity("AKIASAME", { account: "123456789012", arn: "arn:aws:iam::123456789012:user/same" });
  const same = new SSM(emulator.config({ accessKeyId: "AKIASAME" }));
  await expect(same.getParameters({ Names })).rejects.toMatchObject(throttled);
  await new SSM(emulator.config({ region: "us-east-1" })).getParameters({ Names });
});

test.each([
  ["throttle", "ThrottlingException", 400],
  ["500", "InternalServerError", 500],
  ["503", "ServiceUnavailable", 503],
] as const)("returns the fault %s as many times as requested", async (kind, name, httpStatusCode) => {
  emulator.fault({ operation: "GetParameters", kind, times: 2 });
  await ssm.getParameter({ Name: "/a" });
  for (let i = 0; i < 2; i++) await expect(read()).rejects.toMatchObject({ name, $metadata: { httpStatusCode } });
  await expect(values()).resolves.toEqual(Names);
});

test("limits a fault to names and to a share of the calls", async () => {
  emulator.fault({ kind: "500", names: ["/b*"] });
  await ssm.getParameter({ Name: "/a" });
  await expect(ssm.getParameter({ Name: "/b" })).rejects.toMatchObject({ name: "InternalServerError" });
  emulator.clearFaults();
  emulator.fault({ kind: "500", probability: 0.5 });
  await read();
  emulator.fault({ kind: "500", probability: 0.51 });
  await expect(read()).rejects.toMatchObject({ name: "InternalServerError" });
});

test("resets the connection, and logs the call without a status", async () => {
  emulator.fault({ kind: "reset", times: 1 });
  await expect(read()).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(emulator.log()).toMatchObject([{ operation: "GetParameters", status: 0 }]);
  await expect(values()).resolves.toEqual(Names);
});

test("never answers a hanging call", async () => {
  emulator.fault({ kind: "hang", times: 1 });
  const impatient = new AbortController();
  const hanging = ssm.getParameters({ Names }, { abortSignal: impatient.signal });
  hanging.catch(() => {});
  await vi.waitUntil(() => emulator.count() === 1);
  await expect(values()).resolves.toEqual(Names);
  impatient.abort();
  await expect(hanging).rejects.toMatchObject({ name: "AbortError" });
  expect(emulator.log()[0]).toMatchObject({ status: 0 });
});

test("answers a delayed call after its delay on the clock", async () => {
  emulator.fault({ kind: "delay", delayMs: 3_000, times: 1 });
  let answered = false;
  const slow = read().then(() => {
    answered = true;
  });
  await vi.waitUntil(() => clock.pending === 1);
  await settle();
  expect(answered).toBe(false);
  await clock.advance(3_000);
  await slow;
});

test("returns an empty page whose NextToken leads to the withheld parameters", async () => {
  const page = (NextToken?: string) => ssm.getParametersByPath({ Path: "/", MaxResults: 1, NextToken });
  const first = await page();
  emulator.fault({ operation: "GetParametersByPath", kind: "emptyPage", times: 1 });
  const empty = await page(first.NextToken);
  expect(empty.Parameters).toEqual([]);
  expect(empty.NextToken).toBeDefined();
  expect((await page(empty.NextToken)).Parameters).toMatchObject([{ Name: "/b" }]);
});

test("reorders or duplicates answers, or returns an invalid token, on request", async () => {
  emulator.fault({ kind: "reorder", times: 1 });
  await expect(values()).resolves.toEqual(["/b", "/a"]);
  emulator.fault({ kind: "duplicate", times: 1 });
  await expect(values()).resolves.toEqual(["/a", "/a", "/b"]);
  emulator.fault({ kind: "repeatToken" });
  const first = await ssm.getParametersByPath({ Path: "/", MaxResults: 1 });
  const again = await ssm.getParametersByPath({ Path: "/", MaxResults: 1, NextToken: first.NextToken });
  expect(again.Parameters).toEqual(first.Parameters);
  expect(first.NextToken).toBeDefined();
  expect(again.NextToken).toBe(first.NextToken);
});

test("limits a denial to one caller", async () => {
  emulator.deny({ action: "ssm:*", principal: "AKIAOTHER" });
  await read();
  const other = new SSM(emulator.config({ accessKeyId: "AKIAOTHER" }));
  await expect(other.getParameters({ Names })).rejects.toMatchObject({ name: "AccessDeniedException" });
});

test("executes policies on time: sends the notifications, then deletes the parameter", async () => {
  const at = clock.now() + 48 * 3_600_000;
  const policies = JSON.stringify([
    { Type: "Expiration", Version: "1.0", Attributes: { Timestamp: new Date(at).toISOString() } },
    { Type: "ExpirationNotification", Version: "1.0", Attributes: { Before: "1", Unit: "Days" } },
  ]);
  await emulator.putParameter({ name: "/expires", value: "v", tier: "Advanced", policies });
  await clock.advance(48 * 3_600_000 - 1);
  await expect(ssm.getParameter({ Name: "/expires" })).resolves.toBeDefined();
  await clock.advance(1);
  await expect(ssm.getParameter({ Name: "/expires" })).rejects.toMatchObject({ name: "ParameterNotFound" });
});

test("does not delete a new version by the Expiration policy of the old version", async () => {
  const soon = new Date(clock.now() + 60_000).toISOString();
  const policies = JSON.stringify([{ Type: "Expiration", Version: "1.0", Attributes: { Timestamp: soon } }]);
  await emulator.putParameter({ name: "/kept", value: "v", tier: "Advanced", policies });
  await emulator.putParameter({ name: "/kept", value: "w", policies: "{}" });
  await clock.advance(60_000);
  await expect(ssm.getParameter({ Name: "/kept" })).resolves.toBeDefined();
});

test("returns an error with its shape name in the body and in a header, and a request id", async () => {
  const answer = await fetch(emulator.url, {
    method: "POST",
    headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": "AmazonSSM.GetParameter" },
    body: JSON.stringify({ Name: "/none" }),
  });
  expect(answer.status).toBe(400);
  expect(answer.headers.get("x-amzn-errortype")).toBe("ParameterNotFound");
  expect(answer.headers.get("x-amzn-requestid")).toMatch(/^[0-9a-f-]{36}$/);
  expect(await answer.json()).toEqual({ __type: "ParameterNotFound", message: "Parameter /none not found." });
});

test("is controlled by another process over HTTP", async () => {
  const ask = async (method: string, ...args: unknown[]) => {
    const answer = await fetch(`${emulator.url}/__door/${method}`, { method: "POST", body: JSON.stringify(args) });
    return [answer.status, await answer.json()];
  };
  expect(await ask("putParameter", { name: "/remote", value: "v" })).toEqual([200, 1]);
  expect(await ask("deny", { parameter: "/remote" })).toEqual([200, null]);
  await expect(ssm.getParameter({ Name: "/remote" })).rejects.toMatchObject({ name: "AccessDeniedException" });
  expect(await ask("count", { operation: "GetParameter" })).toEqual([200, 1]);
  expect(await ask("deleteParameter", "/none")).toEqual([400, { error: "Parameter /none not found." }]);
  expect((await ask("stop"))[0]).toBe(400);
});

test("runs as a separate process, prints its URL, and exits on SIGTERM", async () => {
  const child = spawn(process.execPath, [
    fileURLToPath(new URL("main.ts", import.meta.url)),
    "--memory",
    "--quota",
    "1",
  ]);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { url } = JSON.parse((await lines.next()).value!) as { url: string };
  const remote = new SSM({ ...emulator.config(), endpoint: url });
  await remote.getParameters({ Names });
  await expect(remote.getParameters({ Names })).rejects.toMatchObject(throttled);
  const code = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  expect(await code).toBe(0);
});

test("isolates keys by account", async () => {
  emulator.identity("AKIATENANT", { account: "999999999999", arn: "arn:aws:iam::999999999999:user/tenant" });
  const kms = new KMS(emulator.config({ accessKeyId: "AKIATENANT" }));
  const { KeyMetadata } = await kms.describeKey({ KeyId: "alias/aws/ssm" });
  expect(KeyMetadata).toMatchObject({ AWSAccountId: "999999999999", KeyManager: "AWS" });
});
