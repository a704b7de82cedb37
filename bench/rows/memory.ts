import { setTimeout as sleep } from "node:timers/promises";
import { type KubeObject, namespaces, secrets } from "../../src/kube/resource.ts";
import { until } from "../../test/support/operator.ts";
import { median } from "../figures.ts";
import type { Ground } from "../ground.ts";
import { atOnce } from "../kubernetes.ts";
import { distinct, type Load, parametersOf, sharing } from "../load.ts";
import { besides, type Memory, memoryOf } from "../processes.ts";
import { say } from "../progress.ts";
import { idleMs } from "./bulk.ts";
import type { Row } from "./row.ts";

export const memoryRow: Row = {
  name: "9",
  about: "memory with 10,000 resources of one key each, which share 1,000 SecureStrings, no quota",
  async run(ground) {
    const load = sharing("many", ground.size(10_000), 1, ground.size(1_000));
    await ground.fresh(load);
    await ground.quota("none");
    const ready = await ground.ready(load);
    say("  syncing");
    const begun = performance.now();
    const operator = await ground.operator();
    const perSecond = load.resources / (((await ready.reach(load.resources, 240_000)) - begun) / 1_000);
    await ready.stop();
    await sleep(idleMs);
    const first = await memoryOf(operator.pid);
    await operator.stop();
    ground.isSynced(load);
    say("  again after a restart");
    const second = await afterStart(ground, load);
    const goal = { atMost: 230 };
    return [
      {
        what: "resident 10 s after the first sync",
        value: first.resident,
        unit: "MB",
        goal,
        note: besides(first),
      },
      {
        what: "resident 10 s after a restart",
        value: second.resident,
        unit: "MB",
        goal,
        note: besides(second),
      },
      { what: "resources a second", value: perSecond, unit: "/s" },
    ];
  },
};

export const foreignRow: Row = {
  name: "10",
  about: "memory with 20,000 Secrets of other owners beside 300 resources of 10 SecureStrings",
  async run(ground) {
    const load = distinct("first", ground.size(300), 10);
    await ground.synced(load);
    await ground.quota("none");
    const without = await ofStarts(ground, load);
    const others = ground.size(20_000);
    say(`  creating ${others} Secrets of other owners`);
    await ground.apply(namespaces, undefined, "foreign", {});
    const data = { token: Buffer.from("x".repeat(200)).toString("base64") };
    await atOnce(others, (index) =>
      ground.client.create(secrets, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { namespace: "foreign", name: `s${index}` },
        data,
      } as KubeObject),
    );
    const beside = await ofStarts(ground, load);
    const note = `${without.toFixed(0)} MB without, ${beside.toFixed(0)} MB with them; the median of three starts`;
    return [
      {
        what: "resident for the Secrets of other owners",
        value: beside - without,
        unit: "MB",
        goal: { atMost: 5 },
        note,
      },
    ];
  },
};

/** The median of three starts. */
async function ofStarts(ground: Ground, load: Load): Promise<number> {
  const resident: number[] = [];
  for (let start = 0; start < 3; start++) resident.push((await afterStart(ground, load)).resident);
  return median(resident)!;
}

/** Starts an operator with nothing to write, and measures its memory after an idle period. */
async function afterStart(ground: Ground, load: Load): Promise<Memory> {
  const operator = await ground.operator();
  const parameters = parametersOf(load).length;
  const watched = () => operator.metric("keyferry_watched_parameters");
  await until(async () => (await watched()) >= parameters, 60_000, "every parameter watched");
  await sleep(idleMs);
  const memory = await memoryOf(operator.pid);
  await operator.stop();
  return memory;
}
