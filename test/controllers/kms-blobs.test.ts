import { afterEach, describe, expect, it } from "vitest";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { importMaterial } from "../support/import-material.ts";
import { encryptOffline } from "../support/openssl.ts";
import { holdTrue, refused, steady, type Trial } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "kms-blobs");
const { aws, namespace } = world;
const minute = 60_000;

afterEach(() => {
  aws.allowAll();
  aws.clearFaults();
});

const kms = (operation: string, input: object) => aws.direct("kms", operation, input as never);
const aliasOf = (arn: string, alias: string) => arn.replace(/key\/.*/, alias);
const idOf = (arn: string) => arn.slice(arn.indexOf("/") + 1);
const publicKey = async (keyId: string) => (await kms("GetPublicKey", { KeyId: keyId })).PublicKey as string;
const context = { team: "shop" };

type Blob = NonNullable<NonNullable<SyncedSecretSpec["data"]>[number]["kms"]>;
const blobOf = (kms: Blob): SyncedSecretSpec => ({ data: [{ key: "B", kms }] });

const key = await aws.createKey({ alias: "alias/shop" });
const other = await aws.createKey();
const seal = (plaintext: string, keyId = key) => aws.encrypt({ keyId, plaintext, context });
const sealed = async (plaintext: string, more: Partial<Blob> = {}): Promise<SyncedSecretSpec> =>
  blobOf({ ciphertext: await seal(plaintext), encryptionContext: context, ...more });

const there = { region: "us-east-1" };
const primary = await aws.createKey({ multiRegion: true }, { account: aws.account, ...there });
await aws.direct(
  "kms",
  "ReplicateKey",
  { KeyId: primary, ReplicaRegion: "eu-west-1" },
  { account: aws.account, ...there },
);
const replica = primary.replace("us-east-1", "eu-west-1");
const lonely = await aws.createKey({ multiRegion: true }, { account: aws.account, ...there });
const foreign = await aws.createKey({}, { account: aws.account, ...there });

const rsa = await Promise.all(["RSA_2048", "RSA_3072", "RSA_4096"].map((spec) => aws.createKey({ spec })));
const signing = await aws.createKey({ spec: "ECC_NIST_P256", usage: "SIGN_VERIFY" });
const signingRsa = await aws.createKey({ spec: "RSA_2048", usage: "SIGN_VERIFY" });

const external = await aws.createKey({ origin: "EXTERNAL" });
const material = await importMaterial(aws, external);

describe("a blob opens", () => {
  const symmetric: [string, () => string | undefined][] = [
    ["without a key", () => undefined],
    ["by its key's id", () => idOf(key)],
    ["by its key's ARN", () => key],
    ["by an alias", () => "alias/shop"],
    ["by an alias's ARN", () => aliasOf(key, "alias/shop")],
  ];
  it.each(symmetric.map((row, index) => [...row, `symmetric-${index}`] as const))("%s", async (_, keyId, name) => {
    const named = keyId();
    await world.apply(name, await sealed("p4ss", named === undefined ? {} : { keyId: named }));
    await world.sync();
    expect(await world.data(name)).toEqual({ B: "p4ss" });
    expect((await world.synced(name)).status!.kmsKeys).toEqual([key]);
    await steady(world, name);
  });

  it("with the algorithm SYMMETRIC_DEFAULT set explicitly", async () => {
    await world.apply("spelt-out", await sealed("p4ss", { algorithm: "SYMMETRIC_DEFAULT" }));
    await world.sync();
    expect(await world.data("spelt-out")).toEqual({ B: "p4ss" });
  });

  const offline = [0, 1, 2].flatMap((size) => (["sha1", "sha256"] as const).map((hash) => ({ size, hash })));
  it.each(offline)("made offline by openssl with $hash and RSA key $size", async ({ size, hash }) => {
    const keyId = rsa[size]!;
    const name = `offline-${size}-${hash}`;
    const ciphertext = encryptOffline(await publicKey(keyId), hash, "from afar");
    const algorithm = hash === "sha1" ? "RSAES_OAEP_SHA_1" : "RSAES_OAEP_SHA_256";
    await world.apply(name, blobOf({ ciphertext, keyId, algorithm }));
    await world.sync();
    expect(await world.data(name)).toEqual({ B: "from afar" });
    expect((await world.synced(name)).status!.kmsKeys).toEqual([keyId]);
  });

  it("with an RSA key named by an alias", async () => {
    await kms("CreateAlias", { AliasName: "alias/rsa", TargetKeyId: rsa[0] });
    const ciphertext = await aws.encrypt({ keyId: rsa[0]!, plaintext: "p", algorithm: "RSAES_OAEP_SHA_256" });
    await world.apply("rsa-alias", blobOf({ ciphertext, keyId: "alias/rsa", algorithm: "RSAES_OAEP_SHA_256" }));
    await world.sync();
    expect(await world.data("rsa-alias")).toEqual({ B: "p" });
  });

  const regions: [string, string | undefined][] = [
    ["without a key", undefined],
    ["by its mrk- id", idOf(primary)],
    ["by its ARN there", primary],
    ["by its replica's ARN here", replica],
  ];
  it.each(regions.map((row, index) => [...row, `multi-${index}`] as const))(
    "from another Region %s, without a call across",
    async (_, keyId, name) => {
      const ciphertext = await aws.encrypt({ keyId: primary, plaintext: "p" }, { account: aws.account, ...there });
      aws.resetCalls();
      await world.apply(name, blobOf({ ciphertext, ...(keyId === undefined ? {} : { keyId }) }));
      await world.sync();
      expect(await world.data(name)).toEqual({ B: "p" });
      expect((await world.synced(name)).status!.kmsKeys).toEqual([replica]);
      expect(new Set(aws.log({ service: "kms" }).map(({ region }) => region))).toEqual(new Set(["eu-west-1"]));
    },
  );

  it("under a key with imported material", async () => {
    await world.apply("imported", await sealed("p", { ciphertext: await seal("p", external), keyId: external }));
    await world.sync();
    expect(await world.data("imported")).toEqual({ B: "p" });
  });

  it("after its key was rotated, as does a newer one", async () => {
    const rotated = await aws.createKey();
    const before = await seal("old", rotated);
    await kms("RotateKeyOnDemand", { KeyId: rotated });
    const data = [
      { key: "OLD", kms: { ciphertext: before, encryptionContext: context } },
      { key: "NEW", kms: { ciphertext: await seal("new", rotated), encryptionContext: context } },
    ];
    await world.apply("rotated", { data });
    await world.sync();
    expect(await world.data("rotated")).toEqual({ OLD: "old", NEW: "new" });
  });
});

const rsaBlob = async (plaintext: string, more: Partial<Blob> = {}): Promise<SyncedSecretSpec> => {
  const ciphertext = await aws.encrypt({ keyId: rsa[0]!, plaintext, algorithm: "RSAES_OAEP_SHA_256" });
  return blobOf({ ciphertext, keyId: rsa[0]!, algorithm: "RSAES_OAEP_SHA_256", ...more });
};

const good = await sealed("a");
const mended = { spec: good, holds: { B: "a" }, mends: () => sealed("b"), becomes: { B: "b" } };
const trials: Record<string, Trial> = {
  "a blob of another key": {
    ...mended,
    breaks: () => sealed("sesame", { keyId: other }),
    reason: "DecryptFailed",
    says: ["data[0] (B)", `another key than ${other} that keyId names`],
  },
  "an alias that points elsewhere, until it is moved back": {
    spec: await sealed("a", { keyId: "alias/shop" }),
    holds: { B: "a" },
    breaks: async () => {
      await kms("UpdateAlias", { AliasName: "alias/shop", TargetKeyId: other });
      return sealed("sesame", { keyId: "alias/shop" });
    },
    reason: "DecryptFailed",
    says: ["data[0] (B)", "alias/shop is an alias, which may have moved", `it leads to ${other} now`],
    mends: () => kms("UpdateAlias", { AliasName: "alias/shop", TargetKeyId: key }),
    becomes: { B: "sesame" },
  },
  "a missing alias": {
    ...mended,
    breaks: () => sealed("sesame", { keyId: "alias/none" }),
    reason: "KeyUnavailable",
    says: ["data[0] (B)", "alias/none", "does not exist: check the alias"],
  },
  "a key of another Region": {
    ...mended,
    breaks: () => sealed("sesame", { keyId: foreign }),
    reason: "InvalidData",
    says: ["data[0] (B)", "is of us-east-1, and its connection of eu-west-1"],
  },
  "a key of another partition": {
    ...mended,
    breaks: () => sealed("sesame", { keyId: key.replace("arn:aws:", "arn:aws-cn:") }),
    reason: "InvalidData",
    says: ["data[0] (B)", "is of the partition aws-cn"],
  },
  "a multi-Region key that has no replica here": {
    ...mended,
    breaks: async () => {
      const ciphertext = await aws.encrypt({ keyId: lonely, plaintext: "sesame" }, { account: aws.account, ...there });
      return blobOf({ ciphertext, keyId: lonely });
    },
    reason: "KeyUnavailable",
    says: ["data[0] (B)", lonely.replace("us-east-1", "eu-west-1"), "replicate the multi-Region key there"],
  },
  "a blob of another Region's key, without a keyId": {
    ...mended,
    breaks: async () =>
      blobOf({
        ciphertext: await aws.encrypt({ keyId: foreign, plaintext: "sesame" }, { account: aws.account, ...there }),
      }),
    reason: "AccessDenied",
    says: ["data[0] (B)", "the key of the ciphertext is not in eu-west-1", "may not kms:Decrypt"],
  },
  "an elliptic-curve key for signing": {
    ...mended,
    breaks: () => sealed("sesame", { keyId: signing }),
    reason: "DecryptFailed",
    says: ["data[0] (B)", signing, "is for SIGN_VERIFY (ECC_NIST_P256) and decrypts nothing"],
  },
  "an RSA key for signing": {
    ...mended,
    breaks: () => rsaBlob("sesame", { keyId: signingRsa }),
    reason: "DecryptFailed",
    says: ["data[0] (B)", signingRsa, "is for SIGN_VERIFY (RSA_2048)"],
  },
  "a key for signing that may not be described": {
    ...mended,
    breaks: () => {
      aws.deny({ action: "kms:DescribeKey" });
      return sealed("sesame", { keyId: signing });
    },
    reason: "DecryptFailed",
    says: ["data[0] (B)", `${signing} cannot decrypt with SYMMETRIC_DEFAULT`],
  },
  "an RSA key without its algorithm": {
    ...mended,
    breaks: () => sealed("sesame", { keyId: rsa[0]! }),
    reason: "DecryptFailed",
    says: ["data[0] (B)", rsa[0]!, "is an RSA key: set algorithm"],
  },
  "a symmetric key with an RSA algorithm": {
    ...mended,
    breaks: () => rsaBlob("sesame", { keyId: key }),
    reason: "DecryptFailed",
    says: ["data[0] (B)", key, "is a symmetric key: leave algorithm out"],
  },
  "the other RSA algorithm, or another RSA key, with the same error": {
    ...mended,
    breaks: () => rsaBlob("sesame", { algorithm: "RSAES_OAEP_SHA_1" }),
    reason: "DecryptFailed",
    says: ["data[0] (B)", "made with another key or algorithm, or is damaged"],
  },
  "an RSA blob without key and algorithm": {
    ...mended,
    breaks: async () => blobOf({ ciphertext: encryptOffline(await publicKey(rsa[0]!), "sha256", "sesame") }),
    // Random bytes may begin unlike any KMS ciphertext; KMS gives the same error for both.
    reason: "DecryptFailed",
    says: ["data[0] (B)", "wrong or the ciphertext is damaged"],
  },
  "a blob that is cut short": {
    ...mended,
    breaks: async () => {
      const bytes = Buffer.from(await seal("sesame"), "base64");
      return blobOf({ ciphertext: bytes.subarray(0, bytes.length - 5).toString("base64"), encryptionContext: context });
    },
    reason: "DecryptFailed",
    says: ["data[0] (B)", "the encryption context is wrong or the ciphertext is damaged: AWS does not tell which"],
  },
  "a key whose imported material was deleted, until the same material is back": {
    spec: good,
    holds: { B: "a" },
    breaks: async () => {
      const ciphertext = await seal("sesame", external);
      await kms("DeleteImportedKeyMaterial", { KeyId: external });
      return blobOf({ ciphertext, encryptionContext: context, keyId: external });
    },
    reason: "KeyUnavailable",
    says: ["data[0] (B)", external, "has no key material: import the same key material again"],
    mends: () => importMaterial(aws, external, undefined, material),
    becomes: { B: "sesame" },
  },
  "a throttle that does not end": {
    ...mended,
    breaks: () => {
      aws.fault({ kind: "throttle", operation: "Decrypt" });
      return sealed("b");
    },
    reason: "Throttled",
    says: ["data[0] (B)", "AWS throttles kms:Decrypt in eu-west-1"],
    mends: async () => aws.clearFaults(),
  },
  "a KMS that is not reachable": {
    ...mended,
    breaks: () => {
      aws.fault({ kind: "503", operation: "Decrypt" });
      return sealed("b");
    },
    reason: "Unreachable",
    says: ["data[0] (B)", "AWS KMS in eu-west-1 answers kms:Decrypt with a server error"],
    mends: async () => aws.clearFaults(),
  },
};
holdTrue(world, trials);

describe("if the connection lists keys", () => {
  const listing = (keyIds: string[]) =>
    world.makeConnection({ allow: { namespaces: { names: [namespace] }, parameters: ["/*"], keyIds } });

  it("a multi-Region key listed for one Region may be named by any", async () => {
    await listing([primary]);
    const ciphertext = await aws.encrypt({ keyId: primary, plaintext: "p" }, { account: aws.account, ...there });
    await world.apply("listed-there", blobOf({ ciphertext, keyId: primary }));
    await world.apply("listed-here", blobOf({ ciphertext, keyId: replica }));
    await world.apply("listed-not", await sealed("p", { keyId: key }));
    await world.sync();
    expect(await world.data("listed-there")).toEqual({ B: "p" });
    expect(await world.data("listed-here")).toEqual({ B: "p" });
    await refused(world, "listed-not", "NotAllowed", [
      "data[0] (B)",
      key,
      "allow.keyIds of its connection does not list",
    ]);
    await world.makeConnection();
    await world.pass(6 * minute, 1);
    expect(await world.data("listed-not")).toEqual({ B: "p" });
  });
});
