import type { Site } from "./fleet.ts";
import { seeded } from "./random.ts";
import { Stage, sharedName } from "./stage.ts";
import { pollIntervalMs, type World } from "./world.ts";

/** Latency of an event through EventBridge and SQS in milliseconds: the minimum, and the range above it. */
const announcement = { least: 500, spread: 1_500 };
/** The share of parameters that change at once. */
const changedShare = 0.01;

/** The cost of one step at one site. */
export interface Cost {
  ms: number;
  calls: number;
  /** Calls with decryption. */
  reads: number;
  throttles: number;
  /** Decrypted values: each is a request to KMS. */
  decrypts: number;
}

/** A round of polls in which nothing changes. */
export interface Round extends Cost {
  /** Milliseconds between two polls of a parameter: planned, maximum and sum. */
  intervalMs: number;
  longestMs: number;
  meanMs: number;
}

/** A change: milliseconds until each dependent was notified, and until its Secret was updated. */
export interface Change extends Cost {
  told: number[];
  made: number[];
}

/** The results of one site. */
export interface Found {
  site: Site;
  parameters: number;
  first: Cost;
  firstAt40: Cost;
  round: Round;
  byPolls: Change;
  restart: Cost;
  byAnnouncements: Change;
}

/** The result of a change to one parameter that all SyncedSecrets of a site use. */
export interface Shared {
  byPolls: Change;
  byAnnouncements: Change;
}

/** Simulates one site: a first sync, polls, changes, and a restart. */
export async function simulate(site: Site): Promise<Found> {
  return { ...(await fromNothing(site)), firstAt40: await quick(site), ...(await fromCurrent(site)) };
}

async function fromNothing(site: Site) {
  const stage = new Stage(site);
  const world = stage.world();
  const first = await firstSync(stage, world);
  const round = await unchanged(stage, world);
  const byPolls = await change(stage, world, someOf(stage, 1), "polls");
  world.close();
  return { site, parameters: stage.parameters, first, round, byPolls };
}

async function quick(site: Site): Promise<Cost> {
  const stage = new Stage(site);
  const world = stage.world(40);
  const cost = await firstSync(stage, world);
  world.close();
  return cost;
}

async function fromCurrent(site: Site) {
  const stage = new Stage(site);
  const world = stage.world();
  const restart = await resumed(stage, world);
  const byAnnouncements = await change(stage, world, someOf(stage, 2), "announcements");
  world.close();
  return { restart, byAnnouncements };
}

/** Simulates a site whose SyncedSecrets all share one parameter. */
export async function simulateShared(site: Site): Promise<Shared> {
  const stage = new Stage(site, true);
  const world = stage.world();
  await resumed(stage, world);
  const byPolls = await change(stage, world, [sharedName], "polls");
  const byAnnouncements = await change(stage, world, [sharedName], "announcements");
  world.close();
  return { byPolls, byAnnouncements };
}

/** A start with everything current, until the first look at each parameter. */
function resumed(stage: Stage, world: World): Promise<Cost> {
  return measured(stage, async () => {
    stage.fill(world, "current");
    await stage.clock.runUntil(() => stage.store.looks >= stage.parameters);
  });
}

function firstSync(stage: Stage, world: World): Promise<Cost> {
  return measured(stage, async () => {
    stage.fill(world, "new");
    await stage.clock.runUntil(() => world.isSettled);
  });
}

/** One interval after the first polls, which are spread over an interval. */
async function unchanged(stage: Stage, world: World): Promise<Round> {
  const { clock, store } = stage;
  const intervalMs = pollIntervalMs * world.observer.stretch(store.identity.key);
  await clock.run(intervalMs);
  const cost = await measured(stage, () => clock.run(intervalMs));
  const { longest, sum, count } = store.gaps;
  return { ...cost, intervalMs, longestMs: longest, meanMs: sum / count };
}

async function change(
  stage: Stage,
  world: World,
  names: readonly string[],
  heardBy: "polls" | "announcements",
): Promise<Change> {
  const { clock, store, site } = stage;
  const from = clock.monotonic();
  const random = seeded(site.seed + 3);
  const keys = new Set(names.flatMap((name) => [...stage.dependents(name)]));
  const resources = [...keys].map((key) => world.resources.get(key)!);
  const cost = await measured(stage, async () => {
    for (const name of names) {
      store.put(name);
      if (heardBy === "polls") continue;
      const announce = () => void world.observer.announced(store.identity, store.account, name);
      clock.setTimer(announce, announcement.least + announcement.spread * random());
    }
    await clock.runUntil(() => world.isSettled && resources.every(({ madeAt }) => madeAt > from));
  });
  const told = resources.map(({ toldAt }) => toldAt - from);
  return { ...cost, told, made: resources.map(({ madeAt }) => madeAt - from) };
}

function someOf({ names, site }: Stage, salt: number): string[] {
  const random = seeded(site.seed + 10 * salt);
  const chosen = new Set<string>();
  const count = Math.max(Math.round(names.length * changedShare), 1);
  while (chosen.size < count) chosen.add(names[Math.floor(random() * names.length)]!);
  return [...chosen];
}

async function measured({ clock, store }: Stage, work: () => Promise<void>): Promise<Cost> {
  store.reset();
  const from = clock.monotonic();
  await work();
  const { calls, reads, throttles, decrypts } = store;
  return { ms: clock.monotonic() - from, calls, reads, throttles, decrypts };
}
