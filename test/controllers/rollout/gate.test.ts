import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideRollouts } from "../../../src/controllers/rollout/decide/decide.ts";
import type { Request } from "../../../src/controllers/rollout/decide/snapshot.ts";
import { idOf } from "../../../src/controllers/rollout/decide/workload.ts";
import { aRequest, aSnapshot, aWorkload, changedAt, marked, monotonic } from "./builders.ts";

const canary = aWorkload({ name: "canary" });
const others = [aWorkload({ name: "x" }), aWorkload({ name: "y" })];
const current = { marks: marked(), progress: "complete" } as const;

function restartedWith(request: Partial<Request>, workloads = [canary, ...others]) {
  const plan = decideRollouts(aSnapshot({ requests: [aRequest(request)], workloads }));
  const states = plan.findings.get("shop/db")!.map(({ name, state }) => `${name} ${state}`);
  return { names: plan.restarts.map(({ workload }) => workload.name), states, plan };
}

const first = [idOf(canary)];

describe("rollout.first", () => {
  it("is restarted alone", () => {
    const { names, states } = restartedWith({ first });
    expect(names).toEqual(["canary"]);
    expect(states).toEqual(["canary Restarting", "x BehindFirst", "y BehindFirst"]);
  });

  it.each([
    ["is not available yet", { marks: marked(), progress: "progressing" }, 600_000, []],
    ["has been available for a shorter time than the bake", current, 599_999, []],
    ["has been available for the bake", current, 600_000, ["x", "y"]],
  ] as const)("holds the others back until the bake: it %s", (_, state, ms, expected) => {
    const bake = { ms: 600_000, since: monotonic - ms };
    expect(restartedWith({ first, bake }, [aWorkload({ name: "canary", ...state }), ...others]).names).toEqual(
      expected,
    );
  });

  it("is not available while its pods crash, although its rollout has ended", () => {
    const bake = { ms: 600_000, since: monotonic - 600_000 };
    const crashing = aWorkload({ name: "canary", ...current, isAvailable: false });
    const { names, plan } = restartedWith({ first, bake }, [crashing, ...others]);
    expect(names).toEqual([]);
    expect(plan.firstAvailable).toEqual(new Set());
  });

  it.each([
    ["another controller owns it", aWorkload({ name: "canary", owner: "App shop" })],
    ["it is a CronJob", aWorkload({ name: "canary", kind: "CronJob" })],
  ])("stops the rollout when %s", (_, workload) => {
    const { states } = restartedWith({ first: [idOf(workload)] }, [workload, ...others]);
    expect(states).toContain("canary FirstNotReady");
  });

  it("tells when the bake ends", () => {
    const bake = { ms: 600_000, since: monotonic - 599_000 };
    const { plan } = restartedWith({ first, bake }, [aWorkload({ name: "canary", ...current }), ...others]);
    expect(plan.firstAvailable).toEqual(new Set(["shop/db"]));
    expect(plan.againAfterMs).toBe(1_000);
  });

  it.each([
    ["is missing", others],
    ["is paused", [aWorkload({ name: "canary", isPaused: true }), ...others]],
    ["has no replicas", [aWorkload({ name: "canary", wanted: 0 }), ...others]],
  ])("stops the rollout when it %s", (_, workloads) => {
    const { names, states } = restartedWith({ first, bake: { ms: 0, since: 0 } }, workloads);
    expect(names).toEqual([]);
    expect(states).toContain("canary FirstNotReady");
  });

  it("does not matter when nothing waits for it", () => {
    const done = others.map(({ name }) => aWorkload({ name, ...current }));
    expect(restartedWith({ first }, done).states).toEqual(["x Current", "y Current"]);
  });
});

it("restarts nothing more after a failure, unless rollout.onFailure is Continue", () => {
  const failed = aWorkload({ name: "canary", marks: marked(), progress: "failed" });
  expect(restartedWith({}, [failed, ...others]).states).toEqual(["canary Failed", "x Halted", "y Halted"]);
  expect(restartedWith({ pausesOnFailure: false }, [failed, ...others]).names).toEqual(["x", "y"]);
});

it("never restarts two workloads at once with OneByOne, and none before first has baked", () => {
  const workload = fc.record({
    marks: fc.constantFrom(marked(), new Map<string, string>()),
    progress: fc.constantFrom("complete" as const, "progressing" as const, "failed" as const),
    isPaused: fc.boolean(),
    wanted: fc.nat(2),
  });
  const request = fc.record({
    isOneByOne: fc.boolean(),
    pausesOnFailure: fc.boolean(),
    hasFirst: fc.boolean(),
    since: fc.option(fc.integer({ min: monotonic - 1_200_000, max: monotonic }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(workload, { minLength: 1, maxLength: 6 }), request, (shapes, { hasFirst, since, ...rest }) => {
      const workloads = shapes.map((shape, index) => aWorkload({ name: `w${index}`, ...shape }));
      const bake = { ms: 600_000, since };
      const { plan, names } = restartedWith({ ...rest, first: hasFirst ? ["Deployment/w0"] : [], bake }, workloads);
      const findings = plan.findings.get("shop/db")!;
      const restarting = findings.filter(({ state }) => state === "Restarting");
      if (rest.isOneByOne && names.length > 0) expect(restarting).toHaveLength(1);
      if (rest.pausesOnFailure && findings.some(({ state }) => state === "Failed")) expect(names).toEqual([]);
      const hasBaked = plan.firstAvailable.has("shop/db") && since !== undefined && monotonic - since >= bake.ms;
      if (hasFirst && !hasBaked) expect(names.filter((name) => name !== "w0")).toEqual([]);
    }),
    { numRuns: 2_000 },
  );
});

it("keeps a failure in mind until that workload runs with the bytes, also after a hand-over", () => {
  const again = aWorkload({ name: "canary", marks: marked(), progress: "progressing" });
  const failed = new Set([idOf(canary)]);
  expect(restartedWith({ failed }, [again, ...others]).names).toEqual([]);
  expect(restartedWith({ failed }, [aWorkload({ name: "canary", ...current }), ...others]).names).toEqual(["x", "y"]);
});

it("takes what happens to a workload after its restart for no failure of the restart", () => {
  const late = aWorkload({ name: "canary", kind: "DaemonSet", marks: marked(), progress: "progressing" });
  const completed = new Set([idOf(late)]);
  const { names, states, plan } = restartedWith({ completed, seenAt: 0 }, [late, ...others]);
  expect(states).toEqual(["canary Current", "x Restarting", "y Restarting"]);
  expect(names).toEqual(["x", "y"]);
  expect(plan.inProgress.has(idOf(late))).toBe(false);
});

it("restarts a StatefulSet whose pods are not available, and one whose other rollout does not end", () => {
  const sick = aWorkload({ name: "x", kind: "StatefulSet", progress: "progressing", isReplacing: false });
  const stuck = aWorkload({ name: "y", kind: "StatefulSet", progress: "progressing" });
  expect(restartedWith({}, [sick, stuck]).names).toEqual(["x"]);
  expect(restartedWith({ seenAt: monotonic - 600_000 }, [sick, stuck]).names).toEqual(["x", "y"]);
});

it("takes a workload that was deleted and made again for no undo", () => {
  const records = new Map([["Deployment/x", { revision: "r2", putBack: true }]]);
  const workloads = [aWorkload({ name: "x", createdAt: changedAt + 1_000 })];
  const plan = decideRollouts(aSnapshot({ requests: [aRequest({ records })], workloads, pods: [] }));
  expect(plan.findings.get("shop/db")!.map(({ state }) => state)).toEqual(["Current"]);
});

it("decides on thousands of requests and targets within two seconds of CPU time", () => {
  const targets = Array.from({ length: 50 }, (_, index) => `Deployment/gone-${index}`);
  const requests = Array.from({ length: 3_000 }, (_, index) => aRequest({ key: `shop/s${index}`, targets }));
  const workloads = Array.from({ length: 2_000 }, (_, index) => aWorkload({ name: `w${index}` }));
  const snapshot = aSnapshot({ requests, workloads });
  const before = process.cpuUsage().user;
  expect(decideRollouts(snapshot).restarts).toEqual([]);
  expect((process.cpuUsage().user - before) / 1_000, "milliseconds of CPU time").toBeLessThan(2_000);
});
