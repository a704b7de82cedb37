import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideRollouts } from "../../../../src/controllers/rollout/decide/decide.ts";
import type { Pod } from "../../../../src/controllers/rollout/decide/pods.ts";
import type {
  NamespaceSnapshot,
  Request,
  Restart,
  RestartRecord,
  State,
} from "../../../../src/controllers/rollout/decide/snapshot.ts";
import type { Use } from "../../../../src/controllers/rollout/decide/uses.ts";
import { idOf, type Workload } from "../../../../src/controllers/rollout/decide/workload.ts";
import { aPod, aRequest, aSnapshot, aWorkload, changedAt, marked, monotonic, now } from "../builders.ts";

const mark = "restart.keyferry.io/db";
const records = (revision: string, putBack = false) => new Map([["Deployment/app", { revision, putBack }]]);
const restarted = (more: Partial<Restart> = {}) =>
  new Map([["uid-app", { at: monotonic - 3_600_000, generation: 1, records: new Map(), ...more }]]);

/** The state of the only workload. */
function stateOf(more: Partial<NamespaceSnapshot>): State {
  const [finding] = decideRollouts(aSnapshot(more)).findings.get("shop/db")!;
  return finding!.state;
}

/** The names of the workloads that are restarted now. */
const restartsOf = (more: Partial<NamespaceSnapshot>) =>
  decideRollouts(aSnapshot(more)).restarts.map(({ workload }) => workload.name);

/** One workload, with its old pod. */
const of = (workload: Partial<Workload>, request: Partial<Request> = {}): Partial<NamespaceSnapshot> => ({
  workloads: [aWorkload(workload)],
  requests: [aRequest(request)],
});

describe("restarts", () => {
  it.each<[what: string, snapshot: Partial<NamespaceSnapshot>]>([
    ["a workload whose pods are older than the bytes", {}],
    ["a workload whose template has an earlier revision", of({ marks: marked("r1") })],
    ["a workload without pods whose last rollout has failed", { ...of({ progress: "failed" }), pods: [] }],
    ["a workload with a pod from the second of the change", { pods: [aPod(aWorkload(), { createdAt: changedAt })] }],
    [
      "a workload with one old pod among new ones",
      { pods: [aPod(aWorkload(), { createdAt: now }), aPod(aWorkload())] },
    ],
    ["a listed workload that does not name the Secret", of({ uses: new Map() }, { targets: ["Deployment/app"] })],
    [
      "a listed workload that uses the Secret by imagePullSecrets only",
      of({ uses: new Map([["db", ["ImagePullSecret"]]]) }, { targets: ["Deployment/app"] }),
    ],
    ["a workload in a rollout that it has begun itself", { ...of({ progress: "progressing" }), restarts: restarted() }],
  ])("%s", (_what, snapshot) => {
    const plan = decideRollouts(aSnapshot(snapshot));
    expect(plan.restarts).toHaveLength(1);
    expect(plan.restarts[0]!.keys).toEqual(["shop/db"]);
    expect([...plan.restarts[0]!.records]).toEqual([[mark, { revision: "r2", putBack: false }]]);
    expect(plan.findings.get("shop/db")).toMatchObject([{ state: "Restarting", record: { revision: "r2" } }]);
    expect([...plan.inProgress]).toEqual(["Deployment/app"]);
    expect(plan.againAfterMs).toBe(2_000);
  });
});

describe("restarts nothing", () => {
  const young = [aPod(aWorkload(), { createdAt: changedAt + 1_000 })];
  const cases: [what: string, state: State, snapshot: Partial<NamespaceSnapshot>][] = [
    ["before the bytes change for the first time", "Current", of({}, { revision: undefined })],
    ["if the template has the restart revision", "Current", of({ marks: marked() })],
    ["if all pods are younger than the bytes", "Current", { pods: young }],
    ["if the workload has no pods", "Current", { pods: [] }],
    [
      "if the pods ran with the revision before the Secret was written again",
      "Current",
      of({}, { current: new Set(["Deployment/app"]) }),
    ],
    ["of a CronJob", "NoRestartNeeded", of({ kind: "CronJob" })],
    [
      "if the Secret is only used by imagePullSecrets",
      "NoRestartNeeded",
      of({ uses: new Map([["db", ["ImagePullSecret"]]]) }),
    ],
    ["that another controller owns", "Owned", of({ owner: "App shop" })],
    ["that is paused", "Paused", of({ isPaused: true })],
    ["while somebody else's rollout is in progress", "Waiting", of({ progress: "progressing" })],
    [
      "if somebody has changed the workload during our rollout",
      "Waiting",
      { ...of({ progress: "progressing", generation: 2 }), restarts: restarted() },
    ],
    ["while its windows are closed", "OutsideWindow", of({}, { opening: { state: "closed", from: now + 1_000 } })],
    [
      "while its windows are not valid",
      "OutsideWindow",
      of({}, { opening: { state: "invalid", problem: "windows[0]" } }),
    ],
    ["if the restart was taken back twice", "Undone", of({}, { records: records("r2", true) })],
    [
      "if the restart was taken back twice and its pods are young",
      "Undone",
      { ...of({}, { records: records("r2", true) }), pods: young },
    ],
  ];
  it.each(cases)("%s: %s", (_what, state, snapshot) => {
    expect(restartsOf(snapshot)).toEqual([]);
    expect(stateOf(snapshot)).toBe(state);
  });

  it("of a workload that does not use the Secret, or is not listed", () => {
    for (const snapshot of [of({ uses: new Map([["other", ["Env"]]]) }), of({}, { targets: ["Deployment/other"] })]) {
      const { restarts, findings } = decideRollouts(aSnapshot(snapshot));
      expect(restarts).toEqual([]);
      expect(findings.get("shop/db")!.map(({ name }) => name)).not.toContain("app");
    }
  });

  it("for a target that does not exist, and looks again in a minute", () => {
    const snapshot = { workloads: [], requests: [aRequest({ targets: ["StatefulSet/gone"] })] };
    const plan = decideRollouts(aSnapshot(snapshot));
    expect(plan.restarts).toEqual([]);
    expect(plan.findings.get("shop/db")).toMatchObject([{ kind: "StatefulSet", name: "gone", state: "Missing" }]);
    expect(plan.againAfterMs).toBe(60_000);
  });
});

describe("follows a restarted workload", () => {
  const ofRestarted = (workload: Partial<Workload>, more: Partial<NamespaceSnapshot> = {}) => ({
    ...of({ marks: marked(), ...workload }),
    ...more,
  });
  const late = { restarts: restarted({ at: monotonic - 600_000 }) };
  const soon = { restarts: restarted({ at: monotonic - 599_999 }) };
  const cases: [what: string, state: State, snapshot: Partial<NamespaceSnapshot>][] = [
    ["that is done", "Current", ofRestarted({})],
    ["in progress", "Restarting", ofRestarted({ progress: "progressing" })],
    ["past its own deadline", "Failed", ofRestarted({ progress: "failed" })],
    ["that somebody has paused", "Paused", ofRestarted({ progress: "progressing", isPaused: true })],
    ["that somebody has paused after it was done", "Current", ofRestarted({ isPaused: true })],
    ["with OnDelete and old pods", "Manual", ofRestarted({ isManual: true })],
    ["with OnDelete and new pods", "Current", ofRestarted({ isManual: true }, { pods: [] })],
    [
      "StatefulSet within progressDeadline",
      "Restarting",
      ofRestarted({ kind: "StatefulSet", progress: "progressing" }, soon),
    ],
    [
      "StatefulSet past progressDeadline",
      "Failed",
      ofRestarted({ kind: "StatefulSet", progress: "progressing" }, late),
    ],
    ["DaemonSet past progressDeadline", "Failed", ofRestarted({ kind: "DaemonSet", progress: "progressing" }, late)],
    ["Deployment past progressDeadline, not its own", "Restarting", ofRestarted({ progress: "progressing" }, late)],
    ["that was owned since", "Current", ofRestarted({ owner: "App shop" })],
  ];
  it.each(cases)("%s: %s", (_what, state, snapshot) => {
    expect(stateOf(snapshot)).toBe(state);
    expect(restartsOf(snapshot)).toEqual([]);
  });

  it("counts the deadline of a StatefulSet from when a new leader saw the revision", () => {
    const workload = { kind: "StatefulSet", progress: "progressing", marks: marked() } as const;
    expect(stateOf(of(workload, { seenAt: monotonic - 599_999 }))).toBe("Restarting");
    expect(stateOf(of(workload, { seenAt: monotonic - 600_000 }))).toBe("Failed");
  });

  it("gives a slot to a rollout in progress, and none to one that is paused, failed or of somebody else", () => {
    const taken = (workload: Partial<Workload>) => decideRollouts(aSnapshot(of(workload))).inProgress.size;
    expect(taken({ marks: marked(), progress: "progressing" })).toBe(1);
    expect(taken({ marks: marked(), progress: "progressing", isPaused: true })).toBe(0);
    expect(taken({ marks: marked(), progress: "failed" })).toBe(0);
    expect(taken({ progress: "progressing" })).toBe(0);
  });

  it("looks again after 2 s in progress, after 15 s at another rollout, after a minute where a person must act", () => {
    const again = (snapshot: Partial<NamespaceSnapshot>) => decideRollouts(aSnapshot(snapshot)).againAfterMs;
    expect(again(of({ marks: marked(), progress: "progressing" }))).toBe(2_000);
    expect(again(of({ isPaused: true }))).toBe(60_000);
    expect(again(of({ progress: "progressing" }))).toBe(15_000);
    expect(again(of({ marks: marked() }))).toBe(600_000);
    expect(again(of({}, { opening: { state: "closed", from: now + 90_000 } }))).toBe(90_000);
    expect(again(of({ marks: marked(), progress: "failed" }))).toBe(60_000);
  });
});

describe("a restart that somebody takes back", () => {
  it("is repeated once, which the record says, even if all pods are young", () => {
    const snapshot = { ...of({}, { records: records("r2") }), pods: [] };
    const [plan] = decideRollouts(aSnapshot(snapshot)).restarts;
    expect(plan!.records.get(mark)).toEqual({ revision: "r2", putBack: true });
  });

  it("is known from this process before the status says it", () => {
    const own = restarted({ records: new Map([[mark, { revision: "r2", putBack: true }]]) });
    expect(stateOf({ restarts: own })).toBe("Undone");
  });

  it("counts for its revision only", () => {
    const [plan] = decideRollouts(aSnapshot(of({}, { records: records("r1", true) }))).restarts;
    expect(plan!.records.get(mark)).toEqual({ revision: "r2", putBack: false });
  });

  it("keeps its record while the workload has the revision, and records one that another process has restarted", () => {
    const recordOf = (request: Partial<Request>) =>
      decideRollouts(aSnapshot(of({ marks: marked() }, request))).findings.get("shop/db")![0]!.record;
    expect(recordOf({ records: records("r2", true) })).toEqual({ revision: "r2", putBack: true });
    expect(recordOf({})).toEqual({ revision: "r2", putBack: false });
    expect(recordOf({ records: records("r1", true) })).toEqual({ revision: "r2", putBack: false });
  });
});

describe("waits", () => {
  /** Milliseconds until the next look; undefined if the workload is restarted now. */
  const waitOf = (snapshot: Partial<NamespaceSnapshot>) => {
    const { restarts, againAfterMs } = decideRollouts(aSnapshot(snapshot));
    return restarts.length > 0 ? undefined : againAfterMs;
  };
  const seen = (...ago: number[]) => ({
    requests: ago.map((ms, index) => aRequest({ key: `shop/${index}`, mark: `m${index}`, seenAt: monotonic - ms })),
  });

  it("4 s after the last change, and at most 30 s after the first one", () => {
    expect(waitOf(seen(0))).toBe(4_000);
    expect(waitOf(seen(3_999))).toBe(1);
    expect(waitOf(seen(4_000))).toBeUndefined();
    expect(waitOf(seen(20_000, 1_000))).toBe(3_000);
    expect(waitOf(seen(29_000, 1_000))).toBe(1_000);
    expect(waitOf(seen(30_000, 0))).toBeUndefined();
  });

  it("minInterval after the last restart by this process", () => {
    const ago = (ms: number) => ({ restarts: restarted({ at: monotonic - ms }) });
    expect(waitOf(ago(59_000))).toBe(1_000);
    expect(waitOf(ago(60_000))).toBeUndefined();
    expect(waitOf({ ...of({}, { minIntervalMs: 0 }), ...ago(0) })).toBeUndefined();
  });

  it("until a refused restart may be tried again", () => {
    const refused = (until: number) => ({ refusals: new Map([["Deployment/app", { until }]]) });
    expect(waitOf(refused(monotonic + 7_000))).toBe(7_000);
    expect(waitOf(refused(monotonic))).toBeUndefined();
  });

  it("minInterval after a hand-over from the oldest pod that carries the last restart", () => {
    const annotations = Object.fromEntries(marked("r1"));
    const pods = (...ago: number[]): Pod[] => ago.map((ms) => aPod(aWorkload(), { createdAt: now - ms, annotations }));
    const handedOver = { ...of({ marks: marked("r1") }, { minIntervalMs: 3_600_000 }), pods: pods(3_598_000, 10_000) };
    expect(waitOf(handedOver)).toBe(2_000);
    expect(waitOf({ ...handedOver, pods: pods(3_600_000, 10_000) })).toBeUndefined();
    // Never restarted: its pods say nothing of a restart.
    expect(waitOf({ pods: pods(3_600_000, 10_000) })).toBeUndefined();
  });

  it("the shortest minInterval if several Secrets have changed", () => {
    const requests = [
      aRequest({ minIntervalMs: 3_600_000 }),
      aRequest({ key: "shop/two", mark: "m", minIntervalMs: 60_000 }),
    ];
    expect(waitOf({ requests, restarts: restarted({ at: monotonic - 60_000 }) })).toBeUndefined();
    expect(waitOf({ requests: requests.slice(0, 1), restarts: restarted({ at: monotonic - 60_000 }) })).toBe(600_000);
  });
});

it("sets the revisions of several changed Secrets by one restart", () => {
  const requests = [aRequest(), aRequest({ key: "shop/cache", secret: "cache", mark: "m", revision: "c7" })];
  const uses = new Map<string, readonly Use[]>([
    ["db", ["Env"]],
    ["cache", ["Volume"]],
  ]);
  const { restarts, findings } = decideRollouts(aSnapshot({ requests, workloads: [aWorkload({ uses })] }));
  expect(restarts).toHaveLength(1);
  expect(restarts[0]!.keys).toEqual(["shop/db", "shop/cache"]);
  expect(Object.fromEntries(restarts[0]!.records)).toMatchObject({ [mark]: { revision: "r2" }, m: { revision: "c7" } });
  expect(findings.get("shop/cache")).toMatchObject([
    { state: "Restarting", uses: ["Volume"], record: { revision: "c7" } },
  ]);
});

describe("with a limit", () => {
  const many = ["a", "b", "c", "d"].map((name) => aWorkload({ name }));

  it("starts as many as there are slots, and says that it is full", () => {
    const plan = decideRollouts(aSnapshot({ workloads: many, slots: 3 }));
    expect(plan.restarts).toHaveLength(3);
    expect(plan.isFull).toBe(true);
    expect(plan.inProgress.size).toBe(3);
    expect(plan.findings.get("shop/db")!.filter(({ state }) => state === "Waiting")).toHaveLength(1);
    expect(decideRollouts(aSnapshot({ workloads: many, slots: 4 })).isFull).toBe(false);
  });

  it("counts rollouts in progress", () => {
    const workloads = [aWorkload({ name: "busy", marks: marked(), progress: "progressing" }), ...many];
    expect(restartsOf({ workloads, slots: 3 })).toEqual(["a", "b"]);
  });

  it("of 0 starts nothing", () => {
    expect(restartsOf({ workloads: many, slots: 0 })).toEqual([]);
  });

  it("restarts a workload in progress again without another slot", () => {
    const workloads = [aWorkload({ progress: "progressing", marks: marked("r1") })];
    expect(restartsOf({ workloads, slots: 0, restarts: restarted() })).toEqual(["app"]);
  });
});

const flag = fc.boolean();
const revision = fc.constantFrom("r1", "r2", undefined);
const anyWorkload = fc
  .record({
    kind: fc.constantFrom("Deployment", "StatefulSet", "DaemonSet", "Rollout", "CronJob" as const),
    name: fc.constantFrom("a", "b", "c", "d", "e"),
    uses: fc.subarray(["db", "cache"]),
    marks: fc.dictionary(fc.constantFrom("m-db", "m-cache"), fc.constantFrom("r1", "r2")),
    owner: fc.constantFrom(undefined, undefined, "App shop"),
    isPaused: flag,
    isManual: flag,
    progress: fc.constantFrom("complete", "complete", "progressing", "failed" as const),
    generation: fc.nat(1),
    known: fc.option(fc.record({ agoMs: fc.nat(120_000), generation: fc.nat(1), putBack: flag, revision })),
    pods: fc.array(fc.integer({ min: -120_000, max: 60_000 }), { maxLength: 3 }),
  })
  .map((one) => ({ ...one, id: idOf(one) }));
const anyRequest = (secret: string) =>
  fc.record({
    secret: fc.constant(secret),
    key: fc.constant(`shop/${secret}`),
    mark: fc.constant(`m-${secret}`),
    revision,
    seenAt: fc.nat(60_000).map((ms) => monotonic - ms),
    targets: fc.constantFrom(undefined, undefined, ["Deployment/a", "StatefulSet/b"]),
    minIntervalMs: fc.constantFrom(0, 60_000),
  });

/** Any namespace of two Secrets and some workloads. */
const anySnapshot = fc
  .record({
    requests: fc.tuple(anyRequest("db"), anyRequest("cache")),
    workloads: fc.uniqueArray(anyWorkload, { selector: ({ id }) => id, maxLength: 8 }),
    slots: fc.nat(4),
  })
  .map(({ requests, workloads, slots }): NamespaceSnapshot => {
    const uidOf = (id: string) => `uid-${id}`;
    const restarts = new Map<string, Restart>();
    for (const { id, known } of workloads) {
      if (!known) continue;
      const record: RestartRecord = { revision: known.revision ?? "r0", putBack: known.putBack };
      const at = monotonic - known.agoMs;
      restarts.set(uidOf(id), { at, generation: known.generation, records: new Map([["m-db", record]]) });
    }
    return aSnapshot({
      requests: requests.map((request) => aRequest(request)),
      workloads: workloads.map(({ id, uses, marks, known: _known, pods: _pods, ...more }) => {
        const ways = new Map(uses.map((secret): [string, readonly Use[]] => [secret, ["Env"]]));
        return aWorkload({ ...more, uid: uidOf(id), uses: ways, marks: new Map(Object.entries(marks)) });
      }),
      pods: workloads.flatMap((one) => one.pods.map((ms) => aPod(one, { createdAt: changedAt + ms }))),
      ...{ restarts, slots },
    });
  });

describe("whatever a namespace has", () => {
  const always = (check: (snapshot: NamespaceSnapshot, plan: ReturnType<typeof decideRollouts>) => void) =>
    fc.assert(
      fc.property(anySnapshot, (snapshot) => check(snapshot, decideRollouts(snapshot))),
      { numRuns: 1_000 },
    );

  it("no more rollouts are in progress than slots, unless they were before", () => {
    always((snapshot, { restarts, inProgress }) => {
      const before = decideRollouts({ ...snapshot, slots: 0 }).inProgress;
      const started = restarts.filter(({ workload }) => !before.has(idOf(workload)));
      expect(started.length).toBeLessThanOrEqual(Math.max(snapshot.slots - before.size, 0));
      expect(inProgress.size).toBe(before.size + started.length);
    });
  });

  it("no workload is restarted for a revision that its template has, or twice in one look", () => {
    always((_snapshot, { restarts }) => {
      for (const { workload, records: set } of restarts) {
        for (const [name, record] of set) expect(workload.marks.get(name)).not.toBe(record.revision);
      }
      expect(new Set(restarts.map(({ workload }) => idOf(workload))).size).toBe(restarts.length);
    });
  });

  it("no workload is restarted that is owned, paused, a CronJob, undone, or in somebody else's rollout", () => {
    always((snapshot, { restarts }) => {
      for (const { workload, records: set } of restarts) {
        const { kind, owner, isPaused, progress, generation, uid } = workload;
        expect({ owner, isPaused }).toEqual({ owner: undefined, isPaused: false });
        expect(kind).not.toBe("CronJob");
        const own = snapshot.restarts.get(uid);
        if (progress === "progressing") expect(own?.generation).toBe(generation);
        for (const [name, { revision: to }] of set) {
          const known = own?.records.get(name);
          expect(known?.putBack && known.revision === to).toBeFalsy();
        }
      }
    });
  });

  it("after its restarts, the next look has nothing left to restart that had a slot", () => {
    always((snapshot, { restarts }) => {
      const set = new Map(restarts.map((plan) => [plan.workload.uid, plan.records]));
      const after = snapshot.workloads.map((workload) => {
        const revisions = [...(set.get(workload.uid) ?? [])].map(([name, { revision: to }]) => [name, to!] as const);
        return { ...workload, marks: new Map([...workload.marks, ...revisions]) };
      });
      const again = decideRollouts({ ...snapshot, workloads: after });
      expect(again.restarts.filter(({ workload }) => set.has(workload.uid))).toEqual([]);
    });
  });

  it("it looks again between 1 ms and 10 minutes later", () => {
    always((_snapshot, { againAfterMs }) => {
      expect(againAfterMs).toBeGreaterThan(0);
      expect(againAfterMs).toBeLessThanOrEqual(600_000);
    });
  });
});
