import { describe, expect, test } from "vitest";
import { AwsFailure } from "../../src/aws/failure.ts";
import type { DecryptRequest, KeyDescription, KmsCalls } from "../../src/aws/kms.ts";
import { type BlobRules, checkBlob, openBlob } from "../../src/ciphertexts/kms-blob.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { Sealed } from "../../src/runtime/sealed.ts";

const entry = "data[2] (LICENSE)";
const key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const other = key.replace("1234abcd-", "99999999-");
const ciphertext = Buffer.from([1, 2, 2, 0, 120, 9]).toString("base64");
const rules = (more: Partial<BlobRules> = {}): BlobRules => ({
  region: "eu-west-1",
  owner: { namespace: "shop", name: "checkout" },
  entry,
  ...more,
});

/** A KMS that decrypts everything, with a key that the test chooses. */
function kms(answer: { keyId?: string; failure?: Error; described?: KeyDescription | Error } = {}) {
  const asked: DecryptRequest[] = [];
  const described: string[] = [];
  const port: KmsCalls = {
    async decrypt(request) {
      asked.push(request);
      if (answer.failure) throw answer.failure;
      return { plaintext: Sealed.text("p4ss"), keyId: answer.keyId ?? key };
    },
    async describeKey(keyId) {
      described.push(keyId);
      const { described: is = new Failure("AccessDenied", "wait", "no") } = answer;
      if (is instanceof Error) throw is;
      return is;
    },
  };
  return { asked, described, identity: { kms: port } };
}

describe("a blob", () => {
  test("is decrypted with its key and context, and reports the key that KMS used", async () => {
    const { asked, identity } = kms();
    const encryptionContext = JSON.parse('{"team": "shop", "__proto__": "x"}');
    const opened = await openBlob(identity, { ciphertext, keyId: key, encryptionContext }, rules());
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

  test("of 6,144 bytes is decrypted by any key if the connection lists none", async () => {
    const blob = { ciphertext: Buffer.alloc(6_144, 1).toString("base64") };
    expect((await openBlob(kms().identity, blob, rules())).keyId).toBe(key);
  });

  test.each<[string, string, RegExp]>([
    ["that is not Base64", "AQIC Ag==", /is not base64/],
    ["that is empty", "", /is not base64/],
    ["in Base64URL", "AQIC_w==", /is not base64/],
    ["of more than 6,144 bytes", Buffer.alloc(6_147, 1).toString("base64"), /longer than the 6144 bytes/],
    ["of ten megabytes", "A".repeat(10_000_000), /longer than the 6144 bytes/],
    ["that is a message of the Encryption SDK", Buffer.from([2, 5, 0x78, 1, 1]).toString("base64"), /Encryption SDK/],
    [
      "that is an unsigned message of the Encryption SDK",
      Buffer.from([2, 4, 0x78, 1, 1]).toString("base64"),
      /Encryption SDK/,
    ],
    [
      "that is a version 1 message of the Encryption SDK",
      Buffer.from([1, 0x80, 0x03, 0x78]).toString("base64"),
      /Encryption SDK/,
    ],
  ])("%s is refused before KMS is called", async (_, text, message) => {
    const { asked, identity } = kms();
    await expect(openBlob(identity, { ciphertext: text }, rules())).rejects.toMatchObject({
      reason: "InvalidData",
      next: "stalled",
      message: expect.stringMatching(message),
    });
    await expect(openBlob(identity, { ciphertext: text }, rules())).rejects.toThrow(/^data\[2\] \(LICENSE\): /);
    expect(asked).toEqual([]);
  });

  test("with a reserved context name is refused before KMS is called", async () => {
    const { asked, identity } = kms();
    const blob = { ciphertext, encryptionContext: { team: "shop", "keyferry.io/namespace": "stock" } };
    await expect(openBlob(identity, blob, rules())).rejects.toMatchObject({
      reason: "NotAllowed",
      message: "data[2] (LICENSE): encryptionContext names below keyferry.io/ are the operator's",
    });
    expect(asked).toEqual([]);
  });
});

test("a SecureString's ciphertext is refused before KMS is called, in any case of PARAMETER_ARN", async () => {
  for (const name of ["PARAMETER_ARN", "parameter_arn", "SecretARN", "aws:ebs:id"]) {
    const { asked, identity } = kms();
    const blob = { ciphertext, encryptionContext: { [name]: "arn:aws:ssm:eu-west-1:123456789012:parameter/x" } };
    await expect(openBlob(identity, blob, rules())).rejects.toMatchObject({ reason: "NotAllowed" });
    expect(asked).toEqual([]);
  }
});

describe("if the connection lists keys, a blob", () => {
  const allowKeyIds = [key];

  test("that names a listed key is decrypted", async () => {
    const opened = await openBlob(kms().identity, { ciphertext, keyId: key }, rules({ allowKeyIds }));
    expect(opened.keyId).toBe(key);
  });

  test.each<[string, string | undefined, RegExp]>([
    ["that names no key", undefined, /^data\[2\] \(LICENSE\): kms\.keyId is required: allow\.keyIds/],
    ["that names another key", other, /is not allowed: allow\.keyIds of its connection does not list it/],
    ["that names its key by an alias", "alias/shop", /^data\[2\] \(LICENSE\): key alias\/shop is not allowed/],
    ["that names its key by an id", "1234abcd-12ab-34cd-56ef-1234567890ab", /name the key by its ARN/],
  ])("%s is refused before KMS is called", async (_, keyId, message) => {
    const { asked, identity } = kms();
    const blob = { ciphertext, ...(keyId === undefined ? {} : { keyId }) };
    await expect(openBlob(identity, blob, rules({ allowKeyIds }))).rejects.toMatchObject({
      reason: "NotAllowed",
      message: expect.stringMatching(message),
    });
    expect(asked).toEqual([]);
  });

  test("that KMS decrypted by another key than requested returns no value", async () => {
    const { asked, identity } = kms({ keyId: other });
    await expect(openBlob(identity, { ciphertext, keyId: key }, rules({ allowKeyIds }))).rejects.toMatchObject({
      reason: "NotAllowed",
      message: `data[2] (LICENSE): key ${other}, which KMS used, is not allowed: allow.keyIds of its connection does not list it`,
    });
    expect(asked).toHaveLength(1);
  });

  test("is not decrypted by any key if the list is empty", async () => {
    for (const blob of [{ ciphertext, keyId: key }, { ciphertext }]) {
      const { asked, identity } = kms();
      await expect(openBlob(identity, blob, rules({ allowKeyIds: [] }))).rejects.toMatchObject({
        reason: "NotAllowed",
        message: expect.stringMatching(/list the ARNs of keys in its allow\.keyIds, or set its binding\.scope$/),
      });
      expect(asked).toEqual([]);
    }
  });
});

test("a failure of KMS keeps its class, and its message begins with the entry", async () => {
  const failure = new AwsFailure({
    reason: "DecryptFailed",
    next: "stalled",
    message: "AWS KMS in eu-west-1 does not decrypt it",
    code: "InvalidCiphertextException",
    requestId: "r-1",
  });
  await expect(openBlob(kms({ failure }).identity, { ciphertext }, rules())).rejects.toMatchObject({
    name: "AwsFailure",
    reason: "DecryptFailed",
    next: "stalled",
    code: "InvalidCiphertextException",
    requestId: "r-1",
    message:
      "data[2] (LICENSE): AWS KMS in eu-west-1 does not decrypt it; what keyferry encrypt --bind made opens only with spec.binding of its connection",
  });
});

describe("a key of", () => {
  const mrk = "arn:aws:kms:us-east-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab";
  const asked = (keyId: string, region = "eu-west-1") =>
    checkBlob({ ciphertext, keyId }, rules({ region })).request.keyId;

  test.each<[string, string, string]>([
    [
      "several Regions, by its ARN in another Region, becomes the replica here",
      mrk,
      mrk.replace("us-east-1", "eu-west-1"),
    ],
    [
      "several Regions, by its id, is requested unchanged",
      "mrk-1234abcd12ab34cd56ef1234567890ab",
      "mrk-1234abcd12ab34cd56ef1234567890ab",
    ],
    ["this Region is requested unchanged", key, key],
    ["this Region, by an alias, is requested unchanged", "alias/shop/db", "alias/shop/db"],
    [
      "this Region, by an alias's ARN, is requested unchanged",
      key.replace(/key\/.*/, "alias/shop"),
      key.replace(/key\/.*/, "alias/shop"),
    ],
  ])("%s", (_, keyId, is) => {
    expect(asked(keyId)).toBe(is);
  });

  test.each<[string, string, string, RegExp]>([
    [
      "another Region",
      key.replace("eu-west-1", "us-east-1"),
      "eu-west-1",
      /is of us-east-1, and its connection of eu-west-1/,
    ],
    [
      "another Region, by an alias's ARN",
      "arn:aws:kms:us-east-1:123456789012:alias/shop",
      "eu-west-1",
      /name an alias that is there/,
    ],
    [
      "another partition",
      key.replace("arn:aws:", "arn:aws-cn:"),
      "eu-west-1",
      /of the partition aws-cn, and its connection of aws:/,
    ],
    [
      "another partition and several Regions",
      mrk,
      "us-gov-west-1",
      /of the partition aws, and its connection of aws-us-gov/,
    ],
    ["an invalid name: an ARN of another service", "arn:aws:iam::123456789012:role/x", "eu-west-1", /is no key/],
    ["an invalid name: text with a space", "my key", "eu-west-1", /is no key/],
  ])("%s is refused before KMS is called", (_, keyId, region, message) => {
    expect(() => asked(keyId, region)).toThrow(
      expect.objectContaining({ reason: "InvalidData", next: "wait", message: expect.stringMatching(message) }),
    );
  });

  test("several Regions that is listed for one Region is allowed as its replica in another", async () => {
    const here = mrk.replace("us-east-1", "eu-west-1");
    const listed = rules({ allowKeyIds: [mrk] });
    const opened = await openBlob(kms({ keyId: here }).identity, { ciphertext, keyId: here }, listed);
    expect(opened.keyId).toBe(here);
  });
});

describe("an RSA ciphertext", () => {
  const algorithm = "RSAES_OAEP_SHA_256";
  const bytes = (size: number) => Buffer.alloc(size, 7).toString("base64");

  test.each([256, 384, 512])("of %i bytes is requested with its algorithm and without a context", async (size) => {
    const { asked, identity } = kms();
    await openBlob(identity, { ciphertext: bytes(size), keyId: key, algorithm }, rules());
    expect(asked[0]).toMatchObject({ algorithm, keyId: key, encryptionContext: new Map() });
  });

  test.each([
    [1, 0x80],
    [2, 5, 0x78],
  ])("is accepted even if it begins like a message", (...beginning) => {
    const random = Buffer.alloc(256, 7);
    random.set(beginning);
    const ready = checkBlob({ ciphertext: random.toString("base64"), keyId: key, algorithm }, rules());
    expect(ready.request.ciphertext).toEqual(random);
  });

  test("is reported as a message if its length is not one of RSA's", () => {
    const sdk = Buffer.from([2, 5, 0x78, 9]).toString("base64");
    expect(() => checkBlob({ ciphertext: sdk, keyId: key, algorithm }, rules())).toThrow(/give it as encryptionSDK/);
  });

  test.each<[string, object, RegExp]>([
    ["without a key", { ciphertext: bytes(256) }, /kms\.keyId is required with algorithm RSAES_OAEP_SHA_256/],
    [
      "with a context",
      { ciphertext: bytes(256), keyId: key, encryptionContext: { a: "b" } },
      /does not go with algorithm/,
    ],
    [
      "that is cut short",
      { ciphertext: bytes(255), keyId: key },
      /has 255 bytes, and what .* makes has 256, 384 or 512/,
    ],
    ["that is too long", { ciphertext: bytes(513), keyId: key }, /has 513 bytes/],
  ])("%s is refused before KMS is called", async (_, blob, message) => {
    const { asked, identity } = kms();
    await expect(openBlob(identity, { algorithm, ciphertext: "", ...blob }, rules())).rejects.toMatchObject({
      reason: "InvalidData",
      next: "stalled",
      message: expect.stringMatching(message),
    });
    expect(asked).toEqual([]);
  });
});

describe("with binding, a blob", () => {
  const binding = { scope: "Name", cluster: "prod", allowUnbound: false } as const;
  const pairs = new Map([
    ["team", "shop"],
    ["keyferry.io/cluster", "prod"],
    ["keyferry.io/namespace", "shop"],
    ["keyferry.io/name", "checkout"],
  ]);
  const encryptionContext = { team: "shop" };

  test("is decrypted with the binding context and its own context", async () => {
    const { asked, identity } = kms();
    await openBlob(identity, { ciphertext, encryptionContext }, rules({ binding }));
    expect(asked[0]!.encryptionContext).toEqual(pairs);
  });

  test("of RSA is refused, unless unbound is allowed", async () => {
    const blob = {
      ciphertext: Buffer.alloc(256).toString("base64"),
      keyId: key,
      algorithm: "RSAES_OAEP_SHA_1",
    } as const;
    expect(() => checkBlob(blob, rules({ binding }))).toThrow(
      expect.objectContaining({ reason: "NotAllowed", message: expect.stringMatching(/has no encryption context/) }),
    );
    const moving = rules({ binding: { ...binding, allowUnbound: true } });
    expect(checkBlob({ ...blob, bound: false }, moving).bound.size).toBe(0);
    expect(() => checkBlob(blob, moving)).toThrow(/has no encryption context/);
  });

  test("that KMS refuses is reported as possibly bound to another owner", async () => {
    const failure = failureOf("InvalidCiphertextException");
    await expect(openBlob(kms({ failure }).identity, { ciphertext }, rules({ binding }))).rejects.toMatchObject({
      next: "stalled",
      message: `${entry}: said; its connection's binding is on and adds the encryption context keyferry.io/cluster=prod, keyferry.io/namespace=shop, keyferry.io/name=checkout: what was encrypted for another cluster, namespace or name, or without it, does not open here`,
    });
  });
});

describe("a blob that KMS refuses", () => {
  const sign: KeyDescription = { arn: key, state: "Enabled", usage: "SIGN_VERIFY", spec: "ECC_NIST_P256" };
  const usable: KeyDescription = { arn: other, state: "Enabled", usage: "ENCRYPT_DECRYPT", spec: "SYMMETRIC_DEFAULT" };
  const rsa = { ciphertext: Buffer.alloc(256, 7).toString("base64"), algorithm: "RSAES_OAEP_SHA_1" } as const;

  test.each<[string, object, string, KeyDescription | undefined, string, RegExp]>([
    [
      "by an alias that has moved",
      { keyId: "alias/shop" },
      "IncorrectKey",
      usable,
      "wait",
      /alias\/shop is an alias, which may have moved to another key since: it leads to arn.*99999999.* now; name the key/,
    ],
    [
      "by an alias, if describing the key is denied",
      { keyId: "alias/shop" },
      "IncorrectKey",
      undefined,
      "wait",
      /kms:DescribeKey, where it is allowed, tells where/,
    ],
    ["by another key", { keyId: key }, "IncorrectKey", usable, "stalled", /said$/],
    ["by an RSA key's alias", { ...rsa, keyId: "alias/shop" }, "InvalidCiphertext", usable, "wait", /may have moved/],
    [
      "by a key that signs",
      { keyId: key },
      "InvalidKeyUsage",
      sign,
      "stalled",
      /is for SIGN_VERIFY \(ECC_NIST_P256\) and decrypts nothing/,
    ],
    [
      "by an alias of a key that signs",
      { keyId: "alias/shop" },
      "InvalidKeyUsage",
      sign,
      "wait",
      /the KMS key alias\/shop \(arn:.*\) is for SIGN_VERIFY/,
    ],
    [
      "by an RSA key without its algorithm",
      { keyId: key },
      "InvalidKeyUsage",
      { ...usable, spec: "RSA_2048" },
      "stalled",
      /is an RSA key: set algorithm/,
    ],
    [
      "by a symmetric key with an algorithm",
      { ...rsa, keyId: key },
      "InvalidKeyUsage",
      usable,
      "stalled",
      /is a symmetric key: leave algorithm out/,
    ],
    ["by an SM2 key", { keyId: key }, "InvalidKeyUsage", { ...usable, spec: "SM2" }, "stalled", /is of the kind SM2/],
    ["by a key, if describing it is denied", { keyId: key }, "InvalidKeyUsage", undefined, "stalled", /said$/],
    [
      "without an algorithm, though it has the length of RSA's",
      { ciphertext: rsa.ciphertext },
      "InvalidCiphertext",
      undefined,
      "stalled",
      /if an RSA key made it, give its keyId and algorithm$/,
    ],
  ])("%s is explained", async (_, blob, code, described, next, message) => {
    const { identity } = kms({ failure: failureOf(`${code}Exception`), ...(described ? { described } : {}) });
    await expect(openBlob(identity, { ciphertext, ...blob }, rules())).rejects.toMatchObject({
      next,
      message: expect.stringMatching(message),
    });
  });

  test.each(["AccessDenied", "Disabled", "KMSInvalidState", "InvalidCiphertext", "Throttling"])(
    "for %s does not cause DescribeKey",
    async (code) => {
      const { described, identity } = kms({ failure: failureOf(`${code}Exception`), described: usable });
      await expect(openBlob(identity, { ciphertext, keyId: "alias/shop" }, rules())).rejects.toThrow();
      expect(described).toEqual([]);
    },
  );
});

function failureOf(code: string): AwsFailure {
  return new AwsFailure({ reason: "DecryptFailed", next: "stalled", message: "said", code });
}
