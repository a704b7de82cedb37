import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Binding, boundPairs, pairsFor, refuseReserved } from "../../src/ciphertexts/binding.ts";

const owner = { namespace: "shop", name: "checkout" };
const entry = "data[2] (LICENSE)";
const binding = (scope: Binding["scope"], allowUnbound = false): Binding => ({ scope, cluster: "prod", allowUnbound });

describe("a ciphertext must carry", () => {
  test.each<[string, Binding | undefined, boolean | undefined, [string, string][]]>([
    ["nothing if the connection has no binding", undefined, undefined, []],
    ["nothing with scope None, whatever the entry sets", binding("None"), false, []],
    [
      "cluster and namespace with scope Namespace",
      binding("Namespace"),
      undefined,
      [
        ["keyferry.io/cluster", "prod"],
        ["keyferry.io/namespace", "shop"],
      ],
    ],
    [
      "cluster, namespace and name with scope Name",
      binding("Name", true),
      true,
      [
        ["keyferry.io/cluster", "prod"],
        ["keyferry.io/namespace", "shop"],
        ["keyferry.io/name", "checkout"],
      ],
    ],
    ["nothing if the entry is unbound and allowed to be", binding("Name", true), false, []],
  ])("%s", (_, given, bound, pairs) => {
    expect([...pairsFor(given, bound, owner, entry)]).toEqual(pairs);
  });
});

test("refuses a forbidden unbound entry and shows the context that it needs", () => {
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

test.each(["keyferry.io/name", "keyferry.io/"])("refuses a context with the reserved name %s", (name) => {
  expect(() => refuseReserved({ team: "shop", [name]: "x" }, entry)).toThrow(
    "data[2] (LICENSE): encryptionContext names below keyferry.io/ are the operator's",
  );
});

test("accepts a context without a reserved name", () => {
  expect(() => refuseReserved({ "keyferry.iox": "a", "Keyferry.io/name": "b" }, entry)).not.toThrow();
});

test("two owners never have the same pairs with scope Name", () => {
  const owners = fc.record({ namespace: fc.string(), name: fc.string() });
  fc.assert(
    fc.property(owners, owners, (a, b) => {
      fc.pre(a.namespace !== b.namespace || a.name !== b.name);
      expect([...boundPairs("Name", "prod", a)]).not.toEqual([...boundPairs("Name", "prod", b)]);
    }),
  );
});

describe("an encryption context of AWS services", () => {
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
    "does not include the name %s",
    (name) => {
      expect(() => refuseReserved({ [name]: "PARAMETER_ARN" }, entry)).not.toThrow();
    },
  );
});
