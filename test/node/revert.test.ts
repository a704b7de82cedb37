import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChartScene } from "./chart-scene.ts";
import { whyNoNode } from "./requirements.ts";
import { RevertingApp } from "./reverting-app.ts";
import { DEADLINE_S, SLACK_S } from "./workload.ts";

const why = await whyNoNode();
if (why) process.stderr.write(`No real node: ${why}.\n`);

describe.skipIf(why)("rollout.onFailure: Revert on a real node", () => {
  let scene: ChartScene;
  beforeAll(async () => {
    scene = await ChartScene.start({ maxConcurrent: 5 });
    await scene.ready();
  }, 1_200_000);
  afterAll(() => scene?.stop());

  test.concurrent("a value that makes new pods crash is taken back within the deadline and 10 s, and the next one is rolled out", async (context) => {
    const app = await RevertingApp.create(scene, "deadline", context, { progressDeadlineSeconds: DEADLINE_S });
    const { timeline, oracle, pods } = app;
    await app.putBad();
    await timeline.until("new pod gone", 90_000);
    for (const back of ["Secret good", "template good", "new pod gone"])
      expect(timeline.seconds("put", back), back).toBeLessThan(DEADLINE_S + 10 + SLACK_S);
    expect(app.pods, "the pods of the earlier ReplicaSet").toEqual(pods);
    await timeline.until("RolledOut", 30_000);
    expect(app.condition("HeldBack")).toMatchObject({
      status: "True",
      reason: "RolloutFailed",
      message: expect.stringContaining("held back until a source changes: /deadline/db version 2, last good 1:"),
    });
    // The kubelet brings files of running pods up to date: they had the bad value, and get the last good one.
    const logs = ["env one", "file one", "file bad", "file one"];
    expect(await app.untilFiles("one")).toEqual([logs, logs]);
    expect(timeline.seconds("Secret good", "files good")).toBeLessThan(30 + SLACK_S);
    expect(app.pods, "no pod was replaced meanwhile").toEqual(pods);
    await app.rollOut("two");
    expect(app.condition("HeldBack")).toBeUndefined();
    expect(oracle.missing, "replicas that were missing").toBe(0);
  }, 300_000);

  test.concurrent("new pods in CrashLoopBackOff are a failure two minutes after their creation, long before the deadline", async (context) => {
    const app = await RevertingApp.create(scene, "crashes", context, { progressDeadlineSeconds: 600 });
    await app.rollOut("two");
    const { timeline, oracle, pods } = app;
    await app.putBad();
    for (const moment of ["new pod gone", "RolledOut"]) await timeline.until(moment, 180_000);
    expect(timeline.seconds("new pod", "Secret good")).toBeGreaterThan(118);
    expect(timeline.seconds("new pod", "new pod gone")).toBeLessThan(130 + SLACK_S);
    expect(app.pods, "the pods of the earlier ReplicaSet").toEqual(pods);
    expect(app.condition("HeldBack")).toMatchObject({
      status: "True",
      reason: "RolloutFailed",
      message: expect.stringMatching(/^Deployment app has new pods in CrashLoopBackOff; .*version 3, last good 2:/),
    });
    expect(oracle.missing, "replicas that were missing").toBe(0);
  }, 300_000);
});
