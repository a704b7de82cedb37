import type { Random } from "../../src/runtime/clock.ts";
import { awsRate, ParameterStore } from "./aws.ts";
import { SimulationClock } from "./clock.ts";
import { parametersEach } from "./fleet.ts";
import { seeded } from "./random.ts";
import { World } from "./world.ts";

/** The result of a region. */
export interface Neighbour {
  name: string;
  /** The quota in requests a second. */
  rate: number;
  /** Requests a second of other callers. */
  foreign: number;
}

export interface Outcome extends Neighbour {
  /** Milliseconds until its last Secret was made. */
  ms: number;
  calls: number;
  throttles: number;
  /** Calls of other callers, and the throttled ones of these. */
  foreignCalls: number;
  foreignThrottles: number;
}

const healthy = ["a", "b", "c", "d"].map((name) => ({ name: `healthy ${name}`, rate: awsRate, foreign: 0 }));
const troubled = [
  { name: "throttled to 5/s", rate: 5, foreign: 0 },
  { name: "foreign reader at 35/s", rate: awsRate, foreign: 35 },
];
const more = ["a", "b", "c"].map((name) => ({ name: `throttled to 2/s ${name}`, rate: 2, foreign: 0 }));

/** First syncs by one process: of healthy regions alone, and beside two and five impaired ones. */
export interface Outcomes {
  alone: Outcome[];
  besideTwo: Outcome[];
  besideFive: Outcome[];
}

/** @param resources number in each region */
export async function neighbours(resources: number): Promise<Outcomes> {
  return {
    alone: await syncAll(healthy, resources),
    besideTwo: await syncAll([...healthy, ...troubled], resources),
    besideFive: await syncAll([...healthy, ...troubled, ...more], resources),
  };
}

async function syncAll(regions: readonly Neighbour[], resources: number): Promise<Outcome[]> {
  const clock = new SimulationClock();
  const random = seeded(7);
  const stores = regions.map(
    ({ name, rate }, i) => new ParameterStore({ account: name, region: "eu-west-1" }, clock, seeded(i), rate),
  );
  const world = new World({ clock, stores, seed: 8 });
  for (let i = 0; i < resources; i++) {
    for (const store of stores) {
      const names = Array.from({ length: parametersEach }, (_, k) => `/shop/service-${i}/credential-${k}`);
      for (const name of names) store.put(name);
      world.add(`${store.account}/service-${i}`, store, names);
    }
  }
  const strangers = regions.map(({ foreign }, i) => stranger(stores[i]!, foreign, clock, random));
  await clock.runUntil(() => world.isSettled);
  world.close();
  const all = [...world.resources.values()];
  return regions.map((region, i) => {
    const store = stores[i]!;
    const ms = all.reduce((last, resource) => (resource.store === store ? Math.max(last, resource.madeAt) : last), 0);
    return { ...region, ms, calls: store.calls, throttles: store.throttles, ...strangers[i]! };
  });
}

/** Calls of another caller at random times, `perSecond` on average, while the clock runs. */
function stranger(store: ParameterStore, perSecond: number, clock: SimulationClock, random: Random) {
  const counts = { foreignCalls: 0, foreignThrottles: 0 };
  const call = () => {
    counts.foreignCalls += 1;
    if (!store.foreign()) counts.foreignThrottles += 1;
    clock.setTimer(call, (-1_000 * Math.log(1 - random())) / perSecond);
  };
  if (perSecond > 0) clock.setTimer(call, 0);
  return counts;
}
