import { describe, expect, test } from "vitest";
import { AwsFailure } from "../../src/aws/failure.ts";
import type { DecryptRequest, KmsPort } from "../../src/aws/kms.ts";
import { openBlob } from "../../src/ciphertexts/kms-blob.ts";
import { Sealed } from "../../src/runtime/sealed.ts";

const entry = "data[2] (LICENSE)";
const key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const replica = key.replace("eu-west-1", "eu-west-2");
const ciphertext = Buffer.from([1, 2, 2, 0, 120, 9]).toString("base64");

/** A KMS that opens everything, with a key of the test's choice. */
function kms(answer: { keyId?: string; failure?: Error } = {}) {
  const asked: DecryptRequest[] = [];
  const port: KmsPort = {
    async decrypt(request) {
      asked.push(request);
      if (answer.failure) throw answer.failure;
      return { plaintext: Sealed.text("p4ss"), keyId: answer.keyId ?? key };
    },
  };
  return { asked, identity: { kms: port } };
}

describe("a blob", () => {
  test("is opened with its key and its context, and the key that was used is told", async () => {
    const { asked, identity } = kms();
    const encryptionContext = JSON.parse('{"team": "shop", "__proto__": "x"}');
    const opened = await openBlob(identity, { ciphertext, keyId: key, encryptionContext }, { entry });
    expect(opened.keyId).toBe(key);
    expect(Buffer.from(opened.plaintext.reveal()).toString()).toBe("p4ss");
    expect(asked).toHaveLength(1);
    expect(Buffer.from(asked[0]!.ciphertext).toString("base64")).toBe(ciphertext);
    expect(asked[0]!.keyId).toBe(key);
    expect([...(asked[0]!.encryptionContext as Map<string, string>)]).toEqual([
      ["team", "shop"],
      ["__proto__", "x"],
    ]);
  });

  test("of 6,144 bytes is opened, by whatever key where the connection lists none", async () => {
    const blob = { ciphertext: Buffer.alloc(6_144, 1).toString("base64") };
    expect((await openBlob(kms().identity, blob, { entry })).keyId).toBe(key);
  });

  test.each<[string, string, RegExp]>([
    ["that is no base64", "AQIC Ag==", /is not base64/],
    ["that is empty", "", /is not base64/],
    ["in the alphabet of URLs", "AQIC_w==", /is not base64/],
    ["of more than 6,144 bytes", Buffer.alloc(6_147, 1).toString("base64"), /longer than the 6144 bytes/],
    ["of ten megabytes", "A".repeat(10_000_000), /longer than the 6144 bytes/],
    ["that is a message of the Encryption SDK", Buffer.from([2, 5, 0x78, 1, 1]).toString("base64"), /Encryption SDK/],
    ["that is one without a signature", Buffer.from([2, 4, 0x78, 1, 1]).toString("base64"), /Encryption SDK/],
    ["that is one of the first version", Buffer.from([1, 0x80, 0x03, 0x78]).toString("base64"), /Encryption SDK/],
  ])("%s is refused before KMS is asked", async (_, text, message) => {
    const { asked, identity } = kms();
    await expect(openBlob(identity, { ciphertext: text }, { entry })).rejects.toMatchObject({
      reason: "InvalidData",
      next: "stalled",
      message: expect.stringMatching(message),
    });
    await expect(openBlob(identity, { ciphertext: text }, { entry })).rejects.toThrow(/^data\[2\] \(LICENSE\): /);
    expect(asked).toEqual([]);
  });

  test("with a context of the operator's own is refused before KMS is asked", async () => {
    const { asked, identity } = kms();
    const blob = { ciphertext, encryptionContext: { team: "shop", "keyferry.io/namespace": "stock" } };
    await expect(openBlob(identity, blob, { entry })).rejects.toMatchObject({
      reason: "NotAllowed",
      message: "data[2] (LICENSE): encryptionContext names below keyferry.io/ are the operator's",
    });
    expect(asked).toEqual([]);
  });
});

describe("where the connection lists keys, a blob", () => {
  const allowKeyIds = [key];

  test("that names one of them is opened", async () => {
    const opened = await openBlob(kms().identity, { ciphertext, keyId: key }, { entry, allowKeyIds });
    expect(opened.keyId).toBe(key);
  });

  test.each<[string, string | undefined, RegExp]>([
    ["that names no key", undefined, /^data\[2\] \(LICENSE\): kms\.keyId is required: allow\.keyIds/],
    ["that names another key", replica, /eu-west-2.* is not allowed: allow\.keyIds of its connection does not list it/],
    ["that names its key by an alias", "alias/shop", /^data\[2\] \(LICENSE\): key alias\/shop is not allowed/],
    ["that names its key by an id", "1234abcd-12ab-34cd-56ef-1234567890ab", /name the key by its ARN/],
  ])("%s is refused before KMS is asked", async (_, keyId, message) => {
    const { asked, identity } = kms();
    const blob = { ciphertext, ...(keyId === undefined ? {} : { keyId }) };
    await expect(openBlob(identity, blob, { entry, allowKeyIds })).rejects.toMatchObject({
      reason: "NotAllowed",
      message: expect.stringMatching(message),
    });
    expect(asked).toEqual([]);
  });

  test("that KMS opened by another key than it was asked to gives nothing out", async () => {
    const { asked, identity } = kms({ keyId: replica });
    await expect(openBlob(identity, { ciphertext, keyId: key }, { entry, allowKeyIds })).rejects.toMatchObject({
      reason: "NotAllowed",
      message: `data[2] (LICENSE): key ${replica}, which KMS used, is not allowed: allow.keyIds of its connection does not list it`,
    });
    expect(asked).toHaveLength(1);
  });

  test("cannot be opened by any key where the list is empty", async () => {
    const open = openBlob(kms().identity, { ciphertext, keyId: key }, { entry, allowKeyIds: [] });
    await expect(open).rejects.toMatchObject({ reason: "NotAllowed" });
  });
});

test("a failure of KMS keeps its class and begins with the entry", async () => {
  const failure = new AwsFailure({
    reason: "DecryptFailed",
    next: "stalled",
    message: "AWS KMS in eu-west-1 does not decrypt it",
    code: "InvalidCiphertextException",
    requestId: "r-1",
  });
  await expect(openBlob(kms({ failure }).identity, { ciphertext }, { entry })).rejects.toMatchObject({
    name: "AwsFailure",
    reason: "DecryptFailed",
    next: "stalled",
    code: "InvalidCiphertextException",
    requestId: "r-1",
    message: "data[2] (LICENSE): AWS KMS in eu-west-1 does not decrypt it",
  });
});
