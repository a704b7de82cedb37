import { afterAll, expect, it } from "vitest";
import { until } from "../support/operator.ts";
import { documents, keysOf, openStage, readyCount, synced } from "./stage.ts";

const moments = 20;
const resources = 12;
const keys = 3;
const calls = Math.ceil((resources * keys) / 10);
const stage = await openStage();
const { cluster, aws, audit } = stage;

afterAll(() => stage.close());

/** A generator of numbers in [0, 1), deterministic for a seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Listed {
  items: { metadata: { name: string }; data?: Record<string, string> }[];
}

it(`killed at ${moments} moments of a first sync, it converges, without a half-written Secret or a needless write`, async () => {
  await stage.connect();
  const random = seeded(20_261_124);
  let interrupted = 0;
  for (let moment = 0; moment < moments; moment++) {
    const namespace = `kill-${moment}`;
    await cluster.run(["create", "namespace", namespace]);
    const parameters = (index: number) => Array.from({ length: keys }, (_, key) => `/${namespace}/r${index}/k${key}`);
    for (let index = 0; index < resources; index++) {
      for (const name of parameters(index)) await aws.putParameter({ name, type: "SecureString", value: name });
    }
    const objects = Array.from({ length: resources }, (_, i) => synced(namespace, `r${i}`, keysOf(parameters(i))));
    await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
    await audit.take();
    aws.resetCalls();

    // Answers are sequential, so that the writes are spread over the time from which the moments are drawn.
    for (let call = 0; call < calls; call++) {
      aws.fault({ operation: "GetParameters", kind: "delay", delayMs: 60 * (call + 1), times: 1 });
    }
    const first = await stage.operator([], { ready: false });
    await until(() => aws.count({ operation: "GetParameters" }) >= 1, 20_000, "the first read");
    await new Promise((resolve) => setTimeout(resolve, 60 * (calls + 1) * random()));
    await first.kill();
    aws.clearFaults();

    const { items } = JSON.parse(await cluster.run(["get", "secrets", "-n", namespace, "-o", "json"])) as Listed;
    for (const { data } of items) expect(Object.keys(data ?? {})).toHaveLength(keys);
    if (items.length < resources) interrupted += 1;

    const second = await stage.operator();
    await until(
      async () => (await readyCount(cluster, namespace)) === resources,
      30_000,
      `moment ${moment} to converge`,
    );
    await second.stop();
    const writes = new Map<string, number>();
    // Regardless of the response code: if the client is gone, a completed write is logged as failed.
    for (const { verb, resource, name, namespace: where, userAgent } of await audit.take()) {
      if (resource !== "secrets" || where !== namespace || !userAgent.startsWith("keyferry/")) continue;
      if (["patch", "create", "update", "delete"].includes(verb)) writes.set(name, (writes.get(name) ?? 0) + 1);
    }
    for (const [name, count] of writes) expect(count, `writes of ${name}`).toBeLessThanOrEqual(2);
    const after = JSON.parse(await cluster.run(["get", "secrets", "-n", namespace, "-o", "json"])) as Listed;
    for (const { metadata, data } of after.items) {
      const index = Number(metadata.name.slice(1));
      const values = Object.values(data!).map((value) => Buffer.from(value, "base64").toString());
      expect(values.sort()).toEqual(parameters(index).sort());
    }
    await cluster.run(["delete", "namespace", namespace, "--wait=false"]);
  }
  // Otherwise all moments would be after the sync, and the test would prove nothing.
  expect(interrupted).toBeGreaterThanOrEqual(5);
}, 300_000);
