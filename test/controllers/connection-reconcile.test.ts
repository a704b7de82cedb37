import { expect, it } from "vitest";
import type { AnyConnection } from "../../src/api/any-connection.ts";
import type { Condition } from "../../src/api/conditions.ts";
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

/** A reconciler whose collaborators do nothing. @param caller answers GetCallerIdentity in a region */
function reconcilerWith(caller: (region: string) => Promise<{ account: string; arn: string }>, more: object = {}) {
  const get = ({ region }: IdentitySpec) =>
    ({ key: region, region, caller: () => caller(region) }) as unknown as Identity;
  const connections = new Connections({ namespaceLabels: nothing as never, exists: () => true, clusterName: "" });
  const statuses: { accountID?: string; conditions?: Condition[] }[] = [];
  const events = { resolved: nothing, joined: nothing, left: nothing, removed: nothing, condition: nothing };
  const options = {
    find: () => connection,
    connections,
    quotas: { set: () => false, remove: nothing },
    stretch: () => 1,
    visibilityOf: nothing,
    limited: nothing,
    events: { ...events, isProved: () => false },
    outages: { watch: nothing, unwatch: nothing, isDown: () => false },
    usedFrom: () => new Set<string>(),
    identities: { get },
    serviceAccounts: { keepFor: nothing },
    clusterName: "",
    client: {
      apply: async (_: unknown, { status }: { status: object }) => ({ metadata: {}, index: statuses.push(status) }),
    },
    recorder: { record: nothing },
    clock: new FakeClock(),
    log: {},
    changed: nothing,
    stopping: new AbortController().signal,
    ...more,
  };
  const reconciler = new ConnectionReconciler(options as unknown as ConnectionReconcilerOptions);
  return { reconciler, connections, statuses };
}

it("a connection whose home region does not answer uses the first region that does, and asks the home region once", async () => {
  const asked: string[] = [];
  const callers: Record<string, () => Promise<{ account: string; arn: string }>> = {
    "eu-west-1": () => Promise.reject(silence),
    "eu-central-1": () => new Promise(nothing),
    "us-east-1": async () => ({ account: "123456789012", arn: "arn:aws:iam::123456789012:user/x" }),
  };
  const { reconciler, statuses } = reconcilerWith((region) => {
    asked.push(region);
    return callers[region]!();
  });
  await reconciler.reconcile(key);
  expect(statuses).toMatchObject([{ accountID: "123456789012" }]);
  expect(asked).toEqual(["eu-west-1", "eu-central-1", "us-east-1"]);
}, 2_000);

it("a connection grants nothing and writes no status until it is placed on the shard", async () => {
  const settled: unknown[] = [];
  let isPlaced = false;
  const placement = {
    settle: (...of: unknown[]) => {
      settled.push(of);
      return isPlaced;
    },
    isTied: () => true,
  };
  const caller = async () => ({ account: "123456789012", arn: "arn:aws:iam::123456789012:user/x" });
  const { reconciler, connections, statuses } = reconcilerWith(caller, { placement });
  expect(await reconciler.reconcile(key)).toEqual({ retry: false, afterMs: Infinity });
  expect([connections.get(key), statuses]).toEqual([undefined, []]);
  isPlaced = true;
  await reconciler.reconcile(key);
  expect(connections.get(key)?.state).toBe("ready");
  expect(settled[1]).toEqual([key, { account: "123456789012", region: "eu-west-1" }]);
  expect(statuses[0]?.conditions).toMatchObject([
    { type: "Ready", status: "True" },
    {
      type: "SharesShard",
      status: "True",
      reason: "SharedQueue",
      message: expect.stringContaining("one queue for each"),
    },
  ]);
});
