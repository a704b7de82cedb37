import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Reason, reasons } from "../../../../src/api/reasons.ts";
import type { SyncedSecret } from "../../../../src/api/types.ts";
import type { Outcome } from "../../../../src/controllers/syncedsecret/decide/outcome.ts";
import { type SummarizeInput, summarize } from "../../../../src/controllers/syncedsecret/report/summarize.ts";
import { Failure, type Next } from "../../../../src/runtime/failure.ts";

const now = Date.UTC(2026, 0, 1, 12);
const minute = 60_000;

function resource(status?: SyncedSecret["status"], generation = 1): SyncedSecret {
  return {
    apiVersion: "keyferry.io/v1alpha1",
    kind: "SyncedSecret",
    metadata: { name: "a", namespace: "ns", uid: "u", generation },
    spec: {},
    ...(status ? { status } : {}),
  };
}

const current = (extra: object = {}): SummarizeInput["outcome"] => ({
  kind: "current",
  secret: "a",
  revision: "1.x.y",
  keyCount: 2,
  sources: [{ name: "/a", selector: "", version: 3, modified: now - minute }],
  left: [],
  ...extra,
});
const failed = (problems: Failure[], extra: object = {}): SummarizeInput["outcome"] => ({
  kind: "failed",
  problems,
  hasGoodSecret: false,
  ...extra,
});
const failure = (reason: Reason, next: Next, message = `${reason} happened`) => new Failure(reason, next, message);

function sum(outcome: SummarizeInput["outcome"], status?: SyncedSecret["status"], extra: Partial<SummarizeInput> = {}) {
  return summarize({
    resource: resource(status),
    outcome,
    now,
    elapsed: extra.now ?? now,
    staleAfterMs: 50 * minute,
    startedAt: now,
    slowRetryMs: 5 * minute,
    ...extra,
  });
}

const conditions = (summary: ReturnType<typeof sum>) =>
  Object.fromEntries(summary.status.conditions!.map(({ type, status, reason }) => [type, `${status} ${reason}`]));

describe("conditions", () => {
  it("of a current Secret have Ready only", () => {
    expect(conditions(sum(current()))).toEqual({ Ready: "True Synced" });
  });

  it.each<[string, Next, Record<string, string>]>([
    ["only a change of the spec can fix", "stalled", { Ready: "False InvalidData", Stalled: "True InvalidData" }],
    ["is retried", "retry", { Ready: "False InvalidData", Reconciling: "True InvalidData" }],
    ["a change elsewhere can fix", "wait", { Ready: "False InvalidData" }],
  ])("of a failure that %s match kstatus", (_, next, expected) => {
    expect(conditions(sum(failed([failure("InvalidData", next)])))).toEqual(expected);
  });

  it("list problems for a person before self-healing ones, and every problem once", () => {
    const problems = [
      failure("Throttled", "retry", "slow"),
      failure("AccessDenied", "wait", "denied"),
      failure("AccessDenied", "wait", "denied"),
    ];
    const summary = sum(failed(problems));
    expect(summary.reason).toBe("AccessDenied");
    expect(summary.status.conditions![0]!.message).toBe("slow; denied");
    expect(summary.retry).toBe(true);
  });

  it("keep the last transition time while the status stays, and move it when it changes", () => {
    const first = sum(current()).status;
    const later = sum(current(), first, { now: now + minute }).status;
    expect(later.conditions![0]!.lastTransitionTime).toBe("2026-01-01T12:00:00Z");
    const broken = sum(failed([failure("NotAllowed", "wait")]), later, { now: now + 2 * minute }).status;
    expect(broken.conditions![0]!.lastTransitionTime).toBe("2026-01-01T12:02:00Z");
  });

  it("stay Ready while AWS does not answer until staleAfter, and then do not", () => {
    const good = sum(current({ heardAt: now })).status;
    const silence = failed([failure("Unreachable", "retry")], { hasGoodSecret: true, heardAt: now });
    expect(sum(silence, good, { now: now + 49 * minute }).ready).toBe("True");
    expect(sum(silence, good, { now: now + 50 * minute }).ready).toBe("False");
    const unheard = current({ heardAt: now, unheard: failure("Throttled", "retry") });
    expect(sum(unheard, good, { now: now + 49 * minute }).ready).toBe("True");
    const stale = sum(unheard, good, { now: now + 50 * minute });
    expect([stale.ready, stale.reason]).toEqual(["False", "Throttled"]);
  });

  it("do not stay Ready if the spec has changed, or the Secret is not good", () => {
    const good = sum(current()).status;
    const silence = (hasGoodSecret: boolean) => failed([failure("Unreachable", "retry")], { hasGoodSecret });
    expect(sum(silence(false), good).ready).toBe("False");
    expect(sum(silence(true), good, { resource: resource(good, 2) }).ready).toBe("False");
  });
});

describe("the status", () => {
  it("is not written again if nothing changed", () => {
    const status = sum(current()).status;
    expect(sum(current(), status, { now: now + minute }).statusChanged).toBe(false);
    expect(sum(current({ keyCount: 3 }), status).statusChanged).toBe(true);
  });

  it("lists a source once, at most 100 of them, and counts the rest", () => {
    const sources = Array.from({ length: 150 }, (_, i) => ({
      name: `/p${i}`,
      selector: ":3",
      version: i,
      modified: now,
    }));
    const { status } = sum(current({ sources: [...sources, ...sources, { name: "/left", selector: "", left: true }] }));
    expect([status.sources!.length, status.sourcesOmitted]).toEqual([100, 50]);
    expect(status.sources![0]).toEqual({
      name: "/p0",
      selector: "3",
      version: 0,
      lastModified: "2026-01-01T12:00:00.000Z",
    });
  });

  it("forgets a deleted Secret, and keeps its facts through a failure", () => {
    const good = sum(current({ wrote: "created" })).status;
    const kept = sum(failed([failure("AccessDenied", "wait")]), good).status;
    expect(kept).toMatchObject({ secretRef: { name: "a" }, revision: "1.x.y", keyCount: 2 });
    const gone = sum(failed([failure("SourceGone", "wait")], { wrote: "deleted" }), good).status;
    expect(gone).not.toHaveProperty("secretRef");
    expect(gone.sources).toHaveLength(1);
  });
});

describe("an event", () => {
  it.each<[string, SyncedSecret["status"] | undefined, SummarizeInput["outcome"], string | undefined]>([
    ["is not sent for a first sync", undefined, current({ wrote: "created" }), undefined],
    ["is not sent for a new version", sum(current()).status, current({ wrote: "updated" }), undefined],
    ["is sent for a repair", sum(current()).status, current({ wrote: "repaired" }), "Normal"],
    ["is sent for a failure", sum(current()).status, failed([failure("AccessDenied", "wait")]), "Warning"],
    [
      "is not sent again for the same failure",
      sum(failed([failure("AccessDenied", "wait")])).status,
      failed([failure("AccessDenied", "wait")]),
      undefined,
    ],
    ["is sent for a recovery", sum(failed([failure("AccessDenied", "wait")])).status, current(), "Normal"],
    [
      "is sent for a deletion",
      sum(current()).status,
      failed([failure("SourceGone", "wait")], { wrote: "deleted" }),
      "Warning",
    ],
    ["is not sent for a suspension", sum(current()).status, { kind: "suspended" }, undefined],
  ])("%s", (_, status, outcome, type) => {
    expect(sum(outcome, status).events[0]?.type).toBe(type);
  });
});

it("reports the recovery of the connection's own region only if it caused a change", () => {
  const elsewhere = sum(current({ failedOver: "parameters were read in eu-central-1" })).status;
  const sourcesMetadata = (outcome: SummarizeInput["outcome"]) =>
    sum(outcome, elsewhere).events.map(({ note }) => note);
  expect(sourcesMetadata(current())).toEqual([expect.stringContaining("answers again")]);
  expect(sourcesMetadata({ kind: "suspended" })).toEqual([]);
  expect(sourcesMetadata(failed([failure("ConnectionNotReady", "wait")]))).toEqual(["ConnectionNotReady happened"]);
});

it("for any outcome, has one Ready, never both Stalled and Reconciling, and is stable: the same again changes nothing", () => {
  const problem = fc
    .record({ reason: fc.constantFrom(...reasons), next: fc.constantFrom<Next>("retry", "wait", "stalled") })
    .map(({ reason, next }) => failure(reason, next));
  const outcome: fc.Arbitrary<Exclude<Outcome, { kind: "again" | "nothing" }>> = fc.oneof(
    fc.constant({ kind: "suspended" as const }),
    fc
      .record({ keyCount: fc.nat(), heardAt: fc.integer({ min: now - 100 * minute, max: now }) })
      .map((extra) => current(extra)),
    fc
      .record({ problems: fc.array(problem, { minLength: 1, maxLength: 4 }), hasGoodSecret: fc.boolean() })
      .map(({ problems, hasGoodSecret }) => failed(problems, { hasGoodSecret })),
  );
  fc.assert(
    fc.property(outcome, outcome, (first, second) => {
      const after = sum(second, sum(first).status);
      const types = after.status.conditions!.map(({ type }) => type);
      expect(types.filter((type) => type === "Ready")).toHaveLength(1);
      expect(types.includes("Stalled") && types.includes("Reconciling")).toBe(false);
      const again = sum(second, after.status);
      expect([again.statusChanged, again.events]).toEqual([false, []]);
    }),
    { numRuns: 2_000 },
  );
});
