import { afterAll, beforeAll, expect, test } from "vitest";
import { openMessage } from "../../src/ciphertexts/message.ts";
import { rig, specAt } from "../aws/aws-server.ts";
import { startEmulator } from "../emulator/emulator.ts";
import { pythonEncrypt, type ToEncrypt } from "../emulator/encryption-sdk.ts";
import { kmsOf } from "../support/permits.ts";

const aws = await startEmulator({ reads: "memory", quota: "none" });
const made = rig();
let key = "";

beforeAll(async () => {
  key = await aws.createKey();
});
afterAll(async () => {
  made.identities.close();
  await aws.stop();
});

/** Decrypts a message that the Python SDK encrypted. */
async function opened(options: Partial<ToEncrypt>): Promise<string> {
  const [ciphertext] = await pythonEncrypt(aws.url, [{ plain: "the value", keys: [key], ...options }]);
  const rules = {
    region: "eu-west-1",
    binding: undefined,
    owner: { namespace: "shop", name: "checkout" },
    entry: "data[0] (A)",
  };
  const identity = made.identities.get(specAt(aws.url));
  const { plaintext } = await openMessage({ kms: kmsOf(identity) }, { ciphertext: ciphertext!, keyIds: [key] }, rules);
  return Buffer.from(plaintext.reveal()).toString();
}

test.each<[string, Partial<ToEncrypt>]>([
  ["a raw AES key", { raw: ["aes"] }],
  ["a raw AES key that made its data key", { raw: ["aes"], rawFirst: true }],
  ["a raw RSA key", { raw: ["rsa"] }],
  ["a raw RSA key that made its data key", { raw: ["rsa"], rawFirst: true }],
  ["raw keys of both kinds, unsigned", { raw: ["rsa", "aes"], rawFirst: true, suite: 0x0478 }],
])("decrypts a message under a KMS key and %s by the KMS key", async (_, options) => {
  expect(await opened({ context: { team: "shop" }, ...options })).toBe("the value");
});

test("refuses a message under raw keys alone and names the providers of its data keys", async () => {
  await expect(opened({ keys: [], raw: ["aes", "rsa"] })).rejects.toMatchObject({
    reason: "InvalidData",
    message: expect.stringMatching(/has no data key of AWS KMS, only such of raw keys \(shop-hsm\): encrypt it under/),
  });
});
