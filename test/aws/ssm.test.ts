import { afterAll, describe, expect, test } from "vitest";
import { kmsOf, ssmOf } from "../support/permits.ts";
import { AwsServer, json, rig, seriesOf, specAt } from "./aws-server.ts";

const whole = {
  Name: "/shop/db",
  ARN: "arn:aws:ssm:eu-west-1:123456789012:parameter/shop/db",
  Type: "SecureString",
  Version: 3,
  Selector: ":prod",
  LastModifiedDate: 1767225600.5,
  Value: "p4ss",
};

const server = await AwsServer.start();
const made = rig();
const identity = made.identities.get(specAt(server.url));

afterAll(async () => {
  made.identities.close();
  await server.close();
});

const asked = () => {
  const { target, body } = server.received.at(-1)!;
  return { target, body: JSON.parse(body) };
};

test("requests names unchanged, and returns version, selector, time and sealed value", async () => {
  server.answerJson({ Parameters: [whole], InvalidParameters: ["/gone"] });
  const answer = await ssmOf(identity).getParameters(["/shop/db:prod", "/gone"], { decrypt: true });
  expect(asked()).toEqual({
    target: "AmazonSSM.GetParameters",
    body: { Names: ["/shop/db:prod", "/gone"], WithDecryption: true },
  });
  const { value, ...record } = answer.found[0]!;
  expect(record).toEqual({
    name: "/shop/db",
    selector: ":prod",
    arn: whole.ARN,
    type: "SecureString",
    version: 3,
    modified: 1767225600500,
    requestId: "0f0f0f0f-1111-2222-3333-444444444444",
  });
  expect(Buffer.from(value!.reveal()).toString()).toBe("p4ss");
  expect(JSON.stringify(answer)).not.toContain("p4ss");
  expect(answer.invalid).toEqual(["/gone"]);
  expect(answer.requestId).toBe("0f0f0f0f-1111-2222-3333-444444444444");
});

test.each(["String", "StringList", "SecureString"])(
  "drops the value of a %s at once without decryption",
  async (Type) => {
    server.answerJson({ Parameters: [{ ...whole, Type }], Parameter: { ...whole, Type } });
    const { found } = await ssmOf(identity).getParameters(["/shop/db"], { decrypt: false });
    expect(found[0]).toMatchObject({ type: Type, value: undefined });
    expect((await ssmOf(identity).getParameter("/shop/db", { decrypt: false })).value).toBeUndefined();
  },
);

test("counts decrypted SecureStrings, each of which is a KMS request", async () => {
  const counted = rig();
  const ssm = ssmOf(counted.identities.get(specAt(server.url)));
  const decrypted = () => seriesOf(counted.metrics, "keyferry_secure_strings_decrypted_total", {});
  server.answerJson({ Parameters: [whole, { ...whole, Name: "/b", Type: "String" }], Parameter: whole });
  await ssm.getParameters(["/shop/db", "/b"], { decrypt: false });
  await ssm.getParameter("/shop/db", { decrypt: false });
  expect(await decrypted()).toBe(0);
  await ssm.getParameters(["/shop/db", "/b"], { decrypt: true });
  await ssm.getParameter("/shop/db", { decrypt: true });
  await ssm.getParametersByPath({ path: "/", recursive: true, decrypt: true });
  expect(await decrypted()).toBe(3);
  counted.identities.close();
});

test("lists a page of a path with filters and token", async () => {
  server.answerJson({ Parameters: [], NextToken: "n-2" });
  const page = await ssmOf(identity).getParametersByPath({
    path: "/shop/",
    recursive: true,
    label: "prod",
    types: ["SecureString"],
    decrypt: true,
    nextToken: "n-1",
  });
  expect(page).toEqual({ found: [], nextToken: "n-2" });
  expect(asked()).toEqual({
    target: "AmazonSSM.GetParametersByPath",
    body: {
      Path: "/shop/",
      Recursive: true,
      WithDecryption: true,
      MaxResults: 10,
      NextToken: "n-1",
      ParameterFilters: [
        { Key: "Label", Option: "Equals", Values: ["prod"] },
        { Key: "Type", Option: "Equals", Values: ["SecureString"] },
      ],
    },
  });
});

test("lists without filters by default, and ends without a token", async () => {
  server.answerJson({ Parameters: [whole] });
  const page = await ssmOf(identity).getParametersByPath({
    path: "/shop",
    recursive: false,
    types: [],
    decrypt: false,
  });
  expect(page).toEqual({ found: [expect.objectContaining({ name: "/shop/db" })] });
  expect(asked().body).toEqual({ Path: "/shop", Recursive: false, WithDecryption: false, MaxResults: 10 });
});

test.each<[string, object]>([
  ["of version 0, like references to Secrets Manager", { Version: 0 }],
  ["without a selector", { Selector: undefined }],
  ["with an empty value", { Value: "" }],
  ["of 64 KiB", { Value: "x".repeat(65_536) }],
])("takes a parameter %s", async (_, part) => {
  server.answerJson({ Parameter: { ...whole, ...part } });
  const record = await ssmOf(identity).getParameter("/shop/db", { decrypt: true });
  expect(record.name).toBe("/shop/db");
});

test.each<[string, object | string]>([
  ["nothing", {}],
  ["a number", { Parameter: 5 }],
  ["a list", []],
  ["a parameter without a name", { Parameter: { ...whole, Name: undefined } }],
  ["a name that is an object", { Parameter: { ...whole, Name: { a: 1 } } }],
  ["a name of a megabyte", { Parameter: { ...whole, Name: "x".repeat(1_000_000) } }],
  ["no ARN", { Parameter: { ...whole, ARN: "" } }],
  ["an invalid type", { Parameter: { ...whole, Type: "constructor" } }],
  ["no version", { Parameter: { ...whole, Version: undefined } }],
  ["a fractional version", { Parameter: { ...whole, Version: 1.5 } }],
  ["a version above the safe integers", { Parameter: { ...whole, Version: 2 ** 60 } }],
  ["a negative version", { Parameter: { ...whole, Version: -1 } }],
  ["no date", { Parameter: { ...whole, LastModifiedDate: undefined } }],
  ["a date out of range", { Parameter: { ...whole, LastModifiedDate: 1e300 } }],
  ["a selector that is a list", { Parameter: { ...whole, Selector: ["x"] } }],
  ["no value", { Parameter: { ...whole, Value: undefined } }],
  ["a value over 64 KiB", { Parameter: { ...whole, Value: "x".repeat(65_537) } }],
])("%s instead of a parameter fails only that parameter", async (_, body) => {
  server.answerJson(body as object);
  await expect(ssmOf(identity).getParameter("/shop/db", { decrypt: true })).rejects.toMatchObject({
    code: "InvalidAnswer",
    reason: "Unreachable",
    next: "wait",
    scope: "call",
    message:
      "AWS Systems Manager in eu-west-1 answered ssm:GetParameter for /shop/db with something that is no parameter",
  });
});

test("retries after a date that the SDK cannot parse", async () => {
  server.answerJson({ Parameter: { ...whole, LastModifiedDate: "yesterday" } });
  await expect(ssmOf(identity).getParameter("/a", { decrypt: true })).rejects.toMatchObject({
    code: "InvalidAnswer",
    next: "retry",
  });
});

test("ignores an invalid name that is not text", async () => {
  server.answerJson({ Parameters: [], InvalidParameters: [5, "/a", null] });
  const answer = await ssmOf(identity).getParameters(["/a", "/b"], { decrypt: true });
  expect(answer).toMatchObject({ found: [], invalid: ["/a"] });
});

describe.each<[string, object | null]>([
  ["null", null],
  ["a list", []],
  ["an object without the list", {}],
  ["null instead of the list", { Parameters: null }],
  ["a number instead of the list", { Parameters: 5, InvalidParameters: [] }],
  ["an object instead of the list", { Parameters: {} }],
])("a response without its required list: %s", (_, body) => {
  test.each<[string, () => Promise<unknown>]>([
    ["GetParameters", () => ssmOf(identity).getParameters(["/a"], { decrypt: true })],
    ["GetParameter", () => ssmOf(identity).getParameter("/a", { decrypt: true })],
    ["GetParametersByPath", () => ssmOf(identity).getParametersByPath({ path: "/", recursive: true, decrypt: false })],
    ["DescribeParameters", () => ssmOf(identity).describeParameters({ names: ["/a"] })],
    ["Decrypt", () => kmsOf(identity).decrypt({ ciphertext: Buffer.from("x") })],
    ["DescribeKey", () => kmsOf(identity).describeKey("alias/x")],
    ["GetCallerIdentity", () => identity.caller()],
  ])("is Unreachable for %s", async (_, call) => {
    server.answerJson(body as object);
    await expect(call()).rejects.toMatchObject({ code: "InvalidAnswer", reason: "Unreachable" });
  });
});

test("fails on a token that is not text, because the listing would be incomplete", async () => {
  server.answerJson({ Parameters: [], NextToken: { a: 1 } });
  const page = ssmOf(identity).getParametersByPath({ path: "/", recursive: true, decrypt: false });
  await expect(page).rejects.toMatchObject({ code: "InvalidAnswer" });
});

test("sends a ciphertext with its key and every context name, including `__proto__`", async () => {
  const keyId = "arn:aws:kms:eu-west-1:123456789012:key/1234";
  server.answerJson({ Plaintext: Buffer.from("p4ss").toString("base64"), KeyId: keyId });
  const context = JSON.parse('{"team": "shop", "__proto__": "x", "constructor": "y"}');
  for (const encryptionContext of [context, new Map(Object.entries<string>(context))]) {
    const opened = await kmsOf(identity).decrypt({ ciphertext: Buffer.from("blob"), keyId, encryptionContext });
    expect(opened.keyId).toBe(keyId);
    expect(Buffer.from(opened.plaintext.reveal()).toString()).toBe("p4ss");
    const { target, body } = server.received.at(-1)!;
    expect(target).toBe("TrentService.Decrypt");
    expect(body).toContain('"__proto__":"x"');
    expect(JSON.parse(body)).toMatchObject({ CiphertextBlob: "YmxvYg==", KeyId: keyId, EncryptionContext: context });
  }
});

test("sends no context or key by default", async () => {
  server.answerJson({ Plaintext: "eA==", KeyId: "arn:aws:kms:eu-west-1:123456789012:key/1234" });
  await kmsOf(identity).decrypt({ ciphertext: Buffer.from("blob"), encryptionContext: {} });
  expect(asked().body).toEqual({ CiphertextBlob: "YmxvYg==" });
});

test.each<[string, object]>([
  ["no plaintext", { KeyId: "arn:aws:kms:eu-west-1:123456789012:key/1234" }],
  ["no key", { Plaintext: "eA==" }],
  ["an alias instead of a key", { Plaintext: "eA==", KeyId: "arn:aws:kms:eu-west-1:123456789012:alias/x" }],
])("a KMS response with %s is a failure", async (_, body) => {
  server.answerJson(body);
  const call = kmsOf(identity).decrypt({ ciphertext: Buffer.from("blob") });
  await expect(call).rejects.toMatchObject({ code: "InvalidAnswer", next: "retry" });
});

test("requests descriptions by exact names, path, types and tags, 50 a page", async () => {
  server.answerJson({ Parameters: [], NextToken: "more" });
  const tags = [["env", "prod"] as const];
  const path = { name: "/shop", recursive: true };
  const { nextToken } = await ssmOf(identity).describeParameters({ names: ["/a"], path, tags, types: ["String"] });
  expect(nextToken).toBe("more");
  expect(asked()).toEqual({
    target: "AmazonSSM.DescribeParameters",
    body: {
      MaxResults: 50,
      ParameterFilters: [
        { Key: "tag:env", Values: ["prod"] },
        { Key: "Name", Option: "Equals", Values: ["/a"] },
        { Key: "Path", Option: "Recursive", Values: ["/shop"] },
        { Key: "Type", Option: "Equals", Values: ["String"] },
      ],
    },
  });
});

test("keeps valid descriptions, at most ten policies of each, and only the text of a policy", async () => {
  const { ARN, Name, Version, LastModifiedDate } = whole;
  const good = { ARN, Name, Version, LastModifiedDate, KeyId: "alias/shop" };
  const policy = (PolicyText: unknown) => ({ PolicyText, PolicyType: "Expiration", PolicyStatus: "Pending" });
  const odd = [{}, null, { ...good, Name: "" }, { ...good, Version: "3" }, { ...good, LastModifiedDate: null }];
  const Policies = [policy("{}"), policy(7), null, policy("x".repeat(4_097)), ...Array(9).fill(policy("{}"))];
  server.answerJson({ Parameters: [...odd, { ...good, Policies }, { ...good, KeyId: 7, Policies: "none" }] });
  const described = { name: "/shop/db", arn: ARN, version: 3, modified: 1767225600500 };
  expect((await ssmOf(identity).describeParameters({ names: ["/shop/db"] })).found).toEqual([
    { ...described, keyId: "alias/shop", policies: ["{}", "", "", "", "{}", "{}", "{}", "{}", "{}", "{}"] },
    { ...described, keyId: undefined, policies: [] },
  ]);
});

test.each([
  ["the id of a secret's version", JSON.stringify({ VersionId: "aaaa-1", SecretString: "p4ss" }), "aaaa-1"],
  ["no id from a prototype", '{"__proto__":{"VersionId":"aaaa-1"}}', undefined],
  ["no id with invalid characters", JSON.stringify({ VersionId: "a b" }), undefined],
  ["no id that is not a string", JSON.stringify({ VersionId: 7 }), undefined],
  ["no id from invalid JSON", "{p4ss", undefined],
  ["no id from null", "null", undefined],
])("keeps %s, and nothing else of SourceResult", async (_, SourceResult, versionId) => {
  const { Selector: _selector, ...secret } = whole;
  server.answerJson({ Parameter: { ...secret, Version: 0, Value: "v", SourceResult } });
  const record = await ssmOf(identity).getParameter("/aws/reference/secretsmanager/db", { decrypt: true });
  expect(record.versionId).toBe(versionId);
  expect(JSON.stringify(record)).not.toContain("p4ss");
});

test("returns the clock difference to AWS, and undefined if the clocks agree", async () => {
  const describe = async (aheadMs: number) => {
    server.answer((_, response) => {
      response.setHeader("date", new Date(Date.now() + aheadMs).toUTCString());
      json(response, 200, { Parameters: [] });
    });
    return (await ssmOf(identity).describeParameters({ names: ["/a"] })).clockAheadMs;
  };
  expect(await describe(0)).toBeUndefined();
  expect(await describe(-86_400_000)).toBeCloseTo(-86_400_000, -4);
  expect(await describe(3_600_000)).toBeCloseTo(3_600_000, -4);
  expect(await describe(0)).toBeUndefined();
});
