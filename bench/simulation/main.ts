import { fleetOf, full, small } from "./fleet.ts";
import { weigh } from "./memory.ts";
import { neighbours } from "./neighbours.ts";
import { report } from "./report.ts";
import { simulate, simulateShared } from "./scenarios.ts";

/**
 * Simulates a fleet that is too large for this machine, and prints the tables of docs/scale.md. Every run gives the
 * same figures, except for memory. `--small` simulates a hundredth of the fleet.
 */
const isSmall = process.argv.includes("--small");
const scale = isSmall ? small : full;
const sites = fleetOf(scale);
const found = [];
for (const [i, site] of sites.entries()) {
  console.error(`site ${i + 1} of ${sites.length}: ${site.resources} resources`);
  found.push(await simulate(site));
}
console.error("a shared parameter");
const shared = await simulateShared({
  account: "999999999999",
  region: "eu-west-1",
  resources: scale.sharing,
  seed: 9_999,
});
console.error("regions in trouble");
const regions = await neighbours(isSmall ? 50 : 1_000);
console.error("memory");
const weights = await weigh(isSmall ? [1_000] : [1_000, 100_000]);
console.log(report({ scale, found, shared, regions, weights }));
