import { afterAll, expect, it } from "vitest";
import { keyferry } from "../cli/run.ts";
import { until } from "../support/operator.ts";
import { keysOf, openStage, synced } from "./stage.ts";

const stage = await openStage();
const { cluster, aws } = stage;
afterAll(() => stage.close());

interface Printed {
  costs: { what: string; count: number | null; dollars: number | null }[];
  dollars: number;
}

it("keyferry cost computes a running operator's requests from its metrics", async () => {
  const key = await aws.createKey();
  const names = Array.from({ length: 25 }, (_, n) => `/cost/p${n}`);
  await aws.putParameters(names.map((name) => ({ name, value: name, type: "SecureString" as const })));
  await stage.connect();
  const blob = { key: "B", kms: { ciphertext: await aws.encrypt({ keyId: key, plaintext: "b" }) } };
  const spec = { data: [...keysOf(names).data!, blob], refresh: { pollInterval: "1h" } };
  await cluster.run(["apply", "-f", "-"], JSON.stringify(synced("default", "cost", spec)));
  aws.resetCalls();
  const operator = await stage.operator();
  const get = ["get", "secret", "cost", "-o", "name", "--ignore-not-found"];
  await until(async () => (await cluster.run(get)) !== "", 20_000, "the Secret");

  const start = await operator.metric("process_start_time_seconds");
  await until(() => Date.now() / 1_000 - start > 2, 5_000, "two seconds of running");
  const { code, out, err } = await keyferry(["cost", "-o", "json", "--metrics", operator.metricsUrl]);
  expect([code, err]).toEqual([0, expect.stringContaining("the operator has run for 0.0 h")]);
  const { costs, dollars } = JSON.parse(out) as Printed;
  const counts = new Map(costs.map(({ what, count }) => [what, count!]));
  // All have the same rate per month; the emulator has counted the requests.
  const asked = aws.count({ operation: "GetParameters", via: "client" });
  const rate = counts.get("ssm:GetParameters")! / asked;
  expect(asked).toBe(3);
  expect(rate).toBeGreaterThan(30 * 24 * 60);
  const each = Object.fromEntries([...counts].map(([what, count]) => [what, Math.round(count / rate)]));
  expect(each).toMatchObject({
    "parameters asked for by these": 25,
    "kms:Decrypt of SecureStrings": 25,
    "kms:Decrypt of blobs and messages": aws.count({ operation: "Decrypt", via: "client" }),
  });
  // Each is rounded to a cent.
  const sum = costs.reduce((cents, one) => cents + (one.dollars ?? 0), 0);
  expect(Math.abs(dollars - sum)).toBeLessThan(0.01 * costs.length);
  expect(dollars).toBeGreaterThan(0);
  const table = await keyferry(["cost", "--metrics", operator.metricsUrl]);
  expect(table).toMatchObject({ code: 0, out: expect.stringContaining("kms:Decrypt of SecureStrings") });
  await operator.stop();
}, 60_000);
