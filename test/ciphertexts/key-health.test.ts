import { describe, expect, test } from "vitest";
import type { KeyDescription } from "../../src/aws/kms.ts";
import { materialNoticeMs, riskOf, worstOf } from "../../src/ciphertexts/key-health.ts";

const arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const now = Date.UTC(2026, 10, 24);
const day = 86_400_000;
const key = (part: Partial<KeyDescription> = {}): KeyDescription => ({
  arn,
  state: "Enabled",
  usage: "ENCRYPT_DECRYPT",
  spec: "SYMMETRIC_DEFAULT",
  ...part,
});

describe("a key", () => {
  test.each<[string, Partial<KeyDescription>]>([
    ["that is enabled", {}],
    ["whose material expires later than a week from now", { validTo: now + materialNoticeMs + 1 }],
    ["that is being created", { state: "Creating" }],
    ["that is being updated", { state: "Updating" }],
    ["in an unknown state", { state: "Dreaming" }],
  ])("%s is not at risk", (_, part) => {
    expect(riskOf(key(part), arn, now)).toBeUndefined();
  });

  test.each<[string, Partial<KeyDescription>, string, string]>([
    [
      "that is pending deletion",
      { state: "PendingDeletion", deletionAt: now + 7 * day },
      "KeyPendingDeletion",
      "will be deleted at 2026-12-01T00:00:00Z",
    ],
    ["whose deletion has no date", { state: "PendingDeletion" }, "KeyPendingDeletion", "will be deleted soon"],
    [
      "whose replicas are deleted first",
      { state: "PendingReplicaDeletion" },
      "KeyPendingDeletion",
      "once its replicas are",
    ],
    ["that is disabled", { state: "Disabled" }, "KeyDisabled", "is disabled"],
    ["without material", { state: "PendingImport" }, "KeyMaterialMissing", "import the same key material again"],
    ["whose key store is disconnected", { state: "Unavailable" }, "KeyUnavailable", "connect its key store"],
    [
      "whose material expires within a week",
      { validTo: now + materialNoticeMs },
      "KeyMaterialExpiring",
      "expires at 2026-12-01T00:00:00Z",
    ],
    ["that is disabled, whatever its material", { state: "Disabled", validTo: now }, "KeyDisabled", "is disabled"],
  ])("%s is at risk", (_, part, reason, says) => {
    const risk = riskOf(key(part), arn, now)!;
    expect(risk.reason).toBe(reason);
    expect(risk.message).toContain(arn);
    expect(risk.message).toContain(says);
  });

  test("that no longer exists is reported by the name that was requested", () => {
    expect(riskOf(undefined, "alias/shop", now)).toMatchObject({
      reason: "KeyUnavailable",
      message: expect.stringMatching(/^the KMS key alias\/shop does not exist any more/),
    });
  });
});

test("reports the most severe of several risks as the reason, and each risk once in a stable order", () => {
  const risks = [
    { reason: "KeyDisabled", message: "b" },
    { reason: "KeyPendingDeletion", message: "c" },
    { reason: "KeyDisabled", message: "a" },
    { reason: "KeyPendingDeletion", message: "c" },
  ] as const;
  const worst = { reason: "KeyPendingDeletion", message: "c; a; b" };
  expect(worstOf(risks)).toEqual(worst);
  expect(worstOf([...risks].reverse())).toEqual(worst);
  expect(worstOf([])).toBeUndefined();
});
