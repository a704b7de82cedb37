import { expect, it } from "vitest";
import type { ParameterState } from "../../src/parameters/cache-entry.ts";
import { observerRig, pathOf, subscription } from "../support/observer.ts";

const minute = 60_000;
const hour = 60 * minute;

/** A path of which 160 of 460 members have gone, some at a time, as they do where no mass loss is suspected. */
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

it("members that went a day ago are forgotten, but for the last hundred, where nothing is kept for them", async () => {
  const { clock, told, members, gone } = await churned([{ leaves }, { leaves }]);
  await clock.advance(20 * hour);
  expect(gone()).toHaveLength(160);
  await clock.advance(5 * hour);
  expect(gone().sort()).toEqual(Array.from({ length: 100 }, (_, n) => `/p/${n + 60}`).sort());
  expect(members.size).toBe(400);
  expect(told.map(({ dependent }) => dependent)).toContain("ns/0");
});

it("all that have gone are remembered where one of those who depend on them keeps something for it", async () => {
  const { clock, gone } = await churned([{ leaves }, undefined]);
  await clock.advance(50 * hour);
  expect(gone()).toHaveLength(160);
});

it("what a dependent says that it cannot go without is remembered, whatever else is forgotten", async () => {
  const kept = new Set<ParameterState>();
  const { clock, members, gone } = await churned([{ leaves }, { leaves: (state) => !kept.has(state) }]);
  kept.add(members.get("/p/0")!);
  await clock.advance(50 * hour);
  expect(gone()).toHaveLength(101);
  expect(gone()).toContain("/p/0");
});
