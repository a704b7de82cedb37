import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { startTracing } from "../../src/cli/tracing.ts";
import type { Log } from "../../src/runtime/log.ts";
import { freePort } from "../cluster/ports.ts";
import { heldBytes } from "../support/heap.ts";
import { until } from "../support/operator.ts";
import { startOtlpReceiver } from "../support/otlp-receiver.ts";

const settings = { traceSampleRatio: 1, clusterName: "" };
const logTo = (lines: string[]): Log => {
  const write = (_: object, message: string) => void lines.push(message);
  return { debug: write, info: write, warn: write, error: write };
};

test("traces are off without an endpoint", async () => {
  expect(await startTracing(settings, logTo([]))).toBeUndefined();
});

test("the program's main file has no part of OpenTelemetry", async () => {
  const hasIt = async (file: string) => (await readFile(file, "utf8")).includes("BatchSpanProcessor");
  expect([await hasIt("dist/keyferry.js"), await hasIt("dist/keyferry-otlp.js")]).toEqual([false, true]);
});

test("a sample ratio of 0 sends nothing, and of 1 everything", async () => {
  const receiver = await startOtlpReceiver();
  for (const traceSampleRatio of [0, 1]) {
    const tracing = (await startTracing({ ...settings, traceSampleRatio, otlpEndpoint: receiver.url }, logTo([])))!;
    for (let n = 0; n < 10; n++) {
      const span = tracing.start("reconcile", { ratio: traceSampleRatio, none: undefined });
      span.child("read").end();
      span.end();
    }
    await tracing.close();
  }
  const spans = receiver.spans();
  expect(spans).toHaveLength(20);
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(10);
  expect(spans.find(({ name }) => name === "reconcile")?.attributes).toEqual({ ratio: 1 });
  await receiver.close();
});

test("while the receiver is down, the spans that wait are bounded and one line is logged", async () => {
  const port = await freePort();
  const lines: string[] = [];
  const otlpEndpoint = `http://127.0.0.1:${port}/`;
  const tracing = (await startTracing({ ...settings, otlpEndpoint }, logTo(lines)))!;
  const before = await heldBytes();
  for (let n = 0; n < 50_000; n++) tracing.start("reconcile", { "keyferry.syncedsecret.name": `r${n}` }).end();
  const down = "traces could not be sent; further failures are not logged";
  await until(() => lines.includes(down), 30_000, "the line in the log");
  for (let n = 0; n < 50_000; n++) tracing.start("reconcile", { "keyferry.syncedsecret.name": `s${n}` }).end();
  // 100,000 spans would take over 100 MB.
  expect((await heldBytes()) - before).toBeLessThan(60 << 20);
  const receiver = await startOtlpReceiver(port);
  tracing.start("reconcile", {}).end();
  await until(() => receiver.spans().length > 0, 30_000, "spans at the receiver");
  await tracing.close();
  // Those that waited, those of a request under way, and the last ones.
  expect(receiver.spans().length).toBeLessThanOrEqual(2_048 + 2 * 512 + 1);
  expect(lines.filter((line) => line === down)).toHaveLength(1);
  expect(lines).toContain("traces are sent again");
  await receiver.close();
}, 90_000);
