import { setTimeout as sleep } from "node:timers/promises";
import type { AuditedRequest } from "../../test/cluster/audit.ts";
import { bareLoop, patternOf } from "../bare-loop.ts";
import type { Ground } from "../ground.ts";
import { distinct, type Load } from "../load.ts";
import { besides, cpuSecondsOf, memoryOf } from "../processes.ts";
import { say } from "../progress.ts";
import type { Row } from "./row.ts";

/** Idle milliseconds before memory is measured again. */
export const idleMs = 10_000;

/** The load of rows 2 and 5. */
export const bulkLoad = (ground: Ground): Load => distinct("bulk", ground.size(2_000), 3);

/** The operator's write requests. */
export const isOperatorsWrite = ({ verb, userAgent }: AuditedRequest): boolean =>
  userAgent.startsWith("keyferry/") && !["get", "list", "watch"].includes(verb);

export const bulkRow: Row = {
  name: "2",
  about: "2,000 resources of 3 SecureStrings each, no quota, beside the same writes by a bare loop",
  async run(ground) {
    const load = bulkLoad(ground);
    const pattern = await patternOf(ground, load);
    say("  the same writes by a bare loop");
    const before = await bareLoop(ground, "bare-before", load, pattern);
    await ground.fresh(load);
    await ground.quota("none");
    const ready = await ground.ready(load);
    await ground.audit.take();

    say("  syncing");
    const [begun, begunAt] = [performance.now(), Date.now()];
    const operator = await ground.operator({ ready: false });
    const perSecond = load.resources / (((await ready.reach(load.resources, 180_000)) - begun) / 1_000);
    const [cpuSeconds, after] = [await cpuSecondsOf(operator.pid), await memoryOf(operator.pid)];
    await ready.stop();
    await sleep(idleMs);
    const idle = await memoryOf(operator.pid);
    const written = (await ground.audit.take()).filter(
      (request) => isOperatorsWrite(request) && ["secrets", "syncedsecrets/status"].includes(request.resource),
    );
    await operator.stop();
    ground.isSynced(load);
    say("  the same writes by a bare loop, again");
    const again = await bareLoop(ground, "bare-after", load, pattern);

    const bare = (before + again) / 2;
    // From the audit log: a watch of the Secrets would slow the API server down.
    const secretsAt = written.filter(({ resource }) => resource === "secrets").map(({ at }) => at);
    const lastSecret = (Math.max(...secretsAt) - begunAt) / 1_000;
    const bareSeconds = load.resources / bare;
    const note = `a bare loop made ${before.toFixed(0)} before and ${again.toFixed(0)} after`;
    return [
      { what: "resources a second", value: perSecond, unit: "/s", goal: { atLeast: 130 }, limit: bare, note },
      { what: "share of the bare loop", value: (100 * perSecond) / bare, unit: "%", goal: { atLeast: 70 } },
      { what: "process start to the request of the last Secret", value: lastSecret, unit: "s", limit: bareSeconds / 2 },
      {
        what: "last Secret of 2,000 × 3 without a quota, as a share of the bare loop's time for both writes of all",
        value: (100 * lastSecret) / bareSeconds,
        unit: "%",
        goal: { atMost: 60 },
      },
      {
        what: "Kubernetes writes per resource",
        value: written.length / load.resources,
        unit: "",
        goal: { atMost: 2 },
        limit: 2,
      },
      { what: "processor time of the operator", value: cpuSeconds, unit: "s", goal: { atMost: 6 } },
      {
        what: "resident at the end of the sync",
        value: after.resident,
        unit: "MB",
        note: besides(after),
      },
      {
        what: "resident after 10 s idle",
        value: idle.resident,
        unit: "MB",
        goal: { atMost: 150 },
        note: besides(idle),
      },
    ];
  },
};
