import { expect, it } from "vitest";
import type { ParameterState } from "../../../src/parameters/cache/cache-entry.ts";
import { observerRig, pathOf, subscription } from "../../support/observer.ts";

const minute = 60_000;
const hour = 60 * minute;

/** A path of which 160 of 460 members are gone, deleted in small groups, so that they are no mass deletion. */
async function churned(wishes: readonly ({ leaves?: (state: ParameterState) => boolean } | undefined)[]) {
  const rig = observerRig();
  const path = pathOf(rig.aws.identity(), "/p");
  rig.aws.pageSize = 1_000;
  for (let n = 0; n < 460; n++) rig.aws.put(`/p/${n}`, "v");
  for (const [n, wish] of wishes.entries()) rig.observer.depend(`ns/${n}`, [{ ...subscription(path), ...wish }]);
  await rig.observer.look([path], "bulk");
  for (let n = 0; n < 160; n++) {
    rig.aws.delete(`/p/${n}`);
    if (n % 20 === 19) await rig.clock.advance(20 * minute);
  }
  const { members } = rig.observer.entry(path)!;
  const gone = () => [...members].filter(([, { missing }]) => missing?.stage === "gone").map(([name]) => name);
  expect(gone()).toHaveLength(160);
  rig.told.length = 0;
  return { ...rig, members, gone };
}

const leaves = ({ missing }: ParameterState) => missing?.stage === "gone";

it("gone members are forgotten after a day, except the last hundred, if no dependent needs them", async () => {
  const { clock, told, members, gone } = await churned([{ leaves }, { leaves }]);
  await clock.advance(20 * hour);
  expect(gone()).toHaveLength(160);
  await clock.advance(5 * hour);
  expect(gone().sort()).toEqual(Array.from({ length: 100 }, (_, n) => `/p/${n + 60}`).sort());
  expect(members.size).toBe(400);
  expect(told.map(({ dependent }) => dependent)).toContain("ns/0");
});

it("all gone members are kept while one dependent needs all of them", async () => {
  const { clock, gone } = await churned([{ leaves }, undefined]);
  await clock.advance(50 * hour);
  expect(gone()).toHaveLength(160);
});

it("a gone member that a dependent needs is kept while others are forgotten", async () => {
  const kept = new Set<ParameterState>();
  const { clock, members, gone } = await churned([{ leaves }, { leaves: (state) => !kept.has(state) }]);
  kept.add(members.get("/p/0")!);
  await clock.advance(50 * hour);
  expect(gone()).toHaveLength(101);
  expect(gone()).toContain("/p/0");
});
