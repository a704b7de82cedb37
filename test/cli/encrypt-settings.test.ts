import { describe, expect, test } from "vitest";
import { type EncryptFlags, encryptSettings } from "../../src/cli/encrypt-settings.ts";
import { UsageError } from "../../src/cli/usage.ts";

const arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const flags: EncryptFlags = { key: [arn], dataKey: "PW" };

describe("flags", () => {
  test("with a key make a blob under it", () => {
    expect(encryptSettings(flags, undefined)).toEqual({
      kind: "symmetric",
      keys: [arn],
      algorithm: "SYMMETRIC_DEFAULT",
      context: new Map(),
      bound: new Map(),
      dataKey: "PW",
    });
  });

  test("with a file use its name as the key in the Secret", () => {
    expect(encryptSettings({ key: [arn] }, "/home/me/tls.key").dataKey).toBe("tls.key");
  });

  test("with a binding add the hidden pairs, and name the namespace", () => {
    const bound = { ...flags, bind: "shop/checkout", clusterName: "prod", manifest: "checkout", context: ["a=b=c"] };
    const settings = encryptSettings(bound, undefined);
    expect(Object.fromEntries(settings.context)).toEqual({ a: "b=c" });
    expect([...settings.bound.keys()]).toEqual(["keyferry.io/cluster", "keyferry.io/namespace", "keyferry.io/name"]);
    expect(settings.manifest).toEqual({ name: "checkout", namespace: "shop" });
    const loose = encryptSettings({ ...flags, bind: "shop", clusterName: "prod", manifest: "any" }, undefined);
    expect([...loose.bound.values()]).toEqual(["prod", "shop"]);
  });

  test("with a public key use RSA with SHA-256 offline", () => {
    expect(encryptSettings({ ...flags, publicKey: "key.pem" }, undefined)).toMatchObject({
      kind: "offline",
      algorithm: "RSAES_OAEP_SHA_256",
    });
  });

  const sha1 = "RSAES_OAEP_SHA_1";
  test.each<[string, EncryptFlags, RegExp]>([
    ["no key", { dataKey: "PW" }, /--key is required/],
    ["an invalid key", { ...flags, key: ["hunter2!"] }, /--key must be a KMS key's ARN/],
    ["two keys for a blob", { ...flags, key: [arn, "alias/b"] }, /give --encryption-sdk/],
    ["one key twice", { ...flags, key: [arn, arn], encryptionSdk: true }, /is there twice/],
    [
      "eleven keys",
      { ...flags, key: Array.from({ length: 11 }, (_, at) => `k${at}`), encryptionSdk: true },
      /at most 10/,
    ],
    ["an unknown algorithm", { ...flags, algorithm: "AES" }, /--algorithm must be one of/],
    ["a message by RSA", { ...flags, algorithm: sha1, encryptionSdk: true }, /--encryption-sdk goes with symmetric/],
    ["a message offline", { ...flags, publicKey: "k", encryptionSdk: true }, /--encryption-sdk goes with symmetric/],
    [
      "a public key for a symmetric key",
      { ...flags, publicKey: "k", algorithm: "SYMMETRIC_DEFAULT" },
      /makes RSA-OAEP/,
    ],
    ["a public key of an alias", { ...flags, publicKey: "k", key: ["alias/a"] }, /must be the key's ARN/],
    ["a context for RSA", { ...flags, algorithm: sha1, context: ["a=b"] }, /RSA has no encryption context/],
    [
      "a binding for RSA",
      { ...flags, algorithm: sha1, bind: "a/b", clusterName: "c" },
      /RSA has no encryption context/,
    ],
    ["an invalid context", { ...flags, context: ["hunter2"] }, /--context must be NAME=VALUE/],
    ["a context without a name", { ...flags, context: ["=hunter2"] }, /--context must be NAME=VALUE/],
    ["a duplicate context name", { ...flags, context: ["a=1", "a=2"] }, /one name twice/],
    ["a reserved context name", { ...flags, context: ["keyferry.io/name=x"] }, /give --bind/],
    ["a binding to nothing", { ...flags, bind: "a/b/c", clusterName: "c" }, /--bind must be/],
    ["a binding without a cluster name", { ...flags, bind: "a/b" }, /--bind needs --cluster-name/],
    ["a cluster name without a binding", { ...flags, clusterName: "c" }, /goes with --bind/],
    [
      "a binding to another SyncedSecret",
      { ...flags, bind: "a/b", clusterName: "c", manifest: "x" },
      /names another SyncedSecret/,
    ],
    [
      "a binding to another namespace",
      { ...flags, bind: "a/b", clusterName: "c", manifest: "b", namespace: "z" },
      /names another/,
    ],
    ["a namespace without a manifest", { ...flags, namespace: "a" }, /goes with --manifest/],
    ["an invalid manifest name", { ...flags, manifest: "A b" }, /--manifest must be/],
    ["no key in the Secret", { key: [arn] }, /--data-key is required/],
    ["an invalid Secret key", { ...flags, dataKey: "a/b" }, /--data-key must be a Secret's key/],
  ])("with %s are refused without repeating the value", (_, wrong, says) => {
    const refusal = expect.objectContaining({ message: expect.stringMatching(says) });
    let thrown: unknown;
    try {
      encryptSettings(wrong, undefined);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(UsageError);
    expect(thrown).toEqual(refusal);
    expect((thrown as Error).message).not.toContain("hunter2");
  });
});
