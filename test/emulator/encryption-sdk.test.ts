import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEmulator } from "./emulator.ts";
import { pythonDecrypt, pythonEncrypt } from "./encryption-sdk.ts";

const aws = await startEmulator({ reads: "memory", quota: "none" });
let one = "";
let two = "";

beforeAll(async () => {
  one = await aws.createKey();
  two = await aws.createKey();
});
afterAll(() => aws.stop());

describe("the emulator's KMS, as the Encryption SDK for Python uses it", () => {
  it("generates a data key by GenerateDataKey, encrypts it under the other keys, and decrypts it by Decrypt", async () => {
    aws.resetCalls();
    const context = { team: "shop", ключ: "значение" };
    const [message] = await pythonEncrypt(aws.url, [{ plain: "the value", keys: [one, two], context }]);
    const made = aws.calls({ service: "kms" }).map(({ operation, count }) => [operation, count]);
    expect(Object.fromEntries(made)).toEqual({ GenerateDataKey: 1, Encrypt: 1 });
    for (const key of [one, two]) {
      const read = await pythonDecrypt(aws.url, message!, [key]);
      expect(read.plain).toBe("the value");
      expect(read.context).toMatchObject(context);
    }
    expect(aws.count({ operation: "Decrypt" })).toBe(2);
  });

  it("does not decrypt a data key with another key or another context", async () => {
    const [message] = await pythonEncrypt(aws.url, [{ plain: "v", keys: [one], context: { team: "shop" } }]);
    await expect(pythonDecrypt(aws.url, message!, [two])).rejects.toThrow(/the Python SDK failed/);
    const bytes = Buffer.from(message!, "base64");
    const at = bytes.indexOf("shop");
    bytes[at]! ^= 1;
    await expect(pythonDecrypt(aws.url, bytes.toString("base64"), [one])).rejects.toThrow(/the Python SDK failed/);
  });

  it("refuses a data key while its key is disabled", async () => {
    await aws.direct("kms", "DisableKey", { KeyId: two });
    await expect(pythonEncrypt(aws.url, [{ plain: "v", keys: [two] }])).rejects.toThrow(/unable to generate data key/);
    await aws.direct("kms", "EnableKey", { KeyId: two });
  });
});
