import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { fleetOf, full, parametersEach, type Site, small } from "../../bench/simulation/fleet.ts";
import { neighbours } from "../../bench/simulation/neighbours.ts";
import { type Found, simulate, simulateShared } from "../../bench/simulation/scenarios.ts";

const run = promisify(execFile);
const site: Site = { account: "123456789012", region: "eu-west-1", resources: 120, seed: 5 };
const parameters = site.resources * parametersEach;
const calls = Math.ceil(parameters / 10);

describe("the simulated fleet", () => {
  it("has all resources that it should have, and in no site more parameters than AWS keeps in one", () => {
    for (const scale of [small, full]) {
      const sites = fleetOf(scale);
      expect(sites.reduce((sum, { resources }) => sum + resources, 0)).toBe(scale.resources);
      expect(new Set(sites.map(({ account }) => account)).size).toBe(scale.accounts);
      expect(sites[0]!.resources * parametersEach).toBeLessThanOrEqual(100_000);
    }
  });
});

describe("a simulated site", () => {
  let found: Found;

  beforeAll(async () => {
    found = await simulate(site);
  });

  it("gives the same figures every time", async () => {
    expect(await simulate(site)).toEqual(found);
  });

  it("reads in full calls and decrypts each value once at the first sync, at the rate that its connection allows", () => {
    for (const [cost, rate] of [
      [found.first, 20],
      [found.firstAt40, 40],
    ] as const) {
      expect(cost).toMatchObject({ reads: calls, decrypts: parameters, throttles: 0 });
      // A second's worth is saved up, and nothing may be lost beyond it.
      expect(cost.ms).toBeGreaterThanOrEqual((1_000 * (calls - rate)) / rate);
      expect(cost.ms).toBeLessThanOrEqual((1_000 * cost.calls) / rate + 200);
    }
  });

  it("polls ten parameters a call without decryption, and looks at none later than an interval and a tenth", () => {
    expect(found.round.calls).toBeGreaterThanOrEqual(calls - 1);
    expect(found.round.calls).toBeLessThanOrEqual(1.05 * calls);
    expect(found.round.decrypts).toBe(0);
    expect(found.round.longestMs).toBeLessThanOrEqual(1.1 * found.round.intervalMs);
  });

  it("decrypts nothing after a restart that finds nothing changed", () => {
    expect(found.restart.decrypts).toBe(0);
    expect(found.restart.calls).toBeLessThanOrEqual(1.05 * calls);
  });

  it("tells every dependant of a change, within an interval by polls and within seconds when it is announced", () => {
    expect(Math.max(...found.byPolls.told)).toBeLessThanOrEqual(1.1 * found.round.intervalMs);
    expect(Math.max(...found.byAnnouncements.told)).toBeLessThanOrEqual(3_000);
  });

  it("tells all who share a parameter at once, and reads each of their values once", async () => {
    const { byPolls, byAnnouncements } = await simulateShared(site);
    for (const { told, decrypts } of [byPolls, byAnnouncements]) {
      expect(told).toHaveLength(site.resources);
      expect(new Set(told).size).toBe(1);
      expect(decrypts).toBe(site.resources * (parametersEach - 1) + 1);
    }
  });
});

describe("regions in trouble", () => {
  it("do not delay the others", async () => {
    const { alone, besideTwo } = await neighbours(50);
    for (const { name, ms } of alone) {
      const beside = besideTwo.find((outcome) => outcome.name === name)!;
      expect(beside.ms).toBeLessThanOrEqual(1.05 * ms);
      expect(beside.throttles).toBe(0);
    }
  });
});

it("prints every table of a small fleet by one command", async () => {
  const { stdout } = await run(process.execPath, ["bench/simulation/main.ts", "--small"]);
  expect(stdout.match(/^## .*/gm)).toHaveLength(7);
  expect(stdout).not.toMatch(/NaN|undefined|Infinity/);
}, 60_000);
