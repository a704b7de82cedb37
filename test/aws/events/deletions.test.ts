import { expect, test } from "vitest";
import { Deletions, type Received } from "../../../src/aws/events/deletions.ts";

const message = (n: number): Received => ({ id: `m${n}`, receipt: `r${n}` });

test("batches deletions requested during a batch by ten", async () => {
  const sizes: number[] = [];
  const ends: (() => void)[] = [];
  const deletions = new Deletions((messages) => {
    sizes.push(messages.length);
    return new Promise<void>((resolve) => ends.push(resolve));
  });
  const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const first = [0, 1, 2].map((n) => deletions.add(message(n)));
  await turn();
  expect(sizes).toEqual([3]);
  const rest = Array.from({ length: 23 }, (_, n) => deletions.add(message(n + 3)));
  await turn();
  expect(sizes).toEqual([3]);
  ends[0]!();
  await Promise.all(first);
  await turn();
  expect(sizes).toEqual([3, 10, 10, 3]);
  for (const end of ends) end();
  await Promise.all(rest);
});

test("continues with the next batch after a failed deletion", async () => {
  let calls = 0;
  const deletions = new Deletions(async () => {
    calls += 1;
    throw new Error("denied");
  });
  await deletions.add(message(1));
  await deletions.add(message(2));
  expect(calls).toBe(2);
});
