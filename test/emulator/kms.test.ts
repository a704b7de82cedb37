import { execFileSync } from "node:child_process";
import { constants, createPublicKey, publicEncrypt, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KMS } from "@aws-sdk/client-kms";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { FakeClock } from "../support/clock.ts";
import { type Emulator, startEmulator } from "./emulator.ts";

let emulator: Emulator;
let kms: KMS;
let elsewhere: KMS;
const clock = new FakeClock();
const secret = Buffer.from("s3cret");
const dayMs = 86_400_000;

beforeAll(async () => {
  emulator = await startEmulator({ reads: "memory", clock });
  kms = new KMS(emulator.config());
  elsewhere = new KMS(emulator.config({ region: "eu-central-1" }));
});
afterAll(() => emulator.stop());
afterEach(() => emulator.allowAll());

let keyId: string;
let blob: Uint8Array;
const context = { team: "shop", stage: "prod" };

beforeEach(async () => {
  keyId = await emulator.createKey();
  blob = (await kms.encrypt({ KeyId: keyId, Plaintext: secret, EncryptionContext: context })).CiphertextBlob!;
});

const decrypt = (more = {}) => kms.decrypt({ CiphertextBlob: blob, EncryptionContext: context, ...more });
const refused = (name: string) => ({ name });

test("Decrypt needs no KeyId for a symmetric ciphertext, and returns the key's ARN", async () => {
  const answer = await decrypt();
  expect(Buffer.from(answer.Plaintext!)).toEqual(secret);
  expect(answer).toMatchObject({ KeyId: keyId, EncryptionAlgorithm: "SYMMETRIC_DEFAULT" });
});

test("Decrypt ignores the order of the encryption context", async () => {
  const answer = await decrypt({ EncryptionContext: { stage: "prod", team: "shop" } });
  expect(Buffer.from(answer.Plaintext!)).toEqual(secret);
});

test("a wrong encryption context and a damaged ciphertext cause the same InvalidCiphertextException", async () => {
  const damaged = Uint8Array.from(blob);
  damaged[damaged.length - 1]! ^= 1;
  const wrong = [
    { EncryptionContext: { team: "Shop", stage: "prod" } },
    { EncryptionContext: { team: "shop" } },
    { EncryptionContext: undefined },
    { CiphertextBlob: damaged },
    { CiphertextBlob: randomBytes(64) },
    { CiphertextBlob: blob.subarray(0, 30) },
  ];
  const seen = await Promise.all(wrong.map((more) => decrypt(more).catch((error) => [error.name, error.message])));
  expect(new Set(seen.map(String))).toEqual(new Set(["InvalidCiphertextException,UnknownError"]));
});

test("a KeyId other than the encrypting key causes an IncorrectKeyException", async () => {
  const other = await emulator.createKey();
  await expect(decrypt({ KeyId: other })).rejects.toMatchObject(refused("IncorrectKeyException"));
  await expect(decrypt({ KeyId: keyId })).resolves.toMatchObject({ KeyId: keyId });
});

test("a missing key causes a NotFoundException, also a key of another region or account", async () => {
  for (const KeyId of [
    "alias/none",
    keyId.replace("eu-west-1", "eu-central-1"),
    "11111111-2222-3333-4444-555555555555",
  ]) {
    await expect(kms.encrypt({ KeyId, Plaintext: secret })).rejects.toMatchObject(refused("NotFoundException"));
  }
  emulator.identity("AKIAOTHER", { account: "999999999999", arn: "arn:aws:iam::999999999999:user/x" });
  const foreign = new KMS(emulator.config({ accessKeyId: "AKIAOTHER" }));
  const id = keyId.slice(keyId.lastIndexOf("/") + 1);
  await expect(foreign.describeKey({ KeyId: id })).rejects.toMatchObject(refused("NotFoundException"));
  await expect(foreign.describeKey({ KeyId: keyId })).resolves.toBeDefined();
});

test("Decrypt denies a ciphertext whose key does not exist in the region", async () => {
  const read = elsewhere.decrypt({ CiphertextBlob: blob, EncryptionContext: context });
  await expect(read).rejects.toMatchObject(refused("AccessDeniedException"));
});

test("rejects plaintexts over 4,096 bytes and ciphertexts over 6,144 bytes", async () => {
  const encrypt = (size: number) => kms.encrypt({ KeyId: keyId, Plaintext: Buffer.alloc(size, 1) });
  await expect(encrypt(4096)).resolves.toBeDefined();
  await expect(encrypt(4097)).rejects.toMatchObject(refused("ValidationException"));
  await expect(decrypt({ CiphertextBlob: Buffer.alloc(6145) })).rejects.toMatchObject(refused("ValidationException"));
});

test("a disabled key rejects every operation until it is enabled again", async () => {
  await kms.disableKey({ KeyId: keyId });
  await expect(decrypt()).rejects.toMatchObject({ name: "DisabledException", message: `${keyId} is disabled.` });
  await expect(kms.encrypt({ KeyId: keyId, Plaintext: secret })).rejects.toMatchObject(refused("DisabledException"));
  await kms.enableKey({ KeyId: keyId });
  await expect(decrypt()).resolves.toBeDefined();
});

test("a key pending deletion rejects use, shows its deletion date, is disabled after cancellation, and is not found once deleted", async () => {
  const { DeletionDate } = await kms.scheduleKeyDeletion({ KeyId: keyId, PendingWindowInDays: 7 });
  expect(DeletionDate!.getTime()).toBe(clock.now() + 7 * dayMs);
  await expect(decrypt()).rejects.toMatchObject(refused("KMSInvalidStateException"));
  const { KeyMetadata } = await kms.describeKey({ KeyId: keyId });
  expect(KeyMetadata).toMatchObject({ KeyState: "PendingDeletion", DeletionDate });
  await kms.cancelKeyDeletion({ KeyId: keyId });
  await expect(decrypt()).rejects.toMatchObject(refused("DisabledException"));
  await kms.scheduleKeyDeletion({ KeyId: keyId, PendingWindowInDays: 7 });
  await clock.advance(7 * dayMs);
  await expect(kms.describeKey({ KeyId: keyId })).rejects.toMatchObject(refused("NotFoundException"));
});

test("a ciphertext from before a key rotation remains decryptable", async () => {
  await kms.rotateKeyOnDemand({ KeyId: keyId });
  expect(Buffer.from((await decrypt()).Plaintext!)).toEqual(secret);
});

test("a dry run reports whether the call is allowed, and never returns the plaintext", async () => {
  await expect(decrypt({ DryRun: true })).rejects.toMatchObject(refused("DryRunOperationException"));
  await kms.disableKey({ KeyId: keyId });
  await expect(decrypt({ DryRun: true })).rejects.toMatchObject(refused("DisabledException"));
});

test("an alias resolves to its key and can be moved; alias/aws/ssm exists by default", async () => {
  const name = `alias/${randomBytes(4).toString("hex")}`;
  await kms.createAlias({ AliasName: name, TargetKeyId: keyId });
  await expect(kms.describeKey({ KeyId: name })).resolves.toMatchObject({ KeyMetadata: { Arn: keyId } });
  await expect(kms.createAlias({ AliasName: name, TargetKeyId: keyId })).rejects.toMatchObject(
    refused("AlreadyExistsException"),
  );
  const other = await emulator.createKey();
  await kms.updateAlias({ AliasName: name, TargetKeyId: other });
  await expect(kms.describeKey({ KeyId: name })).resolves.toMatchObject({ KeyMetadata: { Arn: other } });
  await kms.deleteAlias({ AliasName: name });
  await expect(kms.describeKey({ KeyId: name })).rejects.toMatchObject(refused("NotFoundException"));
  const { Aliases } = await kms.listAliases({});
  expect(Aliases!.map((alias) => alias.AliasName)).toContain("alias/aws/ssm");
});

test("a replica has the id and key material of its primary, and its own region and state", async () => {
  const primary = await emulator.createKey({ multiRegion: true });
  expect(primary).toMatch(/:key\/mrk-[0-9a-f]{32}$/);
  await kms.replicateKey({ KeyId: primary, ReplicaRegion: "eu-central-1" });
  const made = await kms.encrypt({ KeyId: primary, Plaintext: secret });
  const replica = primary.replace("eu-west-1", "eu-central-1");
  await kms.disableKey({ KeyId: primary });
  const read = await elsewhere.decrypt({ CiphertextBlob: made.CiphertextBlob });
  expect(Buffer.from(read.Plaintext!)).toEqual(secret);
  expect(read.KeyId).toBe(replica);
  const id = primary.slice(primary.indexOf("mrk-"));
  await expect(elsewhere.decrypt({ CiphertextBlob: made.CiphertextBlob, KeyId: id })).resolves.toBeDefined();
  const { KeyMetadata } = await elsewhere.describeKey({ KeyId: id });
  expect(KeyMetadata).toMatchObject({
    MultiRegion: true,
    MultiRegionConfiguration: { MultiRegionKeyType: "REPLICA", PrimaryKey: { Arn: primary } },
  });
});

test("a single-Region key cannot be replicated", async () => {
  const replicate = kms.replicateKey({ KeyId: keyId, ReplicaRegion: "eu-central-1" });
  await expect(replicate).rejects.toMatchObject(refused("UnsupportedOperationException"));
});

test("ReEncrypt moves a ciphertext to another key and context without returning the plaintext", async () => {
  const target = await emulator.createKey();
  const answer = await kms.reEncrypt({
    CiphertextBlob: blob,
    SourceEncryptionContext: context,
    DestinationKeyId: target,
    DestinationEncryptionContext: { team: "other" },
  });
  expect(answer).toMatchObject({ SourceKeyId: keyId, KeyId: target });
  const read = await kms.decrypt({ CiphertextBlob: answer.CiphertextBlob, EncryptionContext: { team: "other" } });
  expect(Buffer.from(read.Plaintext!)).toEqual(secret);
});

test("GenerateDataKey returns the ciphertext, and GenerateDataKeyWithoutPlaintext only that", async () => {
  const made = await kms.generateDataKey({ KeyId: keyId, KeySpec: "AES_256", EncryptionContext: context });
  expect(made.Plaintext).toHaveLength(32);
  const read = await decrypt({ CiphertextBlob: made.CiphertextBlob });
  expect(Buffer.from(read.Plaintext!)).toEqual(Buffer.from(made.Plaintext!));
  const without = await kms.generateDataKeyWithoutPlaintext({ KeyId: keyId, NumberOfBytes: 24 });
  expect(without).not.toHaveProperty("Plaintext");
});

test("a key in a custom key store is usable only while the store is connected", async () => {
  const { CustomKeyStoreId } = await kms.createCustomKeyStore({ CustomKeyStoreName: "hsm" });
  const make = () => kms.createKey({ Origin: "AWS_CLOUDHSM", CustomKeyStoreId });
  await expect(make()).rejects.toMatchObject(refused("CustomKeyStoreInvalidStateException"));
  await kms.connectCustomKeyStore({ CustomKeyStoreId });
  const KeyId = (await make()).KeyMetadata!.Arn!;
  const sealed = await kms.encrypt({ KeyId, Plaintext: secret });
  await kms.disconnectCustomKeyStore({ CustomKeyStoreId });
  const again = kms.disconnectCustomKeyStore({ CustomKeyStoreId });
  await expect(again).rejects.toMatchObject(refused("CustomKeyStoreInvalidStateException"));
  const read = () => kms.decrypt({ CiphertextBlob: sealed.CiphertextBlob });
  await expect(read()).rejects.toMatchObject({ name: "KMSInvalidStateException", message: `${KeyId} is unavailable.` });
  const { KeyMetadata } = await kms.describeKey({ KeyId });
  expect(KeyMetadata).toMatchObject({ KeyState: "Unavailable", Origin: "AWS_CLOUDHSM", CustomKeyStoreId });
  await kms.connectCustomKeyStore({ CustomKeyStoreId });
  expect(Buffer.from((await read()).Plaintext!)).toEqual(secret);
  const none = kms.connectCustomKeyStore({ CustomKeyStoreId: "cks-0" });
  await expect(none).rejects.toMatchObject(refused("CustomKeyStoreNotFoundException"));
});

test("imported key material is usable until ValidTo, and a key without material is pending import", async () => {
  const external = await emulator.createKey({ origin: "EXTERNAL" });
  const encrypt = () => kms.encrypt({ KeyId: external, Plaintext: secret });
  await expect(encrypt()).rejects.toMatchObject(refused("KMSInvalidStateException"));
  const { PublicKey, ImportToken } = await kms.getParametersForImport({
    KeyId: external,
    WrappingAlgorithm: "RSAES_OAEP_SHA_256",
    WrappingKeySpec: "RSA_2048",
  });
  const key = createPublicKey({ key: Buffer.from(PublicKey!), format: "der", type: "spki" });
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const EncryptedKeyMaterial = publicEncrypt({ key, padding, oaepHash: "sha256" }, randomBytes(32));
  const ValidTo = new Date(clock.now() + 60_000);
  await kms.importKeyMaterial({ KeyId: external, ImportToken, EncryptedKeyMaterial, ValidTo });
  await expect(encrypt()).resolves.toBeDefined();
  await expect(kms.describeKey({ KeyId: external })).resolves.toMatchObject({ KeyMetadata: { ValidTo } });
  await clock.advance(60_000);
  await expect(encrypt()).rejects.toMatchObject(refused("KMSInvalidStateException"));
});

test("a denial is an AccessDeniedException that names caller, action and key", async () => {
  emulator.deny({ action: "kms:Decrypt", key: keyId });
  await expect(decrypt()).rejects.toMatchObject({
    name: "AccessDeniedException",
    message: `User: arn:aws:iam::123456789012:user/AKIAKEYFERRYTEST is not authorized to perform: kms:Decrypt on resource: ${keyId} because no identity-based policy allows the kms:Decrypt action`,
  });
});

test.each([
  ["RSA_2048", "RSAES_OAEP_SHA_1", "sha1", 256, 214],
  ["RSA_2048", "RSAES_OAEP_SHA_256", "sha256", 256, 190],
  ["RSA_3072", "RSAES_OAEP_SHA_1", "sha1", 384, 342],
  ["RSA_3072", "RSAES_OAEP_SHA_256", "sha256", 384, 318],
  ["RSA_4096", "RSAES_OAEP_SHA_1", "sha1", 512, 470],
  ["RSA_4096", "RSAES_OAEP_SHA_256", "sha256", 512, 446],
] as const)(
  "decrypts a ciphertext made offline for %s by %s, up to the longest plaintext",
  async (spec, algorithm, oaepHash, length, most) => {
    const pair = await emulator.createKey({ spec });
    const { PublicKey, KeySpec } = await kms.getPublicKey({ KeyId: pair });
    expect(KeySpec).toBe(spec);
    const key = createPublicKey({ key: Buffer.from(PublicKey!), format: "der", type: "spki" });
    const plain = Buffer.alloc(most, 7);
    const CiphertextBlob = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, plain);
    expect(CiphertextBlob).toHaveLength(length);
    const read = await kms.decrypt({ KeyId: pair, EncryptionAlgorithm: algorithm, CiphertextBlob });
    expect(Buffer.from(read.Plaintext!)).toEqual(plain);
    const longer = kms.encrypt({ KeyId: pair, EncryptionAlgorithm: algorithm, Plaintext: Buffer.alloc(most + 1) });
    await expect(longer).rejects.toMatchObject(refused("ValidationException"));
  },
);

test("an RSA ciphertext requires key and algorithm, accepts no context, and fails without a reason", async () => {
  const KeyId = await emulator.createKey({ spec: "RSA_2048" });
  const EncryptionAlgorithm = "RSAES_OAEP_SHA_256";
  const { CiphertextBlob } = await kms.encrypt({ KeyId, EncryptionAlgorithm, Plaintext: secret });
  const cases: [object, string][] = [
    [{ EncryptionAlgorithm, CiphertextBlob }, "ValidationException"],
    [{ CiphertextBlob }, "InvalidCiphertextException"],
    [{ KeyId, CiphertextBlob }, "InvalidKeyUsageException"],
    [{ KeyId, EncryptionAlgorithm: "RSAES_OAEP_SHA_1", CiphertextBlob }, "InvalidCiphertextException"],
    [{ KeyId, EncryptionAlgorithm, CiphertextBlob: randomBytes(256) }, "InvalidCiphertextException"],
    [{ KeyId, EncryptionAlgorithm, CiphertextBlob, EncryptionContext: context }, "ValidationException"],
    [{ KeyId: keyId, EncryptionAlgorithm, CiphertextBlob }, "InvalidKeyUsageException"],
  ];
  for (const [input, name] of cases) {
    await expect(kms.decrypt(input as { CiphertextBlob: Uint8Array })).rejects.toMatchObject({ name });
  }
});

test("a signing key cannot encrypt", async () => {
  for (const spec of ["RSA_2048", "ECC_NIST_P256"]) {
    const KeyId = await emulator.createKey({ spec, usage: "SIGN_VERIFY" });
    const encrypt = kms.encrypt({ KeyId, Plaintext: secret, EncryptionAlgorithm: "RSAES_OAEP_SHA_256" });
    await expect(encrypt).rejects.toMatchObject(refused("InvalidKeyUsageException"));
  }
});

test("decrypts what the openssl program encrypts with the public key", async ({ skip }) => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
  } catch {
    skip("openssl is not installed");
  }
  const KeyId = await emulator.createKey({ spec: "RSA_2048" });
  const { PublicKey } = await kms.getPublicKey({ KeyId });
  const folder = mkdtempSync(join(tmpdir(), "keyferry-openssl-"));
  try {
    writeFileSync(join(folder, "key"), PublicKey!);
    writeFileSync(join(folder, "plain"), secret);
    const options = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256"].flatMap((one) => [
      "-pkeyopt",
      one,
    ]);
    const files = ["-inkey", "key", "-in", "plain", "-out", "sealed"];
    execFileSync("openssl", ["pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", ...files, ...options], {
      cwd: folder,
    });
    const CiphertextBlob = readFileSync(join(folder, "sealed"));
    const read = await kms.decrypt({ KeyId, EncryptionAlgorithm: "RSAES_OAEP_SHA_256", CiphertextBlob });
    expect(Buffer.from(read.Plaintext!)).toEqual(secret);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
