import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Identity } from "../../src/aws/identity.ts";
import { type Emulator, startEmulator } from "../emulator/emulator.ts";
import { kmsOf, ssmOf } from "../support/permits.ts";
import { keepingLog, rig, specAt } from "./aws-server.ts";

const user = "arn:aws:iam::123456789012:user/AKIAKEYFERRYTEST";

let emulator: Emulator;
let made: ReturnType<typeof rig>;
let log: ReturnType<typeof keepingLog>;
let identity: Identity;

beforeAll(async () => {
  emulator = await startEmulator({ reads: "memory", quota: "none" });
  log = keepingLog();
  made = rig({ log });
  identity = made.identities.get(specAt(emulator.url));
});

afterEach(() => {
  emulator.allowAll();
  emulator.clearFaults();
  emulator.quota("none");
  expect(log.lines.join("\n")).not.toContain("c4n4ry");
});

afterAll(async () => {
  made.identities.close();
  await emulator.stop();
});

const text = (value: { reveal(): Uint8Array } | undefined) => value && Buffer.from(value.reveal()).toString();

test("returns the caller's identity", async () => {
  expect(await identity.caller()).toEqual({ account: "123456789012", arn: user });
});

test("reads a SecureString with its value, and without decryption returns neither value nor ciphertext", async () => {
  await emulator.putParameter({ name: "/read/a", value: "c4n4ry", type: "SecureString" });
  const read = async (decrypt: boolean) => (await ssmOf(identity).getParameters(["/read/a"], { decrypt })).found[0]!;
  expect(text((await read(true)).value)).toBe("c4n4ry");
  expect(await read(false)).toMatchObject({ name: "/read/a", version: 1, type: "SecureString", value: undefined });
});

test("reads versions, labels and ARNs, and distinguishes a missing name from a missing version", async () => {
  await emulator.putParameter({ name: "/which/a", value: "one" });
  await emulator.putParameter({ name: "/which/a", value: "two" });
  await emulator.labelParameterVersion("/which/a", ["prod"], 1);
  const names = ["/which/a", "/which/a:1", "/which/a:prod", "/which/a:9", "/which/none"];
  const { found, invalid } = await ssmOf(identity).getParameters(names, { decrypt: true });
  const byName = new Map(found.map((one) => [one.name + (one.selector ?? ""), text(one.value)]));
  expect(Object.fromEntries(byName)).toEqual({ "/which/a": "two", "/which/a:1": "one", "/which/a:prod": "one" });
  expect(invalid.sort()).toEqual(["/which/a:9", "/which/none"]);
  const missing = (name: string) => ssmOf(identity).getParameter(name, { decrypt: false });
  await expect(missing("/which/a:9")).rejects.toMatchObject({
    code: "ParameterVersionNotFound",
    reason: "VersionNotFound",
  });
  await expect(missing("/which/none")).rejects.toMatchObject({
    code: "ParameterNotFound",
    reason: "ParameterNotFound",
  });
  const arn = found[0]!.arn;
  expect(text((await ssmOf(identity).getParameter(arn, { decrypt: true })).value)).toBe("two");
});

test("lists a path page by page", async () => {
  for (let i = 0; i < 12; i++) await emulator.putParameter({ name: `/list/${i}`, value: "x" });
  const query = { path: "/list", recursive: true, decrypt: false };
  const first = await ssmOf(identity).getParametersByPath(query);
  expect(first.found).toHaveLength(10);
  const second = await ssmOf(identity).getParametersByPath({ ...query, nextToken: first.nextToken! });
  expect(second.found).toHaveLength(2);
  expect(second.nextToken).toBeUndefined();
  const typed = await ssmOf(identity).getParametersByPath({ ...query, types: ["SecureString"] });
  expect(typed.found).toEqual([]);
});

test("reports a denied parameter with caller, action and ARN", async () => {
  await emulator.putParameter({ name: "/deny/a", value: "c4n4ry" });
  emulator.deny({ action: "ssm:GetParameters", parameter: "/deny/a" });
  await expect(ssmOf(identity).getParameters(["/deny/a"], { decrypt: true })).rejects.toMatchObject({
    reason: "AccessDenied",
    message: `${user} may not ssm:GetParameters on arn:aws:ssm:eu-west-1:123456789012:parameter/deny/a in eu-west-1: allow it in the caller's IAM policy`,
  });
});

test("reports a denied key with kms:Decrypt and the key, and a disabled key with the parameter", async () => {
  const keyId = await emulator.createKey();
  await emulator.putParameter({ name: "/key/a", value: "c4n4ry", type: "SecureString", keyId });
  const read = () => ssmOf(identity).getParameters(["/key/a"], { decrypt: true });
  emulator.deny({ action: "kms:Decrypt", key: keyId });
  await expect(read()).rejects.toMatchObject({
    reason: "AccessDenied",
    next: "wait",
    message: expect.stringContaining(`may not kms:Decrypt on ${keyId} in eu-west-1: allow it in the key's policy`),
  });
  emulator.allowAll();
  await emulator.direct("kms", "DisableKey", { KeyId: keyId });
  await expect(read()).rejects.toMatchObject({ reason: "KeyUnavailable", next: "wait", code: "InvalidKeyId" });
});

test("retries after a throttle, a server error and a reset connection", async () => {
  const read = () => ssmOf(identity).getParameters(["/none"], { decrypt: false });
  emulator.fault({ kind: "throttle", times: 1 });
  await expect(read()).rejects.toMatchObject({ reason: "Throttled", next: "retry" });
  for (const kind of ["500", "503", "reset"] as const) {
    emulator.fault({ kind, times: 1 });
    await expect(read()).rejects.toMatchObject({ reason: "Unreachable", next: "retry" });
  }
  expect((await read()).invalid).toEqual(["/none"]);
});

test("decrypts KMS ciphertexts, and reports why a ciphertext cannot be decrypted", async () => {
  const keyId = await emulator.createKey();
  const other = await emulator.createKey();
  const made = await emulator.encrypt({ keyId, plaintext: "c4n4ry", context: { team: "shop" } });
  const ciphertext = Buffer.from(made, "base64");
  const encryptionContext = { team: "shop" };
  const opened = await kmsOf(identity).decrypt({ ciphertext, encryptionContext });
  expect([text(opened.plaintext), opened.keyId]).toEqual(["c4n4ry", keyId]);
  const wrongContext = kmsOf(identity).decrypt({ ciphertext, encryptionContext: { team: "stock" } });
  await expect(wrongContext).rejects.toMatchObject({ reason: "DecryptFailed", next: "stalled" });
  const wrongKey = kmsOf(identity).decrypt({ ciphertext, encryptionContext, keyId: other });
  await expect(wrongKey).rejects.toMatchObject({ code: "IncorrectKeyException", reason: "DecryptFailed" });
  await emulator.direct("kms", "DisableKey", { KeyId: keyId });
  const disabled = kmsOf(identity).decrypt({ ciphertext, encryptionContext });
  await expect(disabled).rejects.toMatchObject({ code: "DisabledException", reason: "KeyUnavailable", next: "wait" });
  await emulator.direct("kms", "ScheduleKeyDeletion", { KeyId: keyId, PendingWindowInDays: 7 });
  const dying = kmsOf(identity).decrypt({ ciphertext, encryptionContext });
  await expect(dying).rejects.toMatchObject({ code: "KMSInvalidStateException", reason: "KeyUnavailable" });
});
