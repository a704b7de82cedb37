import { afterAll, expect, it } from "vitest";
import { type RunningOperator, until } from "../support/operator.ts";
import { documents, openStage, readyCount, synced } from "./stage.ts";

/** Five parameters expire, and AWS, whose deletions are late, deletes them at once. The poll interval is an hour. */

const stage = await openStage();
const { cluster, aws } = stage;
let operator: RunningOperator;

afterAll(async () => {
  await operator?.stop();
  await stage.close();
});

const keysIn = async (name: string) => {
  const text = await cluster.run(["get", "secret", name, "-n", "expiry", "-o", "jsonpath={.data}"]).catch(() => "");
  return text === "" ? undefined : Object.keys(JSON.parse(text) as object).sort();
};
const reasonOf = (name: string) =>
  cluster.run(["get", "kss", name, "-n", "expiry", "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}']);

it("five expiries act within a second, and an expiry during downtime acts at the next start", async () => {
  await cluster.run(["create", "namespace", "expiry"]);
  await stage.connect({ pollInterval: "1h" });
  operator = await stage.operator();
  const before = performance.now();
  await keysIn("none");
  // The current duration of a kubectl call on this machine; five are made at once below.
  const lookMs = Math.ceil(performance.now() - before);
  const begin = Date.now() + 9_000 + 30 * lookMs;
  const whenExpired = ["DeleteKeys", "DeleteKeys", "DeleteSecret", "Retain", "DeleteKeys"] as const;
  const instants = whenExpired.map((_, n) => begin + n * 500);
  const slept = begin + 6_000;
  const put = (name: string, at: number) => {
    const policy = { Type: "Expiration", Version: "1.0", Attributes: { Timestamp: new Date(at).toISOString() } };
    const parameter = { name, value: "v", type: "SecureString", tier: "Advanced" } as const;
    return aws.putParameter({ ...parameter, policies: JSON.stringify([policy]) });
  };
  await aws.putParameter({ name: "/expiry/stays", value: "stays" });
  const objects: object[] = [];
  const make = async (name: string, at: number, then: (typeof whenExpired)[number]) => {
    await put(`/expiry/${name}`, at);
    const data = [
      { key: "GOES", parameter: { name: `/expiry/${name}` } },
      { key: "STAYS", parameter: { name: "/expiry/stays" } },
    ];
    objects.push(synced("expiry", name, { data, refresh: { whenExpired: then } }));
  };
  for (const [n, at] of instants.entries()) await make(`e${n}`, at, whenExpired[n]!);
  await make("slept", slept, "DeleteKeys");
  await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
  await until(async () => (await readyCount(cluster, "expiry")) === objects.length, 30_000, "the first sync");
  expect(Date.now(), "the first sync was over in time").toBeLessThan(begin);

  const acted = await Promise.all(
    instants.map(async (at, n) => {
      const name = `e${n}`;
      const isDone = async () => {
        if (whenExpired[n] === "Retain") return (await reasonOf(name)) === "Expired";
        const keys = await keysIn(name);
        return whenExpired[n] === "DeleteSecret" ? keys === undefined : keys?.join() === "STAYS";
      };
      await until(isDone, 60_000, `the expiry of ${name}`);
      return Date.now() - at;
    }),
  );
  for (const late of acted) {
    expect(late).toBeGreaterThanOrEqual(0);
    expect(late).toBeLessThan(1_000 + 10 * lookMs);
  }
  expect(await keysIn("e3")).toEqual(["GOES", "STAYS"]);
  expect(await operator.metric("keyferry_parameter_expiration_timestamp_seconds", { name: "slept" })).toBe(
    slept / 1_000,
  );

  await operator.stop();
  await until(() => Date.now() > slept + 100, 60_000);
  expect(await keysIn("slept")).toEqual(["GOES", "STAYS"]);
  // AWS has deleted the parameter: only the status has its Expiration, so the missing grace also applies.
  operator = await stage.operator(["--missing-grace", "2s"]);
  await until(
    async () => (await keysIn("slept"))?.join() === "STAYS",
    5_000 + 20 * lookMs,
    "the expiry that was slept through",
  );
  expect(await keysIn("e2")).toBeUndefined();
});
