import { describe, expect, it } from "vitest";
import { claimed, decideLease, elapsedMs, type Lease, released } from "../../../src/kube/leases/lease.ts";

const now = 1_000_000;
const defaults = { observedAt: now, now, identity: "me", leaseDurationMs: 15_000 };

function leaseOf(holderIdentity: string | undefined, leaseDurationSeconds?: number): Lease {
  return {
    metadata: { namespace: "ns", name: "keyferry", resourceVersion: "7", uid: "u" },
    spec: {
      ...(holderIdentity === undefined ? {} : { holderIdentity }),
      ...(leaseDurationSeconds === undefined ? {} : { leaseDurationSeconds }),
    },
  };
}

describe("a candidate", () => {
  it.each([
    ["creates a Lease that does not exist", undefined, {}, { kind: "create" }],
    ["renews its own Lease", leaseOf("me", 15), {}, { kind: "renew" }],
    ["renews its own Lease also after it has lapsed", leaseOf("me", 15), { observedAt: 0 }, { kind: "renew" }],
    ["takes a released Lease at once", leaseOf("", 1), {}, { kind: "acquire" }],
    ["takes a Lease without a holder", leaseOf(undefined), {}, { kind: "acquire" }],
    ["takes a Lease without a spec", { metadata: { name: "keyferry" } }, {}, { kind: "acquire" }],
    ["waits for another holder", leaseOf("other", 15), {}, { kind: "wait", ms: 15_000 }],
    ["waits until the last millisecond", leaseOf("other", 15), { observedAt: now - 14_999 }, { kind: "wait", ms: 1 }],
    ["takes a Lease that has lapsed", leaseOf("other", 15), { observedAt: now - 15_000 }, { kind: "acquire" }],
    [
      "waits for the holder's own duration",
      leaseOf("other", 60),
      { observedAt: now - 15_000 },
      { kind: "wait", ms: 45_000 },
    ],
    ["waits for its own duration if the Lease names none", leaseOf("other"), {}, { kind: "wait", ms: 15_000 }],
    ["ignores a duration of zero", leaseOf("other", 0), {}, { kind: "wait", ms: 15_000 }],
  ] as const)("%s", (_, lease, snapshot, decision) => {
    expect(decideLease({ ...defaults, lease: lease as Lease | undefined, ...snapshot })).toEqual(decision);
  });

  it.each([
    ["released", leaseOf("", 1), 15_000],
    ["held", leaseOf("other", 15), 30_000],
  ])("waits one more duration for a Lease of replicas with other settings that is %s", (_, lease, ms) => {
    const foreign = { ...defaults, lease, isForeign: true };
    expect(decideLease(foreign)).toEqual({ kind: "wait", ms });
    expect(decideLease({ ...foreign, observedAt: now - ms })).toEqual({ kind: "acquire" });
    expect(decideLease({ ...foreign, lease: leaseOf("me", 15) })).toEqual({ kind: "renew" });
  });

  it("ignores the times in the Lease: a holder's clock may be hours off", () => {
    for (const renewTime of ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"]) {
      const lease = leaseOf("other", 15);
      lease.spec = { ...lease.spec, renewTime, acquireTime: renewTime };
      expect(decideLease({ ...defaults, lease })).toEqual({ kind: "wait", ms: 15_000 });
    }
  });

  it("never takes a Lease before its duration has passed, and always after", () => {
    for (let seconds = 1; seconds <= 30; seconds++) {
      for (let ms = 0; ms <= 31_000; ms += 500) {
        const decision = decideLease({ ...defaults, lease: leaseOf("other", seconds), observedAt: now - ms });
        expect(decision.kind).toBe(ms < seconds * 1_000 ? "wait" : "acquire");
      }
    }
  });
});

describe("the record", () => {
  const claim = { namespace: "ns", name: "keyferry", identity: "me", leaseDurationMs: 15_000, now: 0 };
  const start = "1970-01-01T00:00:00.000000Z";

  it("of a new Lease begins without a transition", () => {
    expect(claimed(undefined, claim)).toEqual({
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { namespace: "ns", name: "keyferry" },
      spec: {
        holderIdentity: "me",
        leaseDurationSeconds: 15,
        acquireTime: start,
        renewTime: start,
        leaseTransitions: 0,
      },
    });
  });

  it("of a renewal keeps the time and the number of the acquisition, and the resourceVersion as precondition", () => {
    const before = { ...leaseOf("me", 15), spec: { holderIdentity: "me", acquireTime: "then", leaseTransitions: 3 } };
    const { metadata, spec } = claimed(before, claim);
    expect(metadata.resourceVersion).toBe("7");
    expect(spec).toMatchObject({ acquireTime: "then", renewTime: start, leaseTransitions: 3 });
  });

  it("of an acquisition counts a transition", () => {
    const before = {
      ...leaseOf("other", 15),
      spec: { holderIdentity: "other", acquireTime: "t", leaseTransitions: 3 },
    };
    expect(claimed(before, claim).spec).toMatchObject({ acquireTime: start, leaseTransitions: 4 });
  });

  it("sets and removes annotations, and keeps those of others", () => {
    const annotated = (annotations: Record<string, string>): Lease => {
      const lease = leaseOf("me", 15);
      return { ...lease, metadata: { ...lease.metadata, annotations } };
    };
    const write = (before: Record<string, string>, annotations: Record<string, string | undefined>) =>
      claimed(annotated(before), { ...claim, annotations }).metadata.annotations;
    expect(write({ theirs: "1", ours: "1" }, { ours: "2" })).toEqual({ theirs: "1", ours: "2" });
    expect(write({ theirs: "1", ours: "1" }, { ours: undefined })).toEqual({ theirs: "1" });
    expect(write({ ours: "1" }, { ours: undefined })).toBeUndefined();
    expect(write({ theirs: "1" }, {})).toEqual({ theirs: "1" });
  });

  it("of a release names no holder and one second", () => {
    const before = { ...leaseOf("me", 15), spec: { holderIdentity: "me", leaseTransitions: 3 } };
    const { spec } = released(before, 0);
    expect(spec).toMatchObject({ holderIdentity: "", leaseDurationSeconds: 1, renewTime: start, leaseTransitions: 3 });
  });

  it("rounds a duration up to whole seconds", () => {
    expect(claimed(undefined, { ...claim, leaseDurationMs: 1_500 }).spec?.leaseDurationSeconds).toBe(2);
  });
});

describe("elapsed time", () => {
  it("is that of the clock that moved further: a suspension stops one, and an administrator sets the other", () => {
    const from = { monotonic: 100, wall: 1_000 };
    expect(elapsedMs(from, { monotonic: 200, wall: 5_000 })).toBe(4_000);
    expect(elapsedMs(from, { monotonic: 200, wall: 0 })).toBe(100);
  });
});
