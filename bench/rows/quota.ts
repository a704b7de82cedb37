import { setTimeout as sleep } from "node:timers/promises";
import { distinct } from "../load.ts";
import { say } from "../progress.ts";
import type { Row } from "./row.ts";

const [usual, low] = [40, 5];
/** Milliseconds of the window for a rate. */
const windowMs = 3_000;

export const quotaRow: Row = {
  name: "11",
  about: "a quota that drops from 40 to 5 requests a second for 20 s, while 2,600 resources of 10 SecureStrings sync",
  async run(ground) {
    const load = distinct("drop", ground.size(2_600), 10);
    await ground.fresh(load);
    await ground.quota(usual);
    const ready = await ground.ready(load);
    const begun = performance.now();
    await ground.operator();
    await sleep(12_000);
    say(`  the quota drops to ${low}`);
    await ground.door.ask("quota", low);
    await sleep(20_000);
    say(`  the quota is ${usual} again`);
    await ground.door.ask("quota", usual);
    const restoredAt = Date.now();
    await ready.reach(load.resources, 150_000).catch(() => {});
    await ready.stop();
    const seconds = (performance.now() - begun) / 1_000;

    const log = await ground.door.ask("log", { service: "ssm" });
    const throttled = log.filter(({ error }) => error === "ThrottlingException").length;
    const answered = log.filter(({ status, at }) => status === 200 && at >= restoredAt).map(({ at }) => at);
    const enough = 0.95 * usual * (windowMs / 1_000);
    const backAt = answered.find((at, index) => answered[index - enough + 1]! > at - windowMs);
    const backAfter = backAt === undefined ? null : (backAt - restoredAt) / 1_000;
    const unsynced = load.resources - ready.times.size;
    return [
      { what: "resources left unsynced", value: unsynced, unit: "", goal: { atMost: 0 } },
      {
        what: "calls throttled",
        value: (100 * throttled) / log.length,
        unit: "%",
        goal: { atMost: 2 },
        note: `${throttled} of ${log.length}, in ${seconds.toFixed(0)} s`,
      },
      {
        what: "restored to 38 requests a second",
        value: backAfter,
        unit: "s",
        goal: { atMost: 30 },
        limit: windowMs / 1_000,
        note: "answered, over 3 s",
      },
    ];
  },
};
