import { setTimeout as sleep } from "node:timers/promises";
import { type KubeObject, namespaces, syncedSecrets } from "../../src/kube/resource.ts";
import { keysOf, synced } from "../../test/e2e/stage.ts";
import { until } from "../../test/support/operator.ts";
import { creationChain } from "../bare-chain.ts";
import { percentile } from "../figures.ts";
import type { Ground } from "../ground.ts";
import { Arrivals, atOnce, isReady } from "../kubernetes.ts";
import { distinct, parametersOf } from "../load.ts";
import { say } from "../progress.ts";
import type { Row } from "./row.ts";

const tries = 50;
const rate = 40;
const labels = { bench: "try" };
const nameOf = (index: number) => `try-${index}`;

export const urgentRow: Row = {
  name: "8",
  about: "a new resource, 50 times, while 5,000 others of 3 SecureStrings sync in bulk at 40 requests a second",
  async run(ground) {
    await ground.clear();
    await ground.door.ask("quota", "none");
    const bare = await creationChain(ground);
    const load = distinct("crowd", ground.size(5_000), 3);
    await ground.fresh(load);
    await atOnce(tries, (index) => ground.apply(namespaces, undefined, nameOf(index), {}));
    await ground.door.put(Array.from({ length: tries }, (_, index) => `/${nameOf(index)}/k`));
    await ground.quota(rate);
    const ready = await Arrivals.of(ground.client, { resource: syncedSecrets, labelSelector: "bench=try" }, isReady);

    await ground.operator();
    const asked = () => ground.door.ask("count", { operation: "GetParameters" });
    await until(async () => (await asked()) > rate, 60_000, "the bulk sync to begin");
    const calls = parametersOf(load).length / 10;
    const pauseMs = (0.8 * (calls / rate) * 1_000) / tries;
    say(`  the bulk sync has begun; a resource every ${(pauseMs / 1_000).toFixed(2)} s`);
    const applied: number[] = [];
    let during = 0;
    for (let index = 0; index < tries; index++) {
      if ((await asked()) < calls) during += 1;
      const object = synced(nameOf(index), "one", keysOf([`/${nameOf(index)}/k`])) as KubeObject;
      applied[index] = performance.now();
      await ground.client.create(syncedSecrets, { ...object, metadata: { ...object.metadata, labels } });
      await sleep(Math.max(0, applied[index]! + pauseMs - performance.now()));
    }
    const all = await ready.reach(tries, 60_000).catch(() => undefined);
    await ready.stop();
    const latencies = applied.flatMap((at, index) => (ready.times.get(`${nameOf(index)}/one`) ?? Number.NaN) - at);
    const came = latencies.filter((latency) => !Number.isNaN(latency));
    await clearTries(ground);
    const note = `${during} of ${tries} during the bulk sync`;
    const at = (share: number, atMost: number, values: readonly number[]) => ({
      value: percentile(values, share),
      unit: "ms",
      goal: { atMost },
      limit: percentile(bare, share)!,
      note,
    });
    return [
      { what: "applied to Ready, median", ...at(0.5, 60, came) },
      { what: "applied to Ready, 99th percentile", ...at(0.99, 300, all === undefined ? [] : came) },
    ];
  },
};

async function clearTries(ground: Ground): Promise<void> {
  await ground.stopOperators();
  await atOnce(tries, (index) => ground.remove(syncedSecrets, nameOf(index)));
}
