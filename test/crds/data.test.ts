import { describe, expect, test } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { dryRunner, type Manifest } from "./dry-run.ts";
import { syncedSecret, withEntry, withName } from "./manifests.ts";
import { refuses, takes } from "./verdicts.ts";

const dryRun = dryRunner(await sharedCluster());

const levels = (count: number) => "/x".repeat(count);
const arn = (rest: string) => `arn:aws:ssm:eu-west-1:123456789012:parameter/${rest}`;
const db = { parameter: { name: "/shop/db" } };
const key = "arn:aws:kms:eu-west-1:123456789012:key/0a1b";

const names: Record<string, string> = {
  "a name with a path": "/shop/checkout/db",
  "a name without a slash": "db",
  "a name with every allowed character": "/a-Z_0.9/x",
  "a public parameter": "/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/x86_64/standard/recommended/image_id",
  "a name of 15 levels": levels(15),
  "a name of 1,011 characters": `/${"x".repeat(1_010)}`,
  "an ARN": arn("shop/db"),
  "an ARN of a name of 15 levels": arn(levels(15).slice(1)),
  "an ARN of a name without a slash": arn("db"),
  "an ARN of a public parameter, which has no account": "arn:aws:ssm:eu-west-1::parameter/aws/service/x",
  ...Object.fromEntries(
    ["aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"].map((partition) => [
      `an ARN of the partition ${partition}`,
      arn("shop/db").replace("arn:aws:", `arn:${partition}:`),
    ]),
  ),
};

const badNames: Record<string, [name: string, says: string]> = {
  "an empty name": ["", "must not be empty"],
  "a name with a space": ["/shop/d b", "space in it: remove the space"],
  "a name with a trailing line break": ["/shop/db\n", "remove the space"],
  "a name with ..": ["/shop/../db", "must not have .. in it"],
  "a name with //": ["/shop//db", "must not have // in it"],
  "a name of 16 levels": [levels(16), "more than 15 levels"],
  "a name that ends with a slash": ["/shop/", "dataFrom[].path"],
  "a name with a slash but no leading slash": ["shop/db", "must begin with /"],
  "a name with a non-ASCII letter": ["/shop/dé", "only letters, digits, _, ., - and /"],
  "a name with a star": ["/shop/*", "only letters, digits, _, ., - and /"],
  "a name that contains a version": ["/shop/db:3", "as version (a number) or label (a label)"],
  "a name that contains a label": ["/shop/db:prod", "as version (a number) or label (a label)"],
  "a name of 1,012 characters": [`/${"x".repeat(1_011)}`, "longer than the 1,011 characters"],
  "an ARN of another service": ["arn:aws:s3:eu-west-1:123456789012:parameter/db", "is not the ARN of a parameter"],
  "an ARN of another partition": ["arn:azure:ssm:eu-west-1:123456789012:parameter/db", "is not the ARN of a parameter"],
  "an ARN without an account": ["arn:aws:ssm:eu-west-1::parameter/db", "is not the ARN of a parameter"],
  "an ARN with a bad account": ["arn:aws:ssm:eu-west-1:1234:parameter/db", "is not the ARN of a parameter"],
  "a truncated ARN": ["arn:aws:ssm:eu-west-1:123456789012", "is not the ARN of a parameter"],
  "an ARN with nothing after parameter/": [arn(""), "is not the ARN of a parameter"],
  "an ARN that contains a version": [arn("shop/db:3"), "after its ARN"],
  "an ARN of a name of 16 levels": [arn(levels(16).slice(1)), "more than 15 levels"],
  "an ARN with a star": [arn("shop/*"), "after parameter/"],
  "an ARN with a space": [arn("sh op"), "remove the space"],
};

describe("a parameter's name", () => {
  for (const [sentence, name] of Object.entries(names)) {
    test(`may be ${sentence}`, async () => {
      for (const manifest of withName(name)) expect(await dryRun(manifest)).toEqual({ accepted: true });
    });
  }
  for (const [sentence, [name, says]] of Object.entries(badNames)) {
    test(`may not be ${sentence}`, async () => {
      for (const manifest of withName(name)) {
        const verdict = await dryRun(manifest);
        const { message } = verdict as { message: string };
        expect(message).toContain("parameter.name");
        expect(message).toContain(says);
        // One fault, one sentence: a second message would send the reader astray.
        expect(message.match(/Invalid value/g)).toHaveLength(1);
      }
    });
  }
});

function rsaBlob(bytes: number) {
  return { ciphertext: Buffer.alloc(bytes).toString("base64"), keyId: key, algorithm: "RSAES_OAEP_SHA_256" };
}

const accepted: Record<string, Manifest> = {
  "a version": withEntry({ parameter: { name: "/shop/db", version: 3 } }),
  "a label": withEntry({ parameter: { name: "/shop/db", label: "prod-1.0_x" } }),
  "a blob": withEntry({ kms: { ciphertext: "AQICAHh=", keyId: key, encryptionContext: { team: "shop" } } }),
  "a blob of 8,192 characters": withEntry({ kms: { ciphertext: "A".repeat(8_192) } }),
  "a blob pinned to an alias": withEntry({ kms: { ciphertext: "AQIC", keyId: "alias/shop/db" } }),
  "a blob pinned to an alias's ARN": withEntry({ kms: { ciphertext: "AQIC", keyId: key.replace("key/", "alias/") } }),
  "a blob pinned to a key id": withEntry({ kms: { ciphertext: "AQIC", keyId: "mrk-0a1b" } }),
  "a blob of a 2048-bit RSA key": withEntry({ kms: rsaBlob(256) }),
  "a blob of a 3072-bit RSA key": withEntry({ kms: rsaBlob(384) }),
  "a blob of a 4096-bit RSA key": withEntry({ kms: rsaBlob(512) }),
  "an RSA blob with an empty context": withEntry({ kms: { ...rsaBlob(256), encryptionContext: {} } }),
  "the symmetric algorithm without a key": withEntry({ kms: { ciphertext: "AQIC", algorithm: "SYMMETRIC_DEFAULT" } }),
  "an unbound blob": withEntry({ kms: { ciphertext: "AQIC", bound: false } }),
  "jmesPath and decode": withEntry({ ...db, jmesPath: "user.name", decode: "Base64URL" }),
  "jmesPath on a blob": withEntry({ kms: { ciphertext: "AQIC" }, jmesPath: "user", decode: "None" }),
  "a message": withEntry({ encryptionSDK: { ciphertext: "AgV4" } }),
  "a message with keys and an encryption context": withEntry({
    encryptionSDK: { ciphertext: "AgV4", keyIds: [key, key], encryptionContext: { team: "shop" }, bound: false },
    jmesPath: "user",
  }),
  "a message of 1,400,000 characters": withEntry({ encryptionSDK: { ciphertext: "A".repeat(1_400_000) } }),
  optional: withEntry({ ...db, optional: true }),
  "an empty default": withEntry({ ...db, default: "" }),
  "a key with every allowed character": withEntry({ ...db, key: "-._aZ09" }),
  "a key with a leading dot": withEntry({ ...db, key: ".dockerconfigjson" }),
  "a key of 253 characters": withEntry({ ...db, key: "x".repeat(253) }),
};

const refused: Record<string, [manifest: Manifest, ...says: string[]]> = {
  "two sources": [
    withEntry({ ...db, kms: { ciphertext: "AQIC" } }),
    "spec.data[0]",
    "data entry DB needs exactly one source, parameter, kms or encryptionSDK: keep one of them",
  ],
  "no source": [
    withEntry({}),
    "data entry DB needs exactly one source, parameter, kms or encryptionSDK: add one of them",
  ],
  "a version with a label": [
    withEntry({ parameter: { name: "/shop/db", version: 3, label: "prod" } }),
    "spec.data[0].parameter.label",
    "version and label cannot be given together: keep version",
  ],
  "a version of 0": [withEntry({ parameter: { name: "/shop/db", version: 0 } }), "parameter.version", "equal to 1"],
  "a number as a label": [
    withEntry({ parameter: { name: "/shop/db", label: "3" } }),
    "parameter.label",
    "write a number as version",
  ],
  "a label reserved by AWS": [
    withEntry({ parameter: { name: "/shop/db", label: "AWSx" } }),
    "not beginning with a digit, aws or ssm",
  ],
  "an empty label": [withEntry({ parameter: { name: "/shop/db", label: "" } }), "must be a parameter's label"],
  "an empty key": [withEntry({ ...db, key: "" }), "spec.data[0].key", "letters, digits, -, _ and . only, at least one"],
  "a key with a slash": [withEntry({ ...db, key: "a/b" }), "letters, digits, -, _ and . only"],
  "the key .": [withEntry({ ...db, key: "." }), "not . alone"],
  "the key ..": [withEntry({ ...db, key: ".." }), "not beginning with .."],
  "a key that begins with ..": [withEntry({ ...db, key: "..data" }), "not beginning with .."],
  "a key of 254 characters": [withEntry({ ...db, key: "x".repeat(254) }), "spec.data[0].key", "253"],
  "a duplicate key": [
    syncedSecret({
      data: [
        { key: "DB", ...db },
        { key: "DB", ...db },
      ],
    }),
    "spec.data[1]",
    "Duplicate value",
  ],
  "a message together with a blob": [
    withEntry({ kms: { ciphertext: "AQIC" }, encryptionSDK: { ciphertext: "AgV4" } }),
    "keep one of them",
  ],
  "an empty message": [withEntry({ encryptionSDK: { ciphertext: "" } }), "encryptionSDK.ciphertext", "at least 1"],
  "a message without its padding": [
    withEntry({ encryptionSDK: { ciphertext: "AgV4A" } }),
    "encryptionSDK.ciphertext must be base64",
  ],
  "a message of 1,400,004 characters": [
    withEntry({ encryptionSDK: { ciphertext: "A".repeat(1_400_004) } }),
    "encryptionSDK.ciphertext is longer than the limit of 1,400,000",
  ],
  "a message with an alias as its key": [
    withEntry({ encryptionSDK: { ciphertext: "AgV4", keyIds: [key.replace("key/", "alias/")] } }),
    "spec.data[0].encryptionSDK.keyIds[0]",
    "not ids or aliases",
  ],
  "a message with a key id as its key": [
    withEntry({ encryptionSDK: { ciphertext: "AgV4", keyIds: ["mrk-0a1b"] } }),
    "must have ARNs of keys",
  ],
  "a message with an empty list of keys": [
    withEntry({ encryptionSDK: { ciphertext: "AgV4", keyIds: [] } }),
    "keyIds",
    "at least 1",
  ],
  "a message with 11 keys": [
    withEntry({ encryptionSDK: { ciphertext: "AgV4", keyIds: Array(11).fill(key) } }),
    "keyIds",
    "at most 10",
  ],
  "a message with a reserved name in its encryption context": [
    withEntry({ encryptionSDK: { ciphertext: "AgV4", encryptionContext: { "keyferry.io/name": "shop" } } }),
    "encryptionSDK.encryptionContext",
    "names under keyferry.io/ are the operator's own",
  ],
  "optional for a message": [
    withEntry({ encryptionSDK: { ciphertext: "AgV4" }, optional: true }),
    "spec.data[0].optional",
    "remove optional",
  ],
  "optional for a blob": [
    withEntry({ kms: { ciphertext: "AQIC" }, optional: true }),
    "spec.data[0].optional",
    "remove optional",
  ],
  "default for a blob": [
    withEntry({ kms: { ciphertext: "AQIC" }, default: "x" }),
    "spec.data[0].default",
    "remove default",
  ],
  "optional together with default": [
    withEntry({ ...db, optional: true, default: "x" }),
    "spec.data[0].default",
    "keep one of them",
  ],
  "an unknown decoding": [
    withEntry({ ...db, decode: "Hex" }),
    "decode",
    'supported values: "None", "Base64", "Base64URL"',
  ],
  "an empty jmesPath": [withEntry({ ...db, jmesPath: "" }), "jmesPath", "at least 1"],
  "a jmesPath of 1,025 characters": [withEntry({ ...db, jmesPath: "a".repeat(1_025) }), "jmesPath", "1024"],
  "a blob that is not base64": [withEntry({ kms: { ciphertext: "AQ-_" } }), "kms.ciphertext", "must be base64"],
  "a blob with a line break": [withEntry({ kms: { ciphertext: "AQIC\n" } }), "kms.ciphertext", "line breaks"],
  "a blob without its padding": [withEntry({ kms: { ciphertext: "AQICA" } }), "kms.ciphertext", "padding"],
  "an empty blob": [withEntry({ kms: { ciphertext: "" } }), "kms.ciphertext", "must be base64"],
  "a blob of 8,196 characters": [
    withEntry({ kms: { ciphertext: "A".repeat(8_196) } }),
    "kms.ciphertext",
    "put the value into a parameter instead",
  ],
  "a key ARN of another service": [
    withEntry({ kms: { ciphertext: "AQIC", keyId: "arn:aws:iam::123456789012:role/x" } }),
    "kms.keyId",
    "alias/NAME",
  ],
  "a key ARN without the key": [
    withEntry({ kms: { ciphertext: "AQIC", keyId: "arn:aws:kms:eu-west-1:123456789012:0a1b" } }),
    "kms.keyId",
  ],
  "a bare key/ID": [withEntry({ kms: { ciphertext: "AQIC", keyId: "key/0a1b" } }), "kms.keyId"],
  "an RSA blob without a key": [
    withEntry({ kms: { ...rsaBlob(256), keyId: undefined } }),
    "spec.data[0].kms.keyId",
    "kms.keyId is required with an RSA algorithm",
  ],
  "an RSA blob with a context": [
    withEntry({ kms: { ...rsaBlob(256), encryptionContext: { team: "shop" } } }),
    "spec.data[0].kms.encryptionContext",
    "is not supported with an RSA algorithm",
  ],
  ...Object.fromEntries(
    [255, 257, 383, 385, 511, 513].map((bytes) => [
      `an RSA blob of ${bytes} bytes`,
      [
        withEntry({ kms: rsaBlob(bytes) }),
        "spec.data[0].kms.ciphertext",
        "does not have the length of an RSA ciphertext",
      ] as const,
    ]),
  ),
  "a signing algorithm": [
    withEntry({ kms: { ...rsaBlob(256), algorithm: "RSASSA_PSS_SHA_256" } }),
    "kms.algorithm",
    'supported values: "SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"',
  ],
  "an encryption context with a reserved name": [
    withEntry({ kms: { ciphertext: "AQIC", encryptionContext: { "keyferry.io/namespace": "shop" } } }),
    "kms.encryptionContext",
    "names under keyferry.io/ are the operator's own",
  ],
  "an encryption context without a name": [
    withEntry({ kms: { ciphertext: "AQIC", encryptionContext: { "": "x" } } }),
    "kms.encryptionContext",
    "1 to 256 characters",
  ],
  "neither data nor dataFrom": [syncedSecret({}), "spec.data or spec.dataFrom", "at least one entry"],
  "empty data and dataFrom": [syncedSecret({ data: [], dataFrom: [] }), "at least one entry"],
  "an unknown source": [withEntry({ secret: { name: "x" } }), "unknown field", "spec.data[0].secret"],
};

describe("data", () => {
  takes(dryRun, accepted);
  refuses(dryRun, refused);
});

// It may be megabytes, and what a person gave by mistake may be the value itself.
describe("the refusal does not repeat a ciphertext", () => {
  const keyIds = ["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"];
  const message = (ciphertext: string) => ({ encryptionSDK: { ciphertext, keyIds } });
  const rows: [string, Manifest, string][] = [
    [
      "of a blob that is too long",
      withEntry({ kms: { ciphertext: "hunter2/".repeat(1_025) } }),
      "8,192 base64 characters",
    ],
    ["of a blob that is not base64", withEntry({ kms: { ciphertext: "hunter2!" } }), "must be base64"],
    ["of a blob that is far too long", withEntry({ kms: { ciphertext: "hunter2/".repeat(4_000) } }), "16384 bytes"],
    ["of a message that is too long", withEntry(message("hunter2/".repeat(175_001))), "1,400,000 base64 characters"],
    ["of a message that is not base64", withEntry(message("hunter2")), "must be base64"],
    [
      "of a document",
      syncedSecret({ dataFrom: [{ ...message("hunter2"), format: "JSON" }] }),
      "spec.dataFrom[0].encryptionSDK.ciphertext",
    ],
  ];
  test.each(rows)("%s", async (_, manifest, says) => {
    const verdict = await dryRun(manifest);
    const said = verdict.accepted ? "accepted" : verdict.message;
    expect(said).toContain(says);
    expect(said).not.toContain("hunter2");
    expect(said.length).toBeLessThan(1_000);
  });
});
