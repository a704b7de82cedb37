import { describe, expect, it } from "vitest";
import { decideRollouts } from "../../../../src/controllers/rollout/decide/decide.ts";
import { podOf } from "../../../../src/controllers/rollout/decide/pods.ts";
import {
  availableWith,
  isProving,
  needsPodStatuses,
  worksBefore,
} from "../../../../src/controllers/rollout/decide/proof.ts";
import type { NamespaceSnapshot, Request } from "../../../../src/controllers/rollout/decide/snapshot.ts";
import { idOf } from "../../../../src/controllers/rollout/decide/workload.ts";
import { aPod, aRequest, aSnapshot, aWorkload, changedAt, marked, monotonic, now } from "../builders.ts";

const minute = 60_000;
const mark = "restart.keyferry.io/db";
const unavailable = aWorkload({ marks: marked(), isAvailable: false });
/** Restarted for `r2` by Revert, with the template that it was available with. */
const restarted = (more: Partial<Request> = {}) =>
  aRequest({
    revertsOnFailure: true,
    records: new Map([
      [idOf(unavailable), { revision: "r2", putBack: false, availableWith: availableWith(unavailable, mark) }],
    ]),
    ...more,
  });
/** A new pod of this age. */
const pod = (ageMs: number, isCrashLooping: boolean) =>
  aPod(unavailable, {
    createdAt: now - ageMs,
    annotations: { [mark]: "r2" },
    ...(isCrashLooping ? { isCrashLooping } : {}),
  });
const found = (more: Partial<NamespaceSnapshot>) =>
  decideRollouts(aSnapshot({ requests: [restarted()], workloads: [unavailable], ...more })).findings.get(
    "shop/db",
  )![0]!;

describe("new pods in CrashLoopBackOff", () => {
  it.each([
    ["after two minutes", 2 * minute, true, "Failed"],
    ["not before", 2 * minute - 1, true, "Current"],
    ["until the deadline of the rollout", 10 * minute, true, "Failed"],
    ["not later: something else is the cause", 10 * minute + 1, true, "Current"],
    ["only if they crash", 2 * minute, false, "Current"],
  ] as const)("are a failure %s", (_, ageMs, isCrashLooping, state) => {
    const finding = found({ pods: [pod(ageMs, isCrashLooping)] });
    expect(finding.state).toBe(state);
    expect(finding.failure).toBe(state === "Failed" ? "has new pods in CrashLoopBackOff" : undefined);
  });

  it("count for the time of the bake, too, with rollout.first", () => {
    const requests = [restarted({ first: [idOf(unavailable)] })];
    expect(found({ requests, pods: [pod(20 * minute, true)] }).state).toBe("Failed");
  });

  it("are none of a version that was rolled out for longer than the deadline, however young the pods are", () => {
    const rolled = (ms: number) => [restarted({ rolledOutAt: now - ms })];
    const pods = [pod(5 * minute, true)];
    expect(found({ requests: rolled(10 * minute), pods }).state).toBe("Failed");
    expect(found({ requests: rolled(10 * minute + 1), pods }).state).toBe("Current");
  });

  it("of old bytes are no failure, and without Revert none are", () => {
    const old = { ...pod(5 * minute, true), annotations: { [mark]: "r1" } };
    expect(found({ pods: [old] }).state).toBe("Current");
    expect(found({ requests: [restarted({ revertsOnFailure: false })], pods: [pod(5 * minute, true)] }).state).toBe(
      "Current",
    );
  });

  it("are read from the statuses of containers and init containers", () => {
    const metadata = {
      ...{ name: "p", creationTimestamp: "2026-01-01T00:00:00Z" },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "StatefulSet", name: "db", uid: "u", controller: true }],
    };
    const waiting = (reason: string) => [{ state: { waiting: { reason } } }];
    expect(podOf({ metadata, status: { containerStatuses: waiting("CrashLoopBackOff") } })!.isCrashLooping).toBe(true);
    expect(podOf({ metadata, status: { initContainerStatuses: waiting("CrashLoopBackOff") } })!.isCrashLooping).toBe(
      true,
    );
    expect(podOf({ metadata, status: { containerStatuses: waiting("ContainerCreating") } })!).not.toHaveProperty(
      "isCrashLooping",
    );
  });
});

describe("the bake", () => {
  const first = [idOf(unavailable)];
  const bake = (brokenMs: number) => ({ ms: 10 * minute, since: undefined, brokenSince: monotonic - brokenMs });
  it.each([
    [minute, "Failed"],
    [minute - 1, "Current"],
  ])("is a failure once it has been broken for a minute: %d ms", (brokenMs, state) => {
    expect(found({ requests: [restarted({ first, bake: bake(brokenMs) })] }).state).toBe(state);
  });

  it("is no failure once all workloads have run for as long, also for a process that measures it anew", () => {
    const rolled = (ms: number) => [restarted({ first, bake: bake(minute), rolledOutAt: now - ms })];
    expect(found({ requests: rolled(10 * minute) }).state).toBe("Failed");
    expect(found({ requests: rolled(10 * minute + 1) }).state).toBe("Current");
  });

  it("is no failure of a workload that is available, or not in rollout.first", () => {
    const requests = [restarted({ first, bake: bake(minute) })];
    expect(found({ requests, workloads: [{ ...unavailable, isAvailable: true }] }).state).toBe("Current");
    expect(found({ requests: [restarted({ first: ["Deployment/x"], bake: bake(minute) })] }).state).not.toBe("Failed");
  });
});

describe("a failure", () => {
  const pods = [pod(5 * minute, true)];
  it.each([
    ["the workload was not available before", { availableWith: undefined }],
    ["its template has changed since", { availableWith: "t0" }],
    ["it was restarted for another revision", { revision: "r1", availableWith: availableWith(unavailable, mark) }],
  ])("sets nothing back if %s", (_, record) => {
    const records = new Map([[idOf(unavailable), { revision: "r2", putBack: false, ...record }]]);
    const finding = found({ requests: [restarted({ records })], pods });
    expect(finding.state).toBe("Failed");
    expect(finding).not.toHaveProperty("failure");
  });
});

describe("a workload works before its restart", () => {
  const before = { revision: "r2", putBack: false, availableWith: availableWith(unavailable, mark) };
  it.each([
    ["its rollout is complete and it is available", aWorkload(), true],
    ["not while it is not available", aWorkload({ isAvailable: false }), false],
    [
      "not while a rollout of somebody else is stuck beside available pods",
      aWorkload({ progress: "failed", isAvailable: true }),
      false,
    ],
    ["not without replicas", aWorkload({ wanted: 0 }), false],
    ["not if pods change only when somebody deletes them", aWorkload({ isManual: true }), false],
  ])("if %s", (_, workload, expected) => {
    expect(worksBefore(workload, undefined, mark)).toBe(expected);
  });

  it("if it did before our own last restart, which is under way", () => {
    const underWay = { ...unavailable, progress: "progressing" } as const;
    expect(worksBefore(underWay, before, mark)).toBe(true);
    expect(worksBefore(underWay, { ...before, revision: "r1" }, mark)).toBe(false);
    expect(worksBefore({ ...underWay, template: "t2" }, before, mark)).toBe(false);
    expect(worksBefore(unavailable, before, mark)).toBe(false);
  });

  it("and another Secret's restart is not this one's", () => {
    const other = "restart.keyferry.io/other";
    const marks = new Map([...marked(), [other, "x2"]]);
    const after = { ...unavailable, marks };
    expect(availableWith(after, mark)).not.toBe(availableWith(unavailable, mark));
    expect(availableWith(unavailable, mark, new Map([[other, { revision: "x2" }]]))).toBe(availableWith(after, mark));
  });

  it("is told by the old pods of a Deployment if the last leader did not record it", () => {
    const marks = marked();
    const stuck = aWorkload({ marks, progress: "failed", isAvailable: true });
    const requests = [restarted({ records: new Map() })];
    expect(found({ requests, workloads: [stuck], pods: [] }).failure).toBe("has passed the deadline of its rollout");
    expect(found({ requests, workloads: [{ ...stuck, isAvailable: false }], pods: [] })).not.toHaveProperty("failure");
  });
});

describe("the slot of a workload whose failure sets the Secret back", () => {
  const failing = aWorkload({ marks: marked(), progress: "failed", isAvailable: false });
  const waiting = aWorkload({ name: "waiting", uses: new Map([["other", ["Env"]]]) });
  const other = aRequest({ key: "shop/other", secret: "other", mark: "restart.keyferry.io/other" });
  const started = (request: Request) =>
    decideRollouts(aSnapshot({ requests: [request, other], workloads: [failing, waiting], slots: 1 })).restarts.length;
  it("is kept until then", () => {
    expect(started(restarted())).toBe(0);
  });

  it("is free if the Secret stays as it is", () => {
    expect(started(restarted({ isSettled: true }))).toBe(1);
    expect(started(restarted({ revertsOnFailure: false }))).toBe(1);
  });
});

describe("the statuses of pods", () => {
  const needs = (more: Partial<NamespaceSnapshot>, requests = [restarted()]) =>
    needsPodStatuses(requests, aSnapshot({ workloads: [unavailable], pods: [pod(5 * minute, false)], ...more }));
  it("are needed for a restarted workload that is not available, or whose old pods alone are", () => {
    expect(needs({})).toBe(true);
    const surging = aWorkload({ marks: marked(), progress: "progressing", isAvailable: true });
    expect(needs({ workloads: [surging] })).toBe(true);
  });

  it.each([
    ["its rollout is complete and it is available", { workloads: [aWorkload({ marks: marked() })] }],
    ["its new pods are younger than two minutes", { pods: [pod(minute, false)] }],
    ["its new pods are older than the deadline", { pods: [pod(11 * minute, false)] }],
    ["it has old pods only", { pods: [aPod(unavailable)] }],
  ] as [string, Partial<NamespaceSnapshot>][])("are not needed if %s", (_, more) => {
    expect(needs(more)).toBe(false);
  });

  it("are not needed without Revert", () => {
    expect(needs({}, [restarted({ revertsOnFailure: false })])).toBe(false);
  });

  it("are looked for every 15 seconds until the deadline", () => {
    const snapshot = (ageMs: number) => aSnapshot({ workloads: [unavailable], pods: [pod(ageMs, false)] });
    expect(isProving(snapshot(9 * minute), restarted())).toBe(true);
    expect(isProving(snapshot(11 * minute), restarted())).toBe(false);
    const plan = decideRollouts({ ...snapshot(9 * minute), requests: [restarted()] });
    expect(plan.againAfterMs).toBe(15_000);
  });
});

describe("a workload with bytes that are held back", () => {
  const held = (more: Partial<Request> = {}) =>
    aRequest({
      revision: "r1",
      heldBack: { revision: "r2", since: changedAt - 30_000, until: changedAt },
      revertsOnFailure: true,
      seenAt: monotonic,
      ...more,
    });
  const bad = aWorkload({ marks: marked("r2"), progress: "failed", isAvailable: false });
  const closed = { state: "closed", from: undefined } as const;

  it.each([
    ["at once", held()],
    ["outside a window", held({ opening: closed })],
    [
      "before others of OneByOne, after a failure, and not in first",
      held({ isOneByOne: true, failed: new Set([idOf(bad)]), first: ["Deployment/x"] }),
    ],
  ])("is set back %s", (_, request) => {
    const { restarts } = decideRollouts(aSnapshot({ requests: [request], workloads: [bad] }));
    expect(restarts.map(({ records }) => records.get(mark)!.revision)).toEqual(["r1"]);
  });

  it("loses the annotation if the last good bytes have none", () => {
    const { restarts } = decideRollouts(aSnapshot({ requests: [held({ revision: undefined })], workloads: [bad] }));
    expect(restarts.map(({ records }) => [...records])).toEqual([
      [[mark, expect.objectContaining({ revision: undefined })]],
    ]);
  });

  it("leaves workloads with the last good bytes alone", () => {
    const good = aWorkload({ marks: marked("r1") });
    const unmarked = aWorkload({ name: "unmarked" });
    expect(decideRollouts(aSnapshot({ requests: [held()], workloads: [good] })).restarts).toEqual([]);
    const requests = [held({ revision: undefined })];
    expect(decideRollouts(aSnapshot({ requests, workloads: [unmarked] })).restarts).toEqual([]);
  });

  describe("whose pods have started while the Secret had them", () => {
    const good = aWorkload({ marks: marked("r1") });
    const tainted = aPod(good, { createdAt: changedAt - 30_000, annotations: { [mark]: "r1" } });
    const to = (more: Partial<NamespaceSnapshot>) =>
      decideRollouts(aSnapshot({ requests: [held()], workloads: [good], pods: [tainted], ...more })).restarts.map(
        ({ records }) => records.get(mark)!.revision,
      );

    it("replaces them, once", () => {
      expect(to({})).toEqual(["back.r2"]);
      const replaced = aWorkload({ marks: marked("back.r2") });
      expect(to({ workloads: [replaced] })).toEqual([]);
    });

    it("replaces them when it has the bytes itself, too, and when the last good bytes have no revision", () => {
      expect(to({ workloads: [bad] })).toEqual(["back.r2"]);
      expect(to({ requests: [held({ revision: undefined })], workloads: [aWorkload()] })).toEqual(["back.r2"]);
    });

    it.each([
      ["before", changedAt - 31_000],
      ["after", changedAt + 1_000],
    ])("leaves pods alone that have started %s", (_, createdAt) => {
      expect(to({ pods: [{ ...tainted, createdAt }] })).toEqual([]);
    });
  });

  it("comes before other restarts if there is one slot", () => {
    const waiting = aWorkload({ name: "waiting", uses: new Map([["other", ["Env"]]]) });
    const other = aRequest({ key: "shop/other", secret: "other", mark: "restart.keyferry.io/other" });
    const { restarts } = decideRollouts(aSnapshot({ requests: [other, held()], workloads: [waiting, bad], slots: 1 }));
    expect(restarts.map(({ workload }) => workload.name)).toEqual(["app"]);
  });

  it("waits after a refused restart, while paused, and for nothing once somebody has undone it twice", () => {
    const refusals = new Map([[idOf(bad), { until: monotonic + minute }]]);
    expect(decideRollouts(aSnapshot({ requests: [held()], workloads: [bad], refusals })).restarts).toEqual([]);
    const paused = { ...bad, isPaused: true };
    expect(decideRollouts(aSnapshot({ requests: [held()], workloads: [paused] })).restarts).toEqual([]);
    const records = new Map([[idOf(bad), { revision: "r1", putBack: true }]]);
    const plan = decideRollouts(aSnapshot({ requests: [held({ records })], workloads: [bad] }));
    expect(plan.findings.get("shop/db")![0]!.state).toBe("Undone");
  });
});
