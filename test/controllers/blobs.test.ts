import { describe, expect, it } from "vitest";
import { AwsFailure } from "../../src/aws/failure.ts";
import type { Identity } from "../../src/aws/identity.ts";
import { uncanceled } from "../../src/controllers/syncedsecret/attempt.ts";
import { openBlobs } from "../../src/controllers/syncedsecret/blobs.ts";
import type { Snapshot } from "../../src/controllers/syncedsecret/snapshot.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import type { RateLimiters } from "../../src/parameters/rate-limiters.ts";
import { Sealed } from "../../src/runtime/sealed.ts";

const silence = new AwsFailure({ reason: "Unreachable", next: "retry", code: "TimeoutError", message: "silent" });
const keyId = "arn:aws:kms:eu-west-1:123456789012:key/mrk-0123456789abcdef0123456789abcdef";

/** One blob, and what KMS does with it in each region. */
function rig(decrypt: (region: string) => Promise<{ plaintext: Sealed; keyId: string }>, standIns: string[]) {
  let isDown = true;
  const asked: string[] = [];
  const identity = (region: string) =>
    ({
      key: region,
      region,
      kms: {
        decrypt: () => {
          asked.push(region);
          return decrypt(region);
        },
      },
    }) as unknown as Identity;
  const home = identity("eu-west-1");
  const snapshot = {
    granted: { identity: home, standIns: standIns.map((region) => ({ region, identity: identity(region) })) },
    lane: "bulk",
    attempt: uncanceled("bulk"),
    target: { namespace: "shop" },
    resource: { metadata: { name: "checkout" } },
    plan: {
      entries: [{ kind: "blob", key: "A", label: "data[0] (A)", blob: { ciphertext: "AQID", keyId } }],
    },
  } as unknown as Snapshot;
  const way = {
    lanes: { run: (_: unknown, __: unknown, call: () => unknown) => call() } as unknown as RateLimiters,
    audit: undefined,
    metrics: new Metrics(),
    outages: {
      isDown: (key: string) => key === home.key && isDown,
    },
  };
  const mend = () => {
    isDown = false;
  };
  return { open: () => openBlobs(snapshot, way), asked, mend };
}

describe("a blob, while KMS is down at home", () => {
  it("that opens nowhere else is said to be so, also where home has answered meanwhile", async () => {
    const { open, mend } = rig(async () => {
      mend();
      throw silence;
    }, ["eu-central-1"]);
    const { problems } = await open();
    expect(problems).toMatchObject([{ reason: "Unreachable", next: "retry" }]);
    expect(problems[0]!.message).toBe(
      "data[0] (A): AWS KMS in eu-west-1 does not answer; it does not open in eu-central-1 either; it is tried again by itself",
    );
  });

  it("is asked for at home where its connection has no other region, whoever else found home to be down", async () => {
    const { open, asked } = rig(async () => ({ plaintext: Sealed.text("v"), keyId }), []);
    const { blobs, problems } = await open();
    expect([problems, asked, blobs.size]).toEqual([[], ["eu-west-1"], 1]);
  });
});
