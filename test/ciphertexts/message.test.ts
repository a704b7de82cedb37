import { describe, expect, test } from "vitest";
import { AwsFailure } from "../../src/aws/failure.ts";
import type { KmsCalls } from "../../src/aws/kms.ts";
import { type Message, type MessageRules, openMessage } from "../../src/ciphertexts/message.ts";
import { FakeKms, keyArn, type MakeOptions, mrk } from "./message-maker.ts";

const entry = "data[1] (tls.key)";
const owner = { namespace: "shop", name: "checkout" };
const second = keyArn("22222222-12ab-34cd-56ef-1234567890ab");
const abroad = keyArn(undefined, "us-east-1");
const bound = { scope: "Name", cluster: "prod", allowUnbound: false } as const;
const pairs = { "keyferry.io/cluster": "prod", "keyferry.io/namespace": "shop", "keyferry.io/name": "checkout" };
const rules: MessageRules = { region: "eu-west-1", binding: undefined, owner, entry };

async function opened(
  kms: FakeKms,
  made: Buffer | string,
  message: Partial<Message> = {},
  more: Partial<MessageRules> = {},
): Promise<{ text: string; keyId: string }> {
  const ciphertext = typeof made === "string" ? made : made.toString("base64");
  const given = { ciphertext, keyIds: [keyArn()], ...message };
  const port = kms as unknown as KmsCalls;
  const { plaintext, keyId } = await openMessage({ kms: port }, given as Message, { ...rules, ...more });
  return { text: Buffer.from(plaintext.reveal()).toString(), keyId };
}

const denied = (what: string) =>
  new AwsFailure({ reason: "AccessDenied", next: "wait", code: "AccessDeniedException", message: `denied on ${what}` });
const silent = (what: string) =>
  new AwsFailure({ reason: "Unreachable", next: "retry", code: "TimeoutError", message: `no answer from ${what}` });

describe("a message is decrypted", () => {
  test.each<[string, MakeOptions]>([
    ["with a signature", { suite: 0x0578 }],
    ["without a signature", { suite: 0x0478 }],
    ["in many frames", { frameLength: 7 }],
    ["with an encryption context", { context: { team: "shop", __proto__x: "y" } }],
  ])("%s", async (_, options) => {
    const kms = new FakeKms();
    const answer = await opened(kms, await kms.message("the value of a key", options));
    expect(answer).toEqual({ text: "the value of a key", keyId: keyArn() });
    expect(kms.asked).toHaveLength(1);
    expect(kms.asked[0]!.keyId).toBe(keyArn());
  });

  test("at any size up to the maximum of a Secret", async () => {
    const kms = new FakeKms();
    const plain = "x".repeat(1_000_000);
    expect((await opened(kms, await kms.message(plain))).text).toBe(plain);
    expect((await opened(kms, await kms.message(""))).text).toBe("");
  });

  test("by the first usable data key, in the order of keyIds", async () => {
    const kms = new FakeKms();
    const made = await kms.message("v", { keys: [keyArn(), second] });
    kms.failures.set(keyArn(), denied("the first"));
    expect(await opened(kms, made, { keyIds: [keyArn(), second] })).toEqual({ text: "v", keyId: second });
    expect(kms.asked.map(({ keyId }) => keyId)).toEqual([keyArn(), second]);
    expect(await opened(kms, made, { keyIds: [second, keyArn()] })).toMatchObject({ keyId: second });
    expect(kms.asked).toHaveLength(3);
  });

  test("by the replica in the connection's region, whichever region keyIds names", async () => {
    const kms = new FakeKms();
    const made = await kms.message("v", { keys: [keyArn(mrk, "us-east-1")] });
    const here = keyArn(mrk);
    for (const region of ["us-east-1", "eu-west-1", "ap-south-1"]) {
      expect(await opened(kms, made, { keyIds: [keyArn(mrk, region)] })).toEqual({ text: "v", keyId: here });
    }
    expect(kms.asked.every(({ keyId }) => keyId === here)).toBe(true);
  });

  test("without keyIds if the connection allows discovery in its account", async () => {
    const kms = new FakeKms();
    const made = await kms.message("v", { keys: [abroad, keyArn()] });
    const discovery = { partition: "aws", accounts: ["123456789012"] };
    expect(await opened(kms, made, { keyIds: undefined as never }, { discovery })).toMatchObject({ keyId: keyArn() });
    expect(kms.asked).toHaveLength(1);
  });

  test("if its context contains the required pairs among others", async () => {
    const kms = new FakeKms();
    const made = await kms.message("v", { context: { team: "shop", env: "prod" } });
    expect((await opened(kms, made, { encryptionContext: { team: "shop" } })).text).toBe("v");
  });

  test("if it is bound to this SyncedSecret, whether or not the entry requires it", async () => {
    const kms = new FakeKms();
    const made = await kms.message("v", { context: pairs });
    expect((await opened(kms, made, {}, { binding: bound })).text).toBe("v");
    expect((await opened(kms, made)).text).toBe("v");
    const loose = { ...bound, scope: "Namespace" as const };
    expect((await opened(kms, made, {}, { binding: loose })).text).toBe("v");
    expect(
      (await opened(kms, await kms.message("v"), { bound: false }, { binding: { ...bound, allowUnbound: true } })).text,
    ).toBe("v");
  });
});

describe("before KMS is called, a message is refused", () => {
  const blob = Buffer.from([1, 2, 2, 0, 120, 9]);
  const ten = Array.from({ length: 11 }, (_, at) => keyArn(`${at}0000000-12ab-34cd-56ef-1234567890ab`));
  const account = keyArn(undefined, undefined, "999999999999");
  type Case = [string, MakeOptions | Buffer | string, Partial<Message>, Partial<MessageRules>, string, string, RegExp];
  test.each<Case>([
    ["that is not Base64", "AgV4 not", {}, {}, "InvalidData", "stalled", /is not base64/],
    ["that is too large", "A".repeat(1_400_004), {}, {}, "InvalidData", "stalled", /longer than 1050000 bytes/],
    ["that is a blob", blob, {}, {}, "InvalidData", "stalled", /give it as kms\.ciphertext/],
    ["without key commitment", { suite: 0x0378 }, {}, {}, "InvalidData", "stalled", /does not commit.*suite 0378/],
    ["with eleven data keys", { keys: ten }, {}, {}, "InvalidData", "stalled", /has 11 data keys/],
    [
      "whose keys are not in keyIds",
      {},
      { keyIds: [second] },
      {},
      "DecryptFailed",
      "stalled",
      /under .*1234567890ab, and encryptionSDK\.keyIds names none/,
    ],
    [
      "with keyIds of another region only",
      {},
      { keyIds: [abroad] },
      {},
      "KeyUnavailable",
      "wait",
      /can be used in eu-west-1/,
    ],
    [
      "by an alias",
      {},
      { keyIds: ["arn:aws:kms:eu-west-1:123456789012:alias/shop"] },
      {},
      "InvalidData",
      "stalled",
      /must be ARNs of keys/,
    ],
    ["without keyIds", {}, { keyIds: undefined as never }, {}, "NotAllowed", "wait", /no allow\.discovery/],
    [
      "of an account that is not discovered",
      { keys: [account] },
      { keyIds: undefined as never },
      { discovery: { partition: "aws", accounts: ["123456789012"] } },
      "NotAllowed",
      "wait",
      /allow.discovery of its connection does not cover the accounts of these$/,
    ],
    [
      "of a partition that is not discovered",
      {},
      { keyIds: undefined as never },
      { discovery: { partition: "aws-cn", accounts: ["123456789012"] } },
      "NotAllowed",
      "wait",
      /in aws-cn only/,
    ],
    [
      "of a region that is not requested",
      { keys: [abroad] },
      { keyIds: undefined as never },
      { discovery: { partition: "aws", accounts: ["123456789012"] } },
      "KeyUnavailable",
      "wait",
      /cannot be used in eu-west-1/,
    ],
    [
      "whose key is not allowed",
      {},
      {},
      { allowKeyIds: [second] },
      "NotAllowed",
      "wait",
      /key .*1234567890ab is not allowed/,
    ],
    [
      "of which one key is not allowed",
      {},
      { keyIds: [second, keyArn()] },
      { allowKeyIds: [second] },
      "NotAllowed",
      "wait",
      /is not allowed/,
    ],
    [
      "that discovers a key that is not allowed",
      {},
      { keyIds: undefined as never },
      { allowKeyIds: [second], discovery: { partition: "aws", accounts: ["123456789012"] } },
      "NotAllowed",
      "wait",
      /lists none of these keys/,
    ],
    [
      "that lacks a pair",
      { context: { team: "shop" } },
      { encryptionContext: { env: "prod" } },
      {},
      "ContextMismatch",
      "stalled",
      /lacks "env"/,
    ],
    [
      "with another value of a pair",
      { context: { team: "Shop" } },
      { encryptionContext: { team: "shop" } },
      {},
      "ContextMismatch",
      "stalled",
      /another value of "team"/,
    ],
    [
      "if the entry requires a reserved context name",
      {},
      { encryptionContext: { "keyferry.io/name": "x" } },
      {},
      "NotAllowed",
      "stalled",
      /are the operator's/,
    ],
    [
      "that is not bound",
      {},
      {},
      { binding: bound },
      "ContextMismatch",
      "stalled",
      /is not bound, and binding .* keyferry\.io\/cluster=prod, keyferry\.io\/namespace=shop, keyferry\.io\/name=checkout/,
    ],
    [
      "that is bound to another SyncedSecret",
      { context: { ...pairs, "keyferry.io/name": "other" } },
      {},
      { binding: bound },
      "ContextMismatch",
      "stalled",
      /is bound to cluster prod, namespace shop, name other, and not to this/,
    ],
    [
      "that is bound to another SyncedSecret, with binding off",
      { context: { ...pairs, "keyferry.io/namespace": "bank" } },
      {},
      {},
      "ContextMismatch",
      "stalled",
      /is bound to cluster prod, namespace bank/,
    ],
    [
      "that is bound to another SyncedSecret, with bound: false",
      { context: { ...pairs, "keyferry.io/name": "other" } },
      { bound: false },
      { binding: { ...bound, allowUnbound: true } },
      "ContextMismatch",
      "stalled",
      /is bound to/,
    ],
    [
      "that has unknown binding pairs",
      { context: { ...pairs, "keyferry.io/zone": "x" } },
      {},
      {},
      "ContextMismatch",
      "stalled",
      /is bound to/,
    ],
    [
      "that is bound to its namespace only",
      { context: { "keyferry.io/cluster": "prod", "keyferry.io/namespace": "shop" } },
      {},
      { binding: bound },
      "ContextMismatch",
      "stalled",
      /is bound to cluster prod, namespace shop only/,
    ],
    [
      "that is unbound without permission",
      {},
      { bound: false },
      { binding: bound },
      "NotAllowed",
      "wait",
      /binding\.allowUnbound/,
    ],
  ])("%s", async (_, made, message, more, reason, next, says) => {
    const kms = new FakeKms();
    const given = typeof made === "string" || Buffer.isBuffer(made) ? made : await kms.message("v", made);
    await expect(opened(kms, given, message, more)).rejects.toMatchObject({
      reason,
      next,
      message: expect.stringMatching(says),
    });
    await expect(opened(kms, given, message, more)).rejects.toThrow(/^data\[1\] \(tls\.key\): /);
    expect(kms.asked).toEqual([]);
  });
});

describe("if no data key is decrypted", () => {
  test("a single failure of KMS becomes the message's, with its code", async () => {
    const kms = new FakeKms();
    const made = await kms.message("v");
    kms.failures.set(keyArn(), denied("it"));
    await expect(opened(kms, made)).rejects.toMatchObject({
      reason: "AccessDenied",
      next: "wait",
      code: "AccessDeniedException",
      message: `${entry}: denied on it`,
    });
  });

  test("several failures are reported together in a stable order, and the soonest retry applies", async () => {
    const kms = new FakeKms();
    const made = await kms.message("v", { keys: [keyArn(), second] });
    kms.failures.set(keyArn(), denied("b"));
    kms.failures.set(second, silent("a"));
    const message = `${entry}: denied on b; no answer from a`;
    const expected = { reason: "Unreachable", next: "retry", message };
    await expect(opened(kms, made, { keyIds: [keyArn(), second] })).rejects.toMatchObject(expected);
    await expect(opened(kms, made, { keyIds: [second, keyArn()] })).rejects.toMatchObject(expected);
  });

  test("a data key that KMS decrypts with another key returns no value", async () => {
    const kms = new FakeKms();
    const made = await kms.message("v");
    kms.used = second;
    await expect(opened(kms, made, {}, { allowKeyIds: [keyArn()] })).rejects.toMatchObject({
      reason: "NotAllowed",
      message: expect.stringContaining(`key ${second}, which KMS used, is not allowed`),
    });
    await expect(opened(kms, made)).rejects.toMatchObject({ reason: "NotAllowed" });
  });
});

test("a message that is damaged or truncated anywhere returns no value and an error of our own", async () => {
  for (const suite of [0x0478, 0x0578]) {
    const kms = new FakeKms();
    const made = await kms.message("the value", { suite, frameLength: 4, context: { team: "shop" } });
    for (let at = 0; at < made.length; at += 3) {
      const damaged = Buffer.from(made);
      damaged[at]! ^= 0x55;
      for (const bytes of [damaged, made.subarray(0, at)]) {
        await expect(opened(kms, bytes)).rejects.toMatchObject({
          name: expect.stringMatching(/^(Aws)?Failure$/),
          reason: expect.stringMatching(/^(InvalidData|DecryptFailed)$/),
          next: "stalled",
        });
      }
    }
  }
});

test("a failure contains no value and no text of the library", async () => {
  const kms = new FakeKms();
  const made = await kms.message("the value", { context: { team: "shop" } });
  made[made.length - 1]! ^= 1;
  const failure = await opened(kms, made).catch((error: Error) => error as Error);
  expect((failure as Error).message).toBe(
    `${entry}: encryptionSDK.ciphertext is damaged or cut off after its header: encrypt it anew`,
  );
  expect((failure as Error).cause).toBeUndefined();
});

describe("a message that an AWS service encrypted", () => {
  const arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/bank/db";
  test.each<[string, MakeOptions, Partial<Message>]>([
    ["a SecureString of the advanced tier", { context: { PARAMETER_ARN: arn } }, {}],
    [
      "a SecureString whose context the entry requires",
      { context: { PARAMETER_ARN: arn } },
      { encryptionContext: { PARAMETER_ARN: arn } },
    ],
    [
      "a SecureString with the name in lower case and more pairs",
      { context: { parameter_arn: arn, team: "shop" } },
      {},
    ],
    ["a SecureString without key commitment", { context: { PARAMETER_ARN: arn }, suite: 0x0178 }, {}],
    ["a message of another service", { context: { "aws:s3:arn": "arn:aws:s3:::x" } }, {}],
  ])("is refused before KMS is called: %s", async (_, options, message) => {
    const kms = new FakeKms();
    await expect(opened(kms, await kms.message("v", options), message)).rejects.toMatchObject({ reason: "NotAllowed" });
    expect(kms.asked).toEqual([]);
  });

  test("is refused with the field to set, if its connection decrypts nothing", async () => {
    const kms = new FakeKms();
    const made = await kms.message("v");
    await expect(opened(kms, made, {}, { allowKeyIds: [] })).rejects.toMatchObject({
      reason: "NotAllowed",
      message: expect.stringContaining("allow.keyIds"),
    });
    expect(kms.asked).toEqual([]);
  });
});
