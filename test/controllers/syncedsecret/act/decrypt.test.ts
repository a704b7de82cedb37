import { describe, expect, it } from "vitest";
import { AwsFailure } from "../../../../src/aws/failure.ts";
import type { Identity } from "../../../../src/aws/identity.ts";
import { kmsPort } from "../../../../src/aws/kms.ts";
import type { Granted } from "../../../../src/controllers/grants.ts";
import { uncanceled } from "../../../../src/controllers/syncedsecret/act/attempt.ts";
import { decryptAll } from "../../../../src/controllers/syncedsecret/act/decrypt.ts";
import type { Plan } from "../../../../src/controllers/syncedsecret/plan/plan.ts";
import { Sealed } from "../../../../src/runtime/sealed.ts";
import { FakeClock } from "../../../support/clock.ts";
import { FakeAws } from "../../../support/fake-aws.ts";
import { limitersOver } from "../../../support/limiters.ts";

const aws = new FakeAws(() => 0);
const silence = new AwsFailure({ reason: "Unreachable", next: "retry", code: "TimeoutError", message: "silent" });
const keyId = "arn:aws:kms:eu-west-1:123456789012:key/mrk-0123456789abcdef0123456789abcdef";

/** One blob, and the answer of KMS for it in each region. */
function rig(decrypt: (region: string) => Promise<{ plaintext: Sealed; keyId: string }>, standIns: string[]) {
  let isDown = true;
  const asked: string[] = [];
  const identity = (region: string): Identity => ({
    ...aws.identity(region, region),
    kms: kmsPort({
      decrypt: () => {
        asked.push(region);
        return decrypt(region);
      },
      describeKey: async () => {
        throw silence;
      },
    }),
  });
  const home = identity("eu-west-1");
  const granted: Granted = {
    identity: home,
    standIns: standIns.map((region) => ({ region, identity: identity(region) })),
    account: "123456789012",
    parameters: undefined,
    keyIds: undefined,
    closed: false,
    pollIntervalMs: 300_000,
  };
  const whose = { granted, owner: { namespace: "shop", name: "checkout" }, attempt: uncanceled("bulk") };
  const plan: Plan = {
    entries: [{ kind: "blob", key: "A", label: "data[0] (A)", blob: { ciphertext: "AQID", keyId } }],
    references: [],
    refused: [],
  };
  const way = {
    ...limitersOver(new FakeClock(), 1_000),
    audit: undefined,
    outages: {
      isDown: (key: string) => key === home.key && isDown,
    },
  };
  const mend = () => {
    isDown = false;
  };
  return { open: () => decryptAll(plan, whose, way), asked, mend };
}

describe("a blob while KMS is down in the home region", () => {
  it("that opens in no other region is reported as such, even if the home region has recovered meanwhile", async () => {
    const { open, mend } = rig(async () => {
      mend();
      throw silence;
    }, ["eu-central-1"]);
    const { problems } = await open();
    expect(problems).toMatchObject([{ reason: "Unreachable", next: "retry" }]);
    expect(problems[0]!.message).toBe(
      "data[0] (A): AWS KMS in eu-west-1 does not answer, and decryption in eu-central-1 failed too; it is tried again by itself",
    );
  });

  it("is sent to the home region if its connection has no other, whoever else found the home region down", async () => {
    const { open, asked } = rig(async () => ({ plaintext: Sealed.text("v"), keyId }), []);
    const { blobs, problems } = await open();
    expect([problems, asked, blobs.size]).toEqual([[], ["eu-west-1"], 1]);
  });
});
