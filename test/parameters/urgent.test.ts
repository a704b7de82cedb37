import { beforeEach, expect, it } from "vitest";
import type { Identity } from "../../src/aws/identity.ts";
import { claim } from "../support/limiters.ts";
import { type ObserverRig, observerRig, parameterOf, pathOf, subscription } from "../support/observer.ts";

let rig: ObserverRig;
let identity: Identity;

/** Reads 3,000 parameters in bulk at 20 calls a second, which takes 15 seconds. */
beforeEach(async () => {
  rig = observerRig({ limit: 20 });
  const { aws, clock, observer, quotas } = rig;
  identity = aws.identity();
  quotas.set("c", claim(identity.key));
  aws.fault = () => new Promise((resolve) => clock.setTimer(resolve, 10));
  for (let i = 0; i < 3_000; i++) {
    aws.put(`/p${i}`, "v");
    observer.depend(`bulk/s${i}`, [subscription(parameterOf(identity, `/p${i}`))]);
    void observer.values(parameterOf(identity, `/p${i}`), "bulk", { namespace: "bulk" });
  }
  for (let i = 0; i < 30; i++) aws.put(`/app/p${i}`, "v");
  observer.depend("bulk/path", [subscription(pathOf(identity, "/app"))]);
  void observer.values(pathOf(identity, "/app"), "bulk", { namespace: "bulk" });
  await clock.advance(2_000);
});

it("an interactive read joins a pending bulk read of the same value and is answered at once", async () => {
  let isRead = false;
  const reading = rig.observer.values(parameterOf(identity, "/p2999"), "interactive", { namespace: "person" });
  void reading.then(() => {
    isRead = true;
  });
  await rig.clock.advance(150);
  expect(isRead).toBe(true);
  await rig.clock.advance(30_000);
  expect(rig.aws.calls.filter(({ names }) => names.includes("/p2999"))).toHaveLength(1);
});

it("a value in the backlog of one namespace is read in the turn of another that wants it", async () => {
  let isRead = false;
  const reading = rig.observer.values(parameterOf(identity, "/p2999"), "bulk", { namespace: "other" });
  void reading.then(() => {
    isRead = true;
  });
  await rig.clock.advance(250);
  expect(isRead).toBe(true);
});

it("an interactive read of a path does not wait for its listing in bulk", async () => {
  let isRead = false;
  const reading = rig.observer.values(pathOf(identity, "/app"), "interactive", { namespace: "person" });
  void reading.then((values) => {
    isRead = values.state === "values" && values.values.size === 30;
  });
  await rig.clock.advance(400);
  expect(isRead).toBe(true);
});
