import { expect, it } from "vitest";
import type { WhenMissing } from "../../src/controllers/syncedsecret/assess.ts";
import { type Gathered, wantsOf } from "../../src/controllers/syncedsecret/gathered.ts";
import { noWarmStart } from "../../src/controllers/syncedsecret/warm-start.ts";
import type { Missing, Spot, Stage } from "../../src/parameters/entry.ts";
import { FakeAws } from "../support/fake-aws.ts";
import { parameterOf, pathOf } from "../support/observer.ts";

const identity = new FakeAws(() => 0).identity();
const sight = { version: 1, modified: 1 };
const missing = (stage: Stage): Spot => ({
  sight,
  missing: { reason: "ParameterNotFound", stage, since: 1, at: 1 } as Missing,
});
const expired = { ...missing("gone"), expired: { at: 1, sight } };

/** What a SyncedSecret says of the members of its path. */
const leavesOf = (whenMissing: WhenMissing, whenExpired?: WhenMissing) => {
  const [path, parameter] = wantsOf({
    resource: { spec: {}, metadata: { namespace: "ns", name: "s" } },
    granted: { pollIntervalMs: 1 },
    plan: { references: [pathOf(identity, "/p"), parameterOf(identity, "/a")] },
    whenMissing,
    whenExpired,
    warmStart: noWarmStart,
  } as unknown as Gathered);
  expect(parameter).not.toHaveProperty("leaves");
  return path!.leaves;
};

it("a SyncedSecret needs to know no more of members whose keys its policies have dropped, and of no others", () => {
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
