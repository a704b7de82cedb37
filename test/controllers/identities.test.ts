import { beforeEach, describe, expect, it } from "vitest";
import type { AnyConnection } from "../../src/api/any-connection.ts";
import type { Identity } from "../../src/aws/identity.ts";
import type { IdentitySpec } from "../../src/aws/identity-spec.ts";
import { ConnectionIdentities } from "../../src/controllers/connection/identities.ts";

let reading: string[];
const told = {
  joined: ({ key }: Identity) => void reading.push(key),
  left: (key: string) => {
    reading = reading.filter((one) => one !== key);
  },
};
const get = ({ region, namespace }: IdentitySpec) => ({ key: `${namespace} ${region}`, region }) as Identity;
const made = (pollInterval = "5m") =>
  new ConnectionIdentities({
    connection: {
      kind: "ClusterAWSConnection",
      metadata: { name: "x" },
      spec: {
        region: "eu-west-1",
        failoverRegions: ["eu-central-1"],
        pollInterval,
        auth: { assumeRole: [{ roleArn: "arn:aws:iam::123456789012:role/t-{namespace}" }] },
      },
    } as AnyConnection,
    data: undefined,
    identities: { get } as never,
  });

beforeEach(() => {
  reading = [];
});

describe("the identity that reads for a connection", () => {
  it("is released when the connection ends, whatever a reconcile in flight still requests", () => {
    const identities = made();
    identities.begin(told);
    identities.of("shop");
    identities.end();
    identities.of("shop", "eu-central-1");
    expect(reading).toEqual([]);
  });

  it("is its successor's, whatever a reconcile in flight still requests from the predecessor", () => {
    const before = made();
    before.begin(told);
    before.of("shop");
    const after = made();
    after.begin(told, before);
    before.of("shop", "eu-central-1");
    before.of("gone");
    after.keepOnly(new Set());
    expect(reading).toEqual([]);
  });
});
