import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { SyncedSecret } from "../../src/api/types.ts";
import { trimSecret, trimSyncedSecret } from "../../src/controllers/trim.ts";
import type { KubeObject } from "../../src/kube/resource.ts";
import { ParameterStore } from "./aws.ts";
import { SimulationClock } from "./clock.ts";
import { parametersEach } from "./fleet.ts";
import { secretText, syncedSecretText } from "./objects.ts";
import { seeded } from "./random.ts";
import { observerOf, pollIntervalMs } from "./world.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Heap bytes per item. */
export interface Weights {
  /** Bytes of a watched parameter, by the number of parameters. */
  entry: Map<number, number>;
  syncedSecret: number;
  secret: number;
}

/** @param counts numbers of watched parameters, one for each measurement */
export async function weigh(counts: readonly number[]): Promise<Weights> {
  const entry = new Map<number, number>();
  for (const count of counts) entry.set(count, await weighEntries(count));
  return { entry, syncedSecret: weighObjects(syncedSecret), secret: weighObjects(secret) };
}

/** Ten parameters per dependent, measured two rounds of polls after the first look. */
async function weighEntries(count: number): Promise<number> {
  const clock = new SimulationClock();
  const at = { account: "123456789012", region: "eu-west-1" };
  const store = new ParameterStore(at, clock, seeded(1), 1e6);
  const nameOf = (i: number) => `/shop/service-${Math.floor(i / parametersEach)}/credential-${i % parametersEach}`;
  for (let i = 0; i < count; i++) store.put(nameOf(i));
  const before = heapUsed();
  const observer = observerOf({ clock, random: seeded(2), stores: [store], limit: 1e5, notify: () => {} });
  for (let i = 0; i < count; i += parametersEach) {
    const names = Array.from({ length: parametersEach }, (_, k) => nameOf(i + k));
    observer.depend(
      `team-${Math.floor(i / 5_000)}/service-${i / parametersEach}`,
      names.map((name) => ({ reference: store.reference(name), pollIntervalMs })),
    );
  }
  await clock.run(3 * pollIntervalMs);
  const bytes = heapUsed() - before;
  if (store.looks < 2 * count) throw new Error("not everything was polled");
  observer.stop();
  return bytes / count;
}

function weighObjects(make: (i: number) => KubeObject): number {
  const count = 5_000;
  const kept: KubeObject[] = new Array(count);
  const before = heapUsed();
  for (let i = 0; i < count; i++) kept[i] = make(i);
  const bytes = heapUsed() - before;
  // Still referenced here, so that nothing was garbage-collected before.
  return bytes / kept.length;
}

const syncedSecret = (i: number) => trimSyncedSecret(JSON.parse(syncedSecretText(i)) as SyncedSecret & KubeObject);
const secret = (i: number) => trimSecret(JSON.parse(secretText(i)) as KubeObject);

function heapUsed(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
