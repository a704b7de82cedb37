import { setTimeout as sleep } from "node:timers/promises";
import { type KubeObject, secrets } from "../../src/kube/resource.ts";
import { eventChain } from "../bare-chain.ts";
import { percentile } from "../figures.ts";
import type { Ground } from "../ground.ts";
import { follow } from "../kubernetes.ts";
import { distinct } from "../load.ts";
import { say } from "../progress.ts";
import { isOperatorsWrite } from "./bulk.ts";
import type { Row } from "./row.ts";

const changesASecond = 20;
/** Milliseconds after which a change counts as missed by events; the next poll is an hour away. */
const lostAfterMs = 10_000;

/** The load of the rows in this file: each parameter is the source of one key. */
const load = (ground: Ground) => distinct("events", ground.size(250), 4);

export const eventsRow: Row = {
  name: "6",
  about: "1,000 changes, 20 a second, by SQS, at 40 requests a second",
  async run(ground) {
    await ground.clear();
    await ground.door.ask("quota", "none");
    const bare = await eventChain(ground);
    await listen(ground);
    const { resources } = load(ground);
    const pending = new Map<string, number>();
    const latencies: number[] = [];
    const following = await follow(
      ground.client,
      { resource: secrets, namespace: "events", metadataOnly: true },
      ({ key }) => {
        const since = pending.get(key);
        if (since === undefined) return;
        pending.delete(key);
        latencies.push(performance.now() - since);
      },
    );
    /** Changes one parameter. Its event is sent after the response, so that it cannot precede the recorded time. */
    const change = async (index: number) => {
      const resource = index % resources;
      const name = `/events/r${resource}/k${Math.floor(index / resources) % 4}`;
      await ground.door.ask("putParameter", { name, type: "SecureString", value: `changed ${index}` });
      pending.set(`events/r${resource}`, performance.now());
    };
    const settled = async () => {
      const end = performance.now() + lostAfterMs;
      while (pending.size > 0 && performance.now() < end) await sleep(20);
    };
    await change(0);
    await settled();
    const changes = latencies.length > 0 ? ground.size(1_000) : 0;
    if (changes === 0) say("  no event has arrived");
    latencies.length = 0;
    await ground.door.ask("resetCalls");
    const begun = performance.now();
    for (let index = 1; index <= changes; index++) {
      await sleep(Math.max(0, begun + (index * 1_000) / changesASecond - performance.now()));
      await change(index);
    }
    await settled();
    const calls = await ground.door.ask("count", { service: "ssm" });
    await following.stop();
    const at = (share: number) => ({
      value: percentile(latencies, share),
      unit: "ms",
      goal: { atMost: 500 },
      limit: percentile(bare, share)!,
    });
    return [
      { what: "event to new Secret, median", ...at(0.5) },
      { what: "event to new Secret, 99th percentile", ...at(0.99) },
      { what: "calls to Parameter Store per change", value: calls / Math.max(1, changes), unit: "" },
      { what: "changes that took over 10 s", value: pending.size, unit: "", goal: { atMost: 0 } },
    ];
  },
};

export const burstRow: Row = {
  name: "7",
  about: "one parameter changed 50 times within a second, by SQS",
  async run(ground) {
    await listen(ground);
    await ground.audit.take();
    const changes = 50;
    const begun = performance.now();
    for (let index = 1; index <= changes; index++) {
      await sleep(Math.max(0, begun + index * 20 - performance.now()));
      await ground.door.ask("putParameter", { name: "/events/r0/k0", type: "SecureString", value: `burst ${index}` });
    }
    const last = performance.now();
    const wanted = Buffer.from(`burst ${changes}`).toString("base64");
    let came: number | null = null;
    while (came === null && performance.now() < last + lostAfterMs) {
      const secret = await ground.client.get<KubeObject & { data: { K0: string } }>(secrets, "events", "r0");
      if (secret.data.K0 === wanted) came = performance.now() - last;
      else await sleep(20);
    }
    await sleep(2_000);
    const writes = (await ground.audit.take()).filter(
      (request) => isOperatorsWrite(request) && request.resource === "secrets",
    );
    return [
      { what: "last change to its value in the Secret", value: came, unit: "ms", goal: { atMost: 1_000 } },
      { what: "writes of the Secret", value: writes.length, unit: "", goal: { atMost: 6 } },
    ];
  },
};

/** Syncs the load, and starts an operator that receives from a queue and polls hourly. */
async function listen(ground: Ground): Promise<void> {
  const { door } = ground;
  await ground.synced(load(ground));
  const queueUrl = await door.ask("createQueue", "keyferry-bench");
  await ground.quota(40, { pollInterval: "1h", events: { queueUrl } });
  const ready = await ground.ready(load(ground));
  await ground.operator();
  await ready.reach(load(ground).resources, 60_000);
  await ready.stop();
  await door.ask("eventsTo", queueUrl);
  // The looks of the start are done.
  await sleep(3_000);
}
