import { expect, it } from "vitest";
import type { SyncedSecret } from "../../../../src/api/types.ts";
import type { Outcome } from "../../../../src/controllers/syncedsecret/decide/outcome.ts";
import { keysInUse } from "../../../../src/controllers/syncedsecret/report/key-conditions.ts";
import { aSnapshot, statusSources } from "../decide/builders.ts";

const arn = (id: string, region = "eu-west-1") => `arn:aws:kms:${region}:123456789012:key/${id}`;
const failed: Outcome = { kind: "failed", problems: [], hasGoodSecret: true };
const secret = { secret: "checkout", revision: "1.a.b", keyCount: 1 };

function inUse(
  data: NonNullable<SyncedSecret["spec"]["data"]>,
  status: NonNullable<SyncedSecret["status"]>,
  outcome: Outcome = failed,
) {
  const { resource } = aSnapshot().of({ data }).withStatus(status).facts();
  return keysInUse(resource, outcome, "eu-west-1");
}

it("keys in use are those of opened blobs, and of SecureStrings as the status lists them", () => {
  const blob = { key: "B", kms: { ciphertext: "AQIC", keyId: arn("1") } };
  expect(inUse([blob], { revision: "1.a.b" })).toEqual([arn("1")]);
  expect(inUse([blob], {}), "what was never opened may be a slip").toEqual([]);
  expect(inUse([blob], { revision: "1.a.b", kmsKeys: [arn("2")] })).toEqual([arn("2")]);
  expect(inUse([], { kmsKeys: [arn("2")] })).toEqual([]);
  expect(inUse([blob], { kmsKeys: [arn("2")] }, { kind: "suspended" })).toEqual([]);
  const elsewhere = [arn("2", "us-east-1"), arn("mrk-3", "us-east-1")];
  expect(inUse([blob], { kmsKeys: elsewhere })).toEqual([arn("mrk-3")]);
  const sources = [
    ...statusSources({ "/a": 1 }, { keyId: "alias/aws/ssm" }),
    ...statusSources({ "/b": 1 }, { keyId: "alias/shop" }),
    ...statusSources({ "/c": 1 }),
  ];
  expect(inUse([], { sources })).toEqual(["alias/shop"]);
  const told = { label: "", name: "/a", selector: "", hasExpired: false, keyId: arn("4") };
  const sourcesMetadata = { sources: [told], isStored: false };
  const unlisted = { sources: statusSources({ "/a": 1 }) };
  expect(inUse([], unlisted, { ...failed, sourcesMetadata }), "before a status has it").toEqual([arn("4")]);
});

it("keys in use are those that a write has opened, whether the Secret is current or degraded", () => {
  const blob = { key: "B", kms: { ciphertext: "AQIC" } };
  const status = { revision: "1.a.b", kmsKeys: [arn("2")] };
  expect(inUse([blob], status, { kind: "current", ...secret, left: [], kmsKeys: [arn("3")] })).toEqual([arn("3")]);
  expect(inUse([blob], status, { kind: "degraded", ...secret, problems: [], kmsKeys: [arn("3")] })).toEqual([arn("3")]);
  expect(inUse([blob], status, { kind: "degraded", ...secret, problems: [] })).toEqual([arn("2")]);
});
