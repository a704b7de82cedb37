import { expect, it } from "vitest";
import { RepairBackoff } from "../../../src/controllers/syncedsecret/repair-backoff.ts";
import { FakeClock } from "../../support/clock.ts";

it("makes the first repairs at once, and doubles the wait from there", async () => {
  const clock = new FakeClock();
  const backoff = new RepairBackoff(clock);
  const waits: number[] = [];
  for (let n = 0; n < 14; n++) {
    waits.push(backoff.waitMs("ns/a"));
    await clock.advance(waits.at(-1)!);
    backoff.note("ns/a");
  }
  expect(waits.map((ms) => ms / 1_000)).toEqual([0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  expect(backoff.waitMs("ns/b")).toBe(0);
});

it("resets after a quiet minute, or after twice the wait", async () => {
  const clock = new FakeClock();
  const backoff = new RepairBackoff(clock);
  for (let n = 0; n < 3; n++) backoff.note("ns/a");
  expect(backoff.spacingMs("ns/a")).toBe(1_000);
  await clock.advance(59_000);
  expect(backoff.quietInMs("ns/a")).toBe(1_000);
  await clock.advance(1_000);
  expect([backoff.waitMs("ns/a"), backoff.spacingMs("ns/a"), backoff.quietInMs("ns/a")]).toEqual([
    0,
    undefined,
    undefined,
  ]);
});
