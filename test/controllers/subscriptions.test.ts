import { expect, it } from "vitest";
import { type Snapshot, subscriptionsOf } from "../../src/controllers/syncedsecret/decide/snapshot.ts";
import type { WhenMissing } from "../../src/controllers/syncedsecret/decide/sources.ts";
import { noWarmStart } from "../../src/controllers/syncedsecret/trust/warm-start.ts";
import type { Missing, ParameterState, Stage } from "../../src/parameters/cache/cache-entry.ts";
import { FakeAws } from "../support/fake-aws.ts";
import { parameterOf, pathOf } from "../support/observer.ts";

const identity = new FakeAws(() => 0).identity();
const stamp = { version: 1, modified: 1 };
const missing = (stage: Stage): ParameterState => ({
  stamp,
  missing: { reason: "ParameterNotFound", stage, since: 1, at: 1 } as Missing,
});
const expired = { ...missing("gone"), expired: { at: 1, stamp } };

/** What a SyncedSecret reports about the members of its path. */
const leavesOf = (whenMissing: WhenMissing, whenExpired?: WhenMissing) => {
  const [path, parameter] = subscriptionsOf({
    resource: { spec: {}, metadata: { namespace: "ns", name: "s" } },
    granted: { pollIntervalMs: 1 },
    plan: { references: [pathOf(identity, "/p"), parameterOf(identity, "/a")] },
    whenMissing,
    whenExpired,
    warmStart: noWarmStart,
  } as unknown as Snapshot);
  expect(parameter).not.toHaveProperty("leaves");
  return path!.leaves;
};

it("a SyncedSecret drops its interest only in members whose keys its policies have removed", () => {
  for (const stage of ["absent", "suspect", "held"] as const) {
    expect(leavesOf("DeleteKeys", "DeleteKeys")!(missing(stage))).toBe(false);
  }
  expect(leavesOf("DeleteKeys")!(missing("gone"))).toBe(true);
  expect(leavesOf("DeleteKeys")!(expired)).toBe(true);
  expect(leavesOf("DeleteKeys", "Retain")!(expired)).toBe(false);
  expect(leavesOf("DeleteKeys", "DeleteSecret")!(expired)).toBe(false);
  expect(leavesOf("Retain", "DeleteKeys")!(expired)).toBe(true);
  expect(leavesOf("Retain", "DeleteKeys")!(missing("gone"))).toBe(false);
  for (const when of ["Retain", "DeleteSecret"] as const) expect(leavesOf(when, when)).toBeUndefined();
});
