import { expect, it } from "vitest";
import { ByteBudget } from "../../src/runtime/byte-budget.ts";
import { settle } from "../support/clock.ts";

/** A ticket that counts how often it got room. */
function grower(budget: ByteBudget, flow: string) {
  const ticket = budget.ticket(flow);
  let entered = 0;
  return { ...ticket, ask: () => void ticket.room().then(() => entered++), entered: () => entered };
}

it("grants room within the budget, lets one ticket of each flow exceed it, and the next after its end", async () => {
  const budget = new ByteBudget({ all: 100, ofFlow: 60, beyond: 2 });
  const all = ["a", "a", "b", "c"].map((flow) => grower(budget, flow));
  const [first, second, other, third] = all as [(typeof all)[0], (typeof all)[0], (typeof all)[0], (typeof all)[0]];
  for (const one of all) one.ask();
  await settle();
  expect(all.map((one) => one.entered())).toEqual([1, 1, 1, 1]);
  first.add(70);
  first.ask();
  second.ask();
  other.ask();
  await settle();
  // Flow `a` exceeds its budget: the first ticket may continue, the second waits. Another flow does not wait.
  expect(all.map((one) => one.entered())).toEqual([2, 1, 2, 1]);
  other.add(50);
  other.ask();
  third.ask();
  await settle();
  expect(all.map((one) => one.entered())).toEqual([2, 1, 3, 1]);
  first.end();
  await settle();
  expect(all.map((one) => one.entered())).toEqual([2, 2, 3, 2]);
  for (const one of all) one.end();
  for (const one of all) one.end();
  expect(budget.used).toBe(0);
});

it("never deadlocks", async () => {
  const budget = new ByteBudget({ all: 50, ofFlow: 20, beyond: 2 });
  let most = 0;
  const work = Array.from({ length: 60 }, async (_, n) => {
    const ticket = budget.ticket(`ns${n % 5}`);
    for (let page = 0; page < 10; page++) {
      await ticket.room();
      ticket.add(2);
      most = Math.max(most, budget.used);
      await Promise.resolve();
    }
    ticket.end();
  });
  await Promise.all(work);
  expect(budget.used).toBe(0);
  // Tickets that got room before the budget was used up add one page each.
  expect(most).toBeLessThan(50 + 2 * 20 + 60 * 2);
});
