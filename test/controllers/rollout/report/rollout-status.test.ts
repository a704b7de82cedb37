import { expect, it } from "vitest";
import type { SyncedSecret } from "../../../../src/api/types.ts";
import type { Finding, State } from "../../../../src/controllers/rollout/decide/snapshot.ts";
import { type ReportInput, rolloutStatusOf } from "../../../../src/controllers/rollout/report/rollout-status.ts";
import type { Opening } from "../../../../src/controllers/windows.ts";
import { now } from "../builders.ts";

type Status = NonNullable<SyncedSecret["status"]>;

const finding = (state: State, name = state.toLowerCase(), more: Partial<Finding> = {}): Finding => ({
  ...{ kind: "Deployment", name, uses: ["Env"], state, record: undefined, stalePods: 0 },
  ...more,
});
const opening: Opening = { state: "open", until: Number.POSITIVE_INFINITY };
const found = (...list: Finding[]) => ({ findings: list, opening });
const findings = (...states: State[]) => found(...states.map((state) => finding(state)));
const resource = (status?: Status): SyncedSecret => ({
  apiVersion: "keyferry.io/v1alpha1",
  kind: "SyncedSecret",
  metadata: { name: "db", namespace: "shop", generation: 7 },
  spec: { rollout: { mode: "Auto" } },
  ...(status ? { status } : {}),
});
const report = (result: ReportInput["result"], status?: Status) =>
  rolloutStatusOf({ resource: resource(status), revision: "r2", result, now });
const conditionOf = (result: ReportInput["result"]) => report(result).conditions[0]!;

const ranked: [state: State, reason: string][] = [
  ["Missing", "WorkloadNotFound"],
  ["Failed", "DeadlineExceeded"],
  ["Undone", "RestartUndone"],
  ["Paused", "WorkloadPaused"],
  ["Manual", "ManualRestart"],
  ["OutsideWindow", "OutsideWindow"],
  ["Restarting", "Progressing"],
  ["Waiting", "Progressing"],
];

it.each(ranked)("names a workload that is %s, with the reason %s", (state, reason) => {
  const condition = conditionOf(findings("Current", state, "NoRestartNeeded", "Owned"));
  expect(condition).toMatchObject({ type: "RolledOut", status: "False", reason, observedGeneration: 7 });
  expect(condition.message).toContain(`Deployment ${state.toLowerCase()}`);
  expect(condition.message).not.toContain("Deployment current");
});

it("takes the reason of the state that needs most attention, and names the others after it", () => {
  for (const [index, [, reason]] of ranked.entries()) {
    const states = ranked.slice(index).map(([state]) => state);
    const { reason: taken, message } = conditionOf(findings(...states.toReversed()));
    expect(taken).toBe(reason);
    const places = states.map((state) => message.indexOf(`Deployment ${state.toLowerCase()}`));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(places).not.toContain(-1);
  }
});

it.each<[what: string, result: ReportInput["result"], message: string]>([
  ["no workload", findings(), "no workload needs a restart"],
  ["only workloads that need no restart", findings("NoRestartNeeded", "Owned"), "no workload needs a restart"],
  ["one workload", findings("Current", "NoRestartNeeded"), "1 workload with the current bytes"],
  ["two workloads", findings("Current", "Current"), "2 workloads with the current bytes"],
])("is True with %s", (_what, result, message) => {
  expect(conditionOf(result)).toMatchObject({ status: "True", reason: "RolledOut", message });
});

it("says when the next window opens", () => {
  const closed = { findings: [finding("OutsideWindow", "app")], opening: { state: "closed", from: now } } as const;
  const { message } = conditionOf(closed);
  expect(message).toBe("waiting for a window of rollout.windows (at 2026-01-01T12:00:00Z): Deployment app");
});

it("names at most ten workloads of a state, and counts the others", () => {
  const many = Array.from({ length: 13 }, (_, index) => finding("Paused", `app-${String(index).padStart(2, "0")}`));
  const { message } = conditionOf(found(...many));
  expect(message.match(/Deployment/g)).toHaveLength(10);
  expect(message).toMatch(/Deployment app-09 and 3 more$/);
});

it("lists at most 50 workloads, those that need attention first, then by name", () => {
  const many = Array.from({ length: 60 }, (_, index) => finding("Current", `app-${String(index).padStart(2, "0")}`));
  const { workloads } = report(found(...many.toReversed(), finding("Waiting", "z"), finding("Failed", "z2")));
  expect(workloads).toHaveLength(50);
  expect(workloads!.slice(0, 4).map(({ name }) => name)).toEqual(["z2", "z", "app-00", "app-01"]);
});

it("lists how a workload uses the Secret and what it was restarted for", () => {
  const record = { revision: "r2", putBack: true };
  const { workloads } = report(found(finding("Current", "a", { record }), finding("Missing", "b", { uses: [] })));
  expect(workloads).toEqual([
    { kind: "Deployment", name: "b", state: "Missing" },
    { kind: "Deployment", name: "a", state: "Current", uses: ["Env"], restartedFor: "r2", putBack: true },
  ]);
});

it("keeps the last revision that was rolled out until the condition is True again", () => {
  const before: Status = { rolledOutRevision: "r1" };
  for (const [state] of ranked) expect(report(findings(state), before).rolledOutRevision).toBe("r1");
  expect(report(findings("Current"), before).rolledOutRevision).toBe("r2");
  expect(report(findings("Waiting")).rolledOutRevision).toBeUndefined();
});

it("reports an obstacle, and keeps what was known of the workloads", () => {
  const workloads = [{ kind: "Deployment", name: "a", state: "Current", restartedFor: "r1" }];
  const obstacle = { reason: "NotAllowed", message: "deployments.apps is forbidden" } as const;
  const status = report(obstacle, { rolledOutRevision: "r1", workloads });
  expect(status).toMatchObject({ rolledOutRevision: "r1", workloads });
  expect(status.conditions).toMatchObject([{ type: "RolledOut", status: "False", ...obstacle }]);
});

it("keeps the time of the last transition while the status is the same, and writes no other condition", () => {
  const lastTransitionTime = "2025-01-01T00:00:00Z";
  const condition = (type: string, status: "True" | "False") => ({
    ...{ type, status, lastTransitionTime, observedGeneration: 7, reason: "Progressing", message: "" },
  });
  const before: Status = { conditions: [condition("Ready", "True"), condition("RolledOut", "False")] };
  const { conditions } = report(findings("Paused"), before);
  expect(conditions).toMatchObject([{ type: "RolledOut", reason: "WorkloadPaused", lastTransitionTime }]);
  expect(conditions).toHaveLength(1);
  expect(report(findings("Current"), before).conditions[0]!.lastTransitionTime).not.toBe(lastTransitionTime);
});
