import { secrets, syncedSecrets } from "../../src/kube/resource.ts";
import { Arrivals, isReady } from "../kubernetes.ts";
import { distinct, parametersOf, sharing } from "../load.ts";
import type { Row } from "./row.ts";

/** AWS's default quota for an account and region, in requests a second. */
const usualQuota = 40;

export const firstSyncRow: Row = {
  name: "1",
  about: "300 resources of 10 SecureStrings each, at 40 requests a second",
  async run(ground) {
    const load = distinct("first", ground.size(300), 10);
    await ground.fresh(load);
    await ground.quota(usualQuota);
    const arrivals = await Arrivals.of(
      ground.client,
      { resource: secrets, namespace: load.name, metadataOnly: true },
      () => true,
    );
    const ready = await ground.ready(load);
    const begun = performance.now();
    await ground.operator({ ready: false });
    const seconds = ((await arrivals.reach(load.resources, 120_000)) - begun) / 1_000;
    await ready.reach(load.resources, 60_000);
    await Promise.all([arrivals.stop(), ready.stop()]);
    ground.isSynced(load);

    const calls = await ground.door.ask("count", { operation: "GetParameters" });
    const throttled = await ground.door.ask("count", { error: "ThrottlingException" });
    const fewest = Math.ceil(parametersOf(load).length / 10);
    // The bucket starts full: one second's worth at once, then the rate.
    const soonest = Math.max(0, fewest - usualQuota) / usualQuota;
    return [
      { what: "GetParameters calls", value: calls, unit: "", goal: { atMost: fewest }, limit: fewest },
      { what: "of them throttled", value: throttled, unit: "", goal: { atMost: 0 } },
      {
        what: "process start to last Secret",
        value: seconds,
        unit: "s",
        goal: { atMost: soonest + 1 },
        limit: soonest,
      },
    ];
  },
};

export const sharedRow: Row = {
  name: "3",
  about: "1,000 resources that share the same 10 parameters, no quota",
  async run(ground) {
    const load = sharing("shared", ground.size(1_000), 10, 10);
    await ground.fresh(load);
    await ground.quota("none");
    const ready = await Arrivals.of(ground.client, { resource: syncedSecrets, namespace: load.name }, isReady);
    const begun = performance.now();
    await ground.operator({ ready: false });
    const seconds = ((await ready.reach(load.resources, 120_000)) - begun) / 1_000;
    await ready.stop();
    const calls = await ground.door.ask("count", { service: "ssm" });
    return [
      { what: "calls to Parameter Store", value: calls, unit: "", goal: { atMost: 1 }, limit: 1 },
      { what: "process start to last Ready", value: seconds, unit: "s" },
    ];
  },
};
