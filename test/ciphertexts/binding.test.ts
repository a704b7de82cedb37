import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Binding, boundPairs, pairsFor, refuseReserved } from "../../src/ciphertexts/binding.ts";

const owner = { namespace: "shop", name: "checkout" };
const entry = "data[2] (LICENSE)";
const binding = (scope: Binding["scope"], allowUnbound = false): Binding => ({ scope, cluster: "prod", allowUnbound });

describe("a ciphertext must carry", () => {
  test.each<[string, Binding | undefined, boolean | undefined, [string, string][]]>([
    ["nothing where the connection has no binding", undefined, undefined, []],
    ["nothing where its scope is None, whatever the entry says", binding("None"), false, []],
    [
      "cluster and namespace where its scope is Namespace",
      binding("Namespace"),
      undefined,
      [
        ["keyferry.io/cluster", "prod"],
        ["keyferry.io/namespace", "shop"],
      ],
    ],
    [
      "the name too where its scope is Name",
      binding("Name", true),
      true,
      [
        ["keyferry.io/cluster", "prod"],
        ["keyferry.io/namespace", "shop"],
        ["keyferry.io/name", "checkout"],
      ],
    ],
    ["nothing where the entry is unbound and may be", binding("Name", true), false, []],
  ])("%s", (_, given, bound, pairs) => {
    expect([...pairsFor(given, bound, owner, entry)]).toEqual(pairs);
  });
});

test("an entry that is unbound and may not be is refused, with the context that it has to get", () => {
  expect(() => pairsFor(binding("Namespace"), false, owner, entry)).toThrow(
    expect.objectContaining({
      reason: "NotAllowed",
      next: "wait",
      message: expect.stringMatching(
        /^data\[2\] \(LICENSE\): bound: false .*allowUnbound.*keyferry\.io\/cluster=prod, keyferry\.io\/namespace=shop,/,
      ),
    }),
  );
});

test.each(["keyferry.io/name", "keyferry.io/"])("a context with %s is refused", (name) => {
  expect(() => refuseReserved({ team: "shop", [name]: "x" }, entry)).toThrow(
    "data[2] (LICENSE): encryptionContext names below keyferry.io/ are the operator's",
  );
});

test("a context without such a name is not", () => {
  expect(() => refuseReserved({ "keyferry.iox": "a", "Keyferry.io/name": "b" }, entry)).not.toThrow();
});

test("two owners never have the same pairs under the scope Name", () => {
  const owners = fc.record({ namespace: fc.string(), name: fc.string() });
  fc.assert(
    fc.property(owners, owners, (a, b) => {
      fc.pre(a.namespace !== b.namespace || a.name !== b.name);
      expect([...boundPairs("Name", "prod", a)]).not.toEqual([...boundPairs("Name", "prod", b)]);
    }),
  );
});

describe("a context in which AWS services encrypt", () => {
  const names = [
    ...["PARAMETER_ARN", "parameter_arn", "Parameter_Arn", "SecretARN", "secretarn", "SecretVersionId"],
    ...["aws:ebs:id", "AWS:S3:ARN", "aws:lambda:FunctionArn", "aws:", "aws-crypto-public-key", "AWS-Crypto-x"],
    ...["branch-key-id", "kms_cmk_id", "glue_catalog_id"],
  ];
  test.each(names)("is refused: %s", (name) => {
    expect(() => refuseReserved({ team: "shop", [name]: "x" }, entry)).toThrow(
      expect.objectContaining({ reason: "NotAllowed", message: expect.stringContaining(JSON.stringify(name)) }),
    );
  });

  test.each(["team", "aws", "awsome:team", "parameter", "arn:aws:x", "secret", "xPARAMETER_ARN"])(
    "is none of %s",
    (name) => {
      expect(() => refuseReserved({ [name]: "PARAMETER_ARN" }, entry)).not.toThrow();
    },
  );
});
