import { expect, it } from "vitest";
import type { SyncedSecret } from "../../../src/api/types.ts";
import type { Restarted, WorkloadAccess } from "../../../src/controllers/rollout/act/access.ts";
import type { RolloutStatuses } from "../../../src/controllers/rollout/act/statuses.ts";
import { RolloutController } from "../../../src/controllers/rollout/controller.ts";
import { markOf } from "../../../src/controllers/rollout/decide/mark.ts";
import type { RestartPlan } from "../../../src/controllers/rollout/decide/start.ts";
import type { RolloutStatus } from "../../../src/controllers/rollout/report/rollout-status.ts";
import { targetOf } from "../../../src/controllers/syncedsecret/plan/target.ts";
import type { KubeObject } from "../../../src/kube/resource.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { silent } from "../../../src/runtime/log.ts";
import { FakeClock } from "../../support/clock.ts";
import { aPod, aWorkload } from "./builders.ts";
import { aSyncedSecret, secretOf } from "./secret.ts";

type Resource = SyncedSecret & KubeObject;

/** A controller of the SyncedSecret `shop/db` and one Deployment, with the answers that the API server gives to restarts. */
function aController(answers: Restarted[], protectedNamespaces: readonly string[] = []) {
  const clock = new FakeClock();
  const time = new Date(clock.now()).toISOString();
  const plans: RestartPlan[] = [];
  const written: Partial<RolloutStatus>[] = [];
  let stored = aSyncedSecret();
  let marks = new Map<string, string>();
  const metadata = secretOf(stored, "r2", time);
  const workload = () => aWorkload({ marks });
  let lists = 0;
  const access = {
    list: async () => {
      lists++;
      return { workloads: [workload()], pods: [aPod(workload(), { createdAt: clock.now() - 3_600_000 })] };
    },
    restart: async (_namespace: string, plan: RestartPlan) => {
      plans.push(plan);
      const answer = answers.shift()!;
      if (answer.outcome === "restarted") marks = new Map([[markOf(targetOf(stored), "uid-db"), "r2"]]);
      return answer;
    },
  } as unknown as WorkloadAccess;
  const statuses = {
    latest: () => stored,
    write: async (_key: string, resource: Resource, status: Partial<RolloutStatus>) => {
      written.push(status);
      stored = { ...resource, status: { ...resource.status, ...status } };
      return true;
    },
    forget() {},
  } as unknown as RolloutStatuses;
  const view = <T>(value: () => T) => ({ get: value, has: () => true, keys: () => [], values: () => [], size: 1 });
  const controller = new RolloutController({
    ...{ access, statuses, clock, maxConcurrent: 5, perObjectMetrics: true, random: () => 0, log: silent },
    protectedNamespaces: new Set(protectedNamespaces),
    resources: view(() => stored),
    secrets: view(() => ({ metadata }) as KubeObject),
    client: { get: () => Promise.reject(new Error("not expected")) },
    metrics: new Metrics(),
    recorder: { record() {} },
  });
  controller.syncedSecretChanged({ key: "shop/db", before: undefined, after: stored } as never);
  controller.begin();
  /** Looks at the namespace after a time. */
  const look = async (ms: number) => {
    await clock.advance(ms);
    await controller.handle("shop");
  };
  return { look, plans, written, lists: () => lists };
}

it("does not take a restart that met a newer workload for one that somebody has taken back", async () => {
  const again = { outcome: "again" } as const;
  const { look, plans, written } = aController([again, again, again, { outcome: "restarted", generation: 2 }]);
  await look(0);
  for (const ms of [4_000, 1, 1, 1]) await look(ms);
  expect(plans).toHaveLength(4);
  expect(plans.flatMap(({ records }) => [...records.values()])).toEqual(
    Array.from({ length: 4 }, () => ({ revision: "r2", putBack: false })),
  );
  const states = written.flatMap(({ workloads = [] }) => workloads.map(({ state }) => state));
  expect(states).not.toContain("Undone");
  expect(written.filter(({ workloads }) => workloads?.some(({ restartedFor }) => restartedFor))).toHaveLength(1);
  expect(written.at(-1)!.workloads).toMatchObject([{ name: "app", state: "Restarting", restartedFor: "r2" }]);
});

it("reports a refused restart, without recording it as one", async () => {
  const obstacle = { reason: "NotAllowed", message: "deployments.apps is forbidden" } as const;
  const { look, plans, written } = aController([{ outcome: "refused", obstacle }]);
  await look(0);
  await look(4_000);
  expect(plans).toHaveLength(1);
  expect(written.at(-1)!.conditions).toMatchObject([{ type: "RolledOut", status: "False", ...obstacle }]);
  expect(written.at(-1)!.workloads!.every(({ restartedFor }) => restartedFor === undefined)).toBe(true);
});

it("leaves protected namespaces alone", async () => {
  const { look, plans, written, lists } = aController([{ outcome: "restarted", generation: 2 }], ["shop"]);
  await look(0);
  await look(4_000);
  expect({ plans, written, lists: lists() }).toEqual({ plans: [], written: [], lists: 0 });
});
