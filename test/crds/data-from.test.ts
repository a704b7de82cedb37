import { describe } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { dryRunner } from "./dry-run.ts";
import { withSource } from "./manifests.ts";
import { refuses, takes } from "./verdicts.ts";

const dryRun = dryRunner(await sharedCluster());

const document = { parameter: { name: "/shop/env" }, format: "JSON" };
const below = (path: object, entry: object = {}) => withSource({ path: { name: "/shop", ...path }, ...entry });
const levels = (count: number) => "/x".repeat(count);

describe("dataFrom", () => {
  takes(dryRun, {
    "a path": below({}),
    "a path that ends with a slash": below({ name: "/shop/checkout/" }),
    "the path of everything": below({ name: "/", recursive: true }),
    "a path of 15 levels": below({ name: `${levels(15)}/` }),
    "a path with every field": below({
      recursive: true,
      label: "prod",
      types: ["SecureString", "String"],
      tags: { env: "prod", "team:of": "the shop" },
      include: ["^/shop/a"],
      exclude: ["/private/"],
    }),
    "a YAML document": withSource({ ...document, format: "YAML" }),
    "a document at a version": withSource({ ...document, parameter: { name: "/shop/env", version: 3 } }),
    "a message": withSource({ encryptionSDK: { ciphertext: "AgV4" }, format: "Dotenv" }),
    "a StringList": withSource({ ...document, format: "StringList" }),
    "a Dotenv document with allowEmpty": withSource({
      ...document,
      format: "Dotenv",
      allowEmpty: true,
      onConflict: "Override",
    }),
    "rules for keys": below(
      {},
      {
        rename: {
          stripPrefix: "/shop/",
          separator: "",
          case: "Upper",
          rewrite: [{ pattern: "^a(.*)$", replacement: "$1" }],
        },
      },
    ),
    "no rules for keys": below({}, { rename: {} }),
  });
  refuses(dryRun, {
    "empty tags": [below({ tags: {} }), "path.tags", "at least 1"],
    "eleven tags": [
      below({
        tags: Object.fromEntries(
          levels(11)
            .split("/")
            .slice(1)
            .map((x, n) => [x + n, x]),
        ),
      }),
      "at most 10",
    ],
    "a tag without a name": [below({ tags: { "": "v" } }), "path.tags: each name must be 1 to 128 characters long"],
    "a tag without a value": [below({ tags: { env: "" } }), "path.tags: each name must be 1 to 128 characters long"],
    "a tag with a name of 129 characters": [
      below({ tags: { ["k".repeat(129)]: "v" } }),
      "each name must be 1 to 128 characters long",
    ],
    "a tag with a value of 257 characters": [below({ tags: { env: "v".repeat(257) } }), "path.tags"],
    "two sources": [
      withSource({ ...document, path: { name: "/shop" } }),
      "spec.dataFrom[0]",
      "needs exactly one source, path, parameter or encryptionSDK: keep one of them",
    ],
    "no source": [withSource({}), "needs exactly one source, path, parameter or encryptionSDK: add one of them"],
    "a parameter without a format": [
      withSource({ parameter: { name: "/shop/env" } }),
      "spec.dataFrom[0].format",
      "format is required with parameter: JSON, YAML, Dotenv or StringList",
    ],
    "a message without a format": [
      withSource({ encryptionSDK: { ciphertext: "AgV4" } }),
      "spec.dataFrom[0].format",
      "format is required with encryptionSDK",
    ],
    "a message with an alias as its key": [
      withSource({ encryptionSDK: { ciphertext: "AgV4", keyIds: ["alias/shop"] }, format: "JSON" }),
      "not ids or aliases",
    ],
    "a path with a format": [below({}, { format: "JSON" }), "spec.dataFrom[0].format", "remove format"],
    "an unknown format": [
      withSource({ ...document, format: "TOML" }),
      'supported values: "JSON", "YAML", "Dotenv", "StringList"',
    ],
    "a version with a label": [
      withSource({ ...document, parameter: { name: "/shop/env", version: 1, label: "prod" } }),
      "spec.dataFrom[0].parameter.label",
      "version and label cannot be given together",
    ],
    "an empty path": [below({ name: "" }), "path.name must not be empty"],
    "a path with a space": [below({ name: "/shop /x" }), "path.name", "remove the space"],
    "a path with ..": [below({ name: "/shop/../x" }), "path.name must not have .. in it"],
    "a path with //": [below({ name: "/shop//x" }), "path.name must not have // in it"],
    "a path without a leading slash": [below({ name: "shop" }), "path.name must begin with /"],
    "a path of 16 levels": [below({ name: levels(16) }), "path.name has more than 15 levels"],
    "a path with a star": [below({ name: "/shop/*" }), "path.name may have only letters"],
    "a path that contains a label": [below({ name: "/shop:prod" }), "write a label as path.label"],
    "an ARN as path": [
      below({ name: "arn:aws:ssm:eu-west-1:123456789012:parameter/shop" }),
      "path.name must not be an ARN",
      "in data by its ARN",
    ],
    "a path of 1,012 characters": [below({ name: `/${"x".repeat(1_011)}` }), "path.name is longer than the 1,011"],
    "a number as a path's label": [below({ label: "3" }), "path.label", "not beginning with a digit"],
    "an unknown type": [below({ types: ["Secret"] }), 'supported values: "String", "StringList", "SecureString"'],
    "a duplicate type": [below({ types: ["String", "String"] }), "Duplicate value"],
    "an include that is not an RE2 pattern": [below({ include: ["(a"] }), "path.include[0]", "must be an RE2 pattern"],
    "an exclude with look-ahead": [below({ exclude: ["a(?=b)"] }), "path.exclude[0]", "no look-around"],
    "an empty include": [below({ include: [] }), "path.include", "at least 1"],
    "a rewrite with a back reference": [
      below({}, { rename: { rewrite: [{ pattern: "(a)\\1", replacement: "" }] } }),
      "rename.rewrite[0].pattern",
      "no back references",
    ],
    "a rewrite without a replacement": [
      below({}, { rename: { rewrite: [{ pattern: "a" }] } }),
      "replacement: Required",
    ],
    "a pattern of 513 characters": [below({ include: ["a".repeat(513)] }), "path.include[0]", "512"],
    "21 patterns": [below({ include: Array(21).fill("a") }), "path.include", "20"],
    "a separator that is invalid in keys": [
      below({}, { rename: { separator: ":" } }),
      "rename.separator may have only letters",
    ],
    "an unknown case": [below({}, { rename: { case: "Camel" } }), 'supported values: "Upper", "Lower"'],
    "an unknown onConflict": [below({}, { onConflict: "Merge" }), 'supported values: "Fail", "Override"'],
  });
});
