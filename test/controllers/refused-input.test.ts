import { describe, expect, it } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { makeWorld } from "./world.ts";

/** Input that the API server itself refuses, at the earliest point: the SyncedSecret and its Secret stay unchanged. */

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "refused-input");
const { aws, namespace } = world;
const minute = 60_000;
const key = await aws.createKey();
const ciphertext = await aws.encrypt({ keyId: key, plaintext: "a" });
const rsa = { algorithm: "RSAES_OAEP_SHA_256", keyId: key };

const refusals: [string, entry: object, says: string[]][] = [
  ["a blob that is not base64", { kms: { ciphertext: "sesame!" } }, ["kms.ciphertext must be base64 on one line"]],
  ["a blob that is too large", { kms: { ciphertext: "A".repeat(8_196) } }, ["longer than the 8,192 base64 characters"]],
  [
    "an RSA blob of an impossible length",
    { kms: { ciphertext, ...rsa } },
    ["does not have the length of an RSA ciphertext", "2048, 3072 and 4096"],
  ],
  ["an RSA blob without its key", { kms: { ciphertext, algorithm: rsa.algorithm } }, ["kms.keyId is required"]],
  [
    "a blob with a reserved context name",
    { kms: { ciphertext, encryptionContext: { "keyferry.io/name": "shop" } } },
    ["names under keyferry.io/ are the operator's own"],
  ],
  [
    "a message with a reserved context name",
    { encryptionSDK: { ciphertext: "AgV4", keyIds: [key], encryptionContext: { "keyferry.io/cluster": "x" } } },
    ["names under keyferry.io/ are the operator's own"],
  ],
  [
    "a message with an alias, where ARNs are required",
    { encryptionSDK: { ciphertext: "AgV4", keyIds: [key.replace(/key\/.*/, "alias/shop")] } },
    ["must have ARNs of keys", "not ids or aliases"],
  ],
  [
    "a message that is not base64",
    { encryptionSDK: { ciphertext: "AgV4A" } },
    ["encryptionSDK.ciphertext must be base64"],
  ],
  [
    "a message that is too large",
    { encryptionSDK: { ciphertext: "A".repeat(1_400_004) } },
    ["longer than the limit of 1,400,000 base64 characters"],
  ],
  [
    "a parameter ARN with an unknown partition",
    { parameter: { name: key.replace("arn:aws:kms", "arn:azure:ssm") } },
    ["is not the ARN of a parameter"],
  ],
];

describe("the API server refuses, and the last good Secret is kept:", () => {
  it.each(refusals.map((row, index) => [...row, `refused-${index}`] as const))("%s", async (_, entry, says, name) => {
    await world.apply(name, { data: [{ key: "A", kms: { ciphertext } }] });
    await world.sync();
    expect(await world.data(name)).toEqual({ A: "a" });
    const [before, secret] = [await world.synced(name), await world.secret(name)];
    const { stderr, code } = await cluster.kubectl(
      ["apply", "--server-side", "--field-manager", "a-person", "-f", "-"],
      manifest(name, entry),
    );
    expect(code).toBe(1);
    // The API server repeats the input, which may be a megabyte.
    expect(says.filter((text) => !stderr.includes(text))).toEqual([]);
    await world.pass(6 * minute);
    expect(await world.synced(name)).toEqual(before);
    expect(await world.secret(name)).toEqual(secret);
  });
});

function manifest(name: string, entry: object): string {
  return JSON.stringify({
    apiVersion: "keyferry.io/v1alpha1",
    kind: "SyncedSecret",
    metadata: { name, namespace },
    spec: { connectionRef: { kind: "ClusterAWSConnection", name: namespace }, data: [{ key: "A", ...entry }] },
  });
}
