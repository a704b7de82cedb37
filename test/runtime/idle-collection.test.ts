import { beforeEach, expect, it } from "vitest";
import { IdleCollection } from "../../src/runtime/idle-collection.ts";
import { FakeClock } from "../support/clock.ts";

const mebibyte = 1 << 20;

let clock: FakeClock;
let stop: AbortController;
/** The resource use of a fake process, and its number of collections. */
let process: { cpuMs: number; isWriting: boolean; heldBytes: number; leaves: number; collections: number };

beforeEach(() => {
  clock = new FakeClock();
  stop = new AbortController();
  process = { cpuMs: 0, isWriting: false, heldBytes: 60 * mebibyte, leaves: 40 * mebibyte, collections: 0 };
  const meter = {
    cpuMs: () => process.cpuMs,
    heldBytes: () => process.heldBytes,
    collect() {
      process.collections += 1;
      process.heldBytes = process.leaves;
    },
  };
  new IdleCollection(clock, meter, () => process.isWriting).start(stop.signal);
});

/** Advances the clock by seconds in which the process uses `cpuMs` of CPU time and allocates `bytes` each. */
async function pass(seconds: number, cpuMs: number, bytes = 0): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    process.heldBytes += bytes;
    process.cpuMs += cpuMs;
    await clock.advance(1_000);
  }
}

it("collects once when the process becomes idle, and not again without growth", async () => {
  await pass(20, 800);
  expect(process.collections).toBe(0);
  await pass(8, 5);
  expect(process.collections).toBe(1);
  await pass(3_600, 5);
  expect(process.collections).toBe(1);
});

it("collects in a process that still works a little, but not while it writes", async () => {
  process.isWriting = true;
  await pass(20, 150);
  expect(process.collections).toBe(0);
  process.isWriting = false;
  await pass(8, 150);
  expect(process.collections).toBe(1);
});

it("does not collect in a process that is never idle for long", async () => {
  for (let round = 0; round < 50; round++) {
    await pass(2, 5);
    await pass(2, 300);
  }
  expect(process.collections).toBe(0);
});

it("collects again after growth by a tenth and at least 4 MiB", async () => {
  await pass(8, 5);
  process.heldBytes = process.leaves + 3.9 * mebibyte;
  await pass(60, 5);
  expect(process.collections).toBe(1);
  process.heldBytes = process.leaves + 4 * mebibyte;
  await pass(2, 800);
  await pass(8, 5);
  expect(process.collections).toBe(2);

  process.leaves = 100 * mebibyte;
  process.heldBytes = 120 * mebibyte;
  await pass(300, 5);
  expect(process.collections).toBe(3);
  process.heldBytes = 109 * mebibyte;
  await pass(60, 5);
  expect(process.collections).toBe(3);
});

it("does not collect repeatedly while a nearly idle process allocates and frees much", async () => {
  await pass(3_600, 5, 2 * mebibyte);
  expect(process.collections).toBeGreaterThan(1);
  expect(process.collections).toBeLessThanOrEqual(20);
});

it("collects at most once a minute in a process that works a little all the time", async () => {
  await pass(600, 150, 2 * mebibyte);
  expect(process.collections).toBeGreaterThan(5);
  expect(process.collections).toBeLessThanOrEqual(10);
});

it("stops with the signal", async () => {
  stop.abort();
  await pass(60, 5);
  expect(process.collections).toBe(0);
  expect(clock.pending).toBe(0);
});
