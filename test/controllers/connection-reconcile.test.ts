import { expect, it } from "vitest";
import type { AnyConnection } from "../../src/api/any-connection.ts";
import { AwsFailure } from "../../src/aws/failure.ts";
import type { Identity } from "../../src/aws/identity.ts";
import type { IdentitySpec } from "../../src/aws/identity-spec.ts";
import { Connections } from "../../src/controllers/connection/connections.ts";
import { ConnectionReconciler, type ConnectionReconcilerOptions } from "../../src/controllers/connection/reconcile.ts";
import { FakeClock } from "../support/clock.ts";

const key = "ClusterAWSConnection//x";
const connection = {
  apiVersion: "keyferry.io/v1alpha1",
  kind: "ClusterAWSConnection",
  metadata: { name: "x", uid: "1", generation: 1 },
  spec: { region: "eu-west-1", failoverRegions: ["eu-central-1", "us-east-1"] },
} as unknown as AnyConnection;
const silence = new AwsFailure({ reason: "Unreachable", next: "retry", code: "TimeoutError", message: "silent" });
const nothing = () => {};

it("a connection whose home region does not answer uses the first region that does, and asks the home region once", async () => {
  const asked: string[] = [];
  const callers: Record<string, () => Promise<{ account: string; arn: string }>> = {
    "eu-west-1": () => Promise.reject(silence),
    "eu-central-1": () => new Promise(nothing),
    "us-east-1": async () => ({ account: "123456789012", arn: "arn:aws:iam::123456789012:user/x" }),
  };
  const get = ({ region }: IdentitySpec) =>
    ({
      key: region,
      region,
      caller: () => {
        asked.push(region);
        return callers[region]!();
      },
    }) as unknown as Identity;
  const connections = new Connections({ namespaceLabels: nothing as never, exists: () => true, clusterName: "" });
  const statuses: { accountID?: string }[] = [];
  const options = {
    find: () => connection,
    connections,
    quotas: { set: () => false, remove: nothing },
    stretch: () => 1,
    visibilityOf: nothing,
    limited: nothing,
    events: { resolved: nothing, joined: nothing, left: nothing, removed: nothing, condition: nothing },
    outages: { watch: nothing, unwatch: nothing, isDown: () => false },
    usedFrom: () => new Set<string>(),
    identities: { get },
    serviceAccounts: { keepFor: nothing },
    clusterName: "",
    client: { apply: async (_: unknown, { status }: { status: object }) => statuses.push(status) },
    recorder: { record: nothing },
    clock: new FakeClock(),
    log: {},
    changed: nothing,
    stopping: new AbortController().signal,
  };
  Object.assign(options.events, { isProved: () => false });
  await new ConnectionReconciler(options as unknown as ConnectionReconcilerOptions).reconcile(key);
  expect(statuses).toMatchObject([{ accountID: "123456789012" }]);
  expect(asked).toEqual(["eu-west-1", "eu-central-1", "us-east-1"]);
}, 2_000);
