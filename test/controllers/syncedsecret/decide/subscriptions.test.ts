import { expect, it } from "vitest";
import { subscriptionsOf } from "../../../../src/controllers/syncedsecret/decide/snapshot.ts";
import type { WhenMissing } from "../../../../src/controllers/syncedsecret/decide/sources.ts";
import { aSnapshot, entry } from "./builders.ts";
import { expired, missing } from "./states.ts";

/** What a SyncedSecret reports about the members of its path. */
const leavesOf = (whenMissing: WhenMissing, whenExpired?: WhenMissing) => {
  const refresh = { whenMissing, ...(whenExpired ? { whenExpired } : { policy: "Once" as const }) };
  const given = aSnapshot().of({ dataFrom: [{ path: { name: "/p" } }], data: [entry("A", "/a")], refresh });
  const [path, parameter] = subscriptionsOf(given.facts());
  expect(parameter).not.toHaveProperty("leaves");
  return path!.leaves;
};

it("a SyncedSecret drops its interest only in members whose keys its policies have removed", () => {
  for (const stage of ["absent", "suspect", "held"] as const) {
    expect(leavesOf("DeleteKeys", "DeleteKeys")!(missing(stage, 1))).toBe(false);
  }
  expect(leavesOf("DeleteKeys")!(missing("gone", 1))).toBe(true);
  expect(leavesOf("DeleteKeys")!(expired(1, "gone"))).toBe(true);
  expect(leavesOf("DeleteKeys", "Retain")!(expired(1, "gone"))).toBe(false);
  expect(leavesOf("DeleteKeys", "DeleteSecret")!(expired(1, "gone"))).toBe(false);
  expect(leavesOf("Retain", "DeleteKeys")!(expired(1, "gone"))).toBe(true);
  expect(leavesOf("Retain", "DeleteKeys")!(missing("gone", 1))).toBe(false);
  for (const when of ["Retain", "DeleteSecret"] as const) expect(leavesOf(when, when)).toBeUndefined();
});
