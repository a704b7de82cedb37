import { expect, test } from "vitest";
import { Operator } from "../../src/controllers/operator.ts";
import { KubeClient } from "../../src/kube/client/client.ts";
import { KubeError } from "../../src/kube/errors.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { silent } from "../../src/runtime/log.ts";
import { FakeClock } from "../support/clock.ts";

/** An operator whose API server refuses connections. */
function operatorOn(clock: FakeClock, namespaces: readonly string[] = []): Operator {
  const metrics = new Metrics();
  const access = () => Promise.reject(new KubeError("network", "no connection", { code: "ECONNREFUSED" }));
  const connection = { access, renew: async () => {}, close: async () => {} };
  const client = new KubeClient({ connection, metrics, clock, log: silent, userAgent: "keyferry-test" });
  return new Operator({
    ...{ client, metrics, clock, log: silent, random: Math.random, election: undefined },
    clientsOfTerm: () => {
      throw new Error("no term begins");
    },
    settings: {
      namespaces,
      readOnly: false,
      protectedNamespaces: new Set(),
      allowedTargetMetadata: [],
      missingGraceMs: 300_000,
      perObjectMetrics: true,
      maxConcurrentRollouts: 5,
      rolloutKinds: ["Deployment", "StatefulSet", "DaemonSet"],
      clusterName: "",
      instance: "keyferry-0",
    },
  });
}

test("an operator that cannot reach the API server is healthy, and not ready", async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const operator = operatorOn(clock);
  const running = operator.run(stop.signal);
  for (let minutes = 0; minutes < 10; minutes++) {
    await clock.advance(60_000);
    expect(operator.unhealthy).toBeUndefined();
  }
  expect(operator.unready).toBe("caches are being filled");
  stop.abort();
  await running;
});

test("an operator whose watches make no step for over five minutes is unhealthy, until it stops", async () => {
  /** Its timers never fire, so that no delay ends. */
  class BrokenClock extends FakeClock {
    override setTimer() {
      return { cancel() {} };
    }
  }
  const clock = new BrokenClock();
  const stop = new AbortController();
  const operator = operatorOn(clock, ["shop"]);
  const running = operator.run(stop.signal);
  await clock.advance(300_000);
  expect(operator.unhealthy).toBeUndefined();
  await clock.advance(1_000);
  expect(operator.unhealthy).toBe("the watch of syncedsecrets in namespace shop is stuck: no step for 301 s");
  stop.abort();
  await running;
  expect(operator.unhealthy).toBeUndefined();
});
