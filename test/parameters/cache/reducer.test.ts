import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Entry, newEntry, type ParameterState } from "../../../src/parameters/cache/cache-entry.ts";
import { ChangeTracker } from "../../../src/parameters/cache/change-tracker.ts";
import type { ConfirmedDeletion } from "../../../src/parameters/cache/confirmed-deletion.ts";

import { changeEntry, changeParameter, type EntryChange } from "../../../src/parameters/cache/reducer.ts";
import type { ParameterChange } from "../../../src/parameters/cache/transitions.ts";
import { referenceKey } from "../../../src/parameters/read/reference.ts";
import type { VersionStamp } from "../../../src/parameters/read/version-stamp.ts";
import { Failure } from "../../../src/runtime/failure.ts";
import { FakeAws } from "../../support/fake-aws.ts";
import { parameterOf, pathOf } from "../../support/observer.ts";

const identity = new FakeAws(() => 0).identity();
const confirmed = { heard: "twice" } as ConfirmedDeletion;
const names = ["/p/a", "/p/b", "/p/c"];

function entryOf(kind: "parameter" | "path"): Entry {
  const reference = kind === "path" ? pathOf(identity, "/p") : parameterOf(identity, "/p/a");
  return newEntry(reference, referenceKey(reference));
}

/** Everything that dependents act on, as one string: the specification of `version`. */
function fingerprint(entry: Entry): string {
  const failure = entry.failure && entry.failure.next !== "retry" ? entry.failure.message : "";
  if (entry.reference.kind === "parameter") return `${stateFingerprint(entry.state)}\n${failure}`;
  const all = [...entry.members, ...(entry.claimed ?? [])];
  const members = all.map(([name, state]) => `${name}\t${stateFingerprint(state)}`).sort();
  return `${members.join("\n")}\n${failure}`;
}

/** What AWS serves of an entry, as one string: the specification of `servedVersion`. */
function served(entry: Entry): string {
  const print = ({ stamp, missing }: ParameterState) =>
    missing ? "" : `${stamp?.version} ${stamp?.modified}${idOf(stamp)}`;
  if (entry.reference.kind === "parameter") return print(entry.state);
  return [...entry.members]
    .filter(([, { missing }]) => !missing)
    .map(([name, state]) => `${name}\t${print(state)}`)
    .sort()
    .join("\n");
}

function stateFingerprint({ stamp, missing, staleAnswer }: ParameterState): string {
  const doubted = staleAnswer && staleAnswer.times > 1 ? " doubted" : "";
  return `${stamp?.version ?? ""} ${stamp?.modified ?? ""}${idOf(stamp)} ${missing?.stage ?? ""} ${missing?.reason ?? ""}${doubted}`;
}

function idOf(stamp: VersionStamp | undefined): string {
  return stamp?.versionId === undefined ? "" : ` ${stamp.versionId}`;
}

const at = fc.nat({ max: 200_000 }).map((now) => ({ now, wall: now }));
const stamp: fc.Arbitrary<VersionStamp> = fc.record(
  {
    version: fc.nat({ max: 2 }),
    modified: fc.constantFrom(0, 1_000, 2_000, Number.NaN),
    versionId: fc.constantFrom("", "x"),
  },
  { requiredKeys: ["version", "modified"] },
);
const reason = fc.constantFrom("ParameterNotFound" as const, "VersionNotFound" as const);
const parameterChange: fc.Arbitrary<ParameterChange> = fc.oneof(
  fc.record({ type: fc.constant("served" as const), stamp, mayGoBack: fc.boolean(), at }),
  fc.record({ type: fc.constant("missing" as const), reason, at }),
  fc.constantFrom<ParameterChange>(
    { type: "held" },
    { type: "gone", confirmed },
    { type: "graceRestarted", now: 7 },
    { type: "describedBefore" },
    { type: "described", metadata: { keyId: "k" }, expired: undefined },
    { type: "described", metadata: {}, expired: { at: 1, stamp: undefined } },
    { type: "expired", expired: { at: 2, stamp: undefined } },
    { type: "markedUnsure" },
  ),
);
const name = fc.constantFrom(...names);
const failure = fc.constantFrom(
  new Failure("AccessDenied", "wait", "denied"),
  new Failure("Throttled", "retry", "slow down"),
);
const entryChange: fc.Arbitrary<EntryChange> = fc.oneof(
  fc.constantFrom<EntryChange>(
    { type: "answered", elapsed: 1 },
    { type: "asked", now: 1 },
    { type: "compared" },
    { type: "hinted", now: 1 },
    { type: "unread", elapsed: 1 },
    { type: "valueRead" },
    { type: "tooLarge" },
    { type: "planned", at: 1 },
    { type: "dependentAdded", dependent: "ns/a", intervalMs: 1 },
    { type: "dependentRemoved", dependent: "ns/a" },
    { type: "wished", dependent: "ns/a", actsOnExpiry: true },
    { type: "statusKept", dependent: "ns/a", stored: "left" },
    { type: "statusForgotten", dependent: "ns/a" },
    { type: "statusesForgotten" },
  ),
  fc.record({ type: fc.constant("failed" as const), failure, elapsed: fc.nat() }),
  fc.record({ type: fc.constant("memberAdded" as const), name, isKnown: fc.boolean() }),
  fc.record({ type: fc.constantFrom("memberForgotten" as const, "claimForgotten" as const), name }),
  fc.record({ type: fc.constant("claimed" as const), name, at }),
);

type Step =
  | { do: "parameter"; name: string; change: ParameterChange }
  | { do: "entry"; change: EntryChange }
  | { do: "track" }
  | { do: "compare"; which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("parameter" as const), name, change: parameterChange }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("entry" as const), change: entryChange }) },
  { weight: 1, arbitrary: fc.constant({ do: "track" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("compare" as const), which: fc.nat() }) },
);

/** Whether a change applies to the entry: a parameter has no members. */
function applies(entry: Entry, change: EntryChange): boolean {
  return entry.reference.kind === "path" || !("name" in change);
}

function apply(entry: Entry, states: Map<string, ParameterState>, step: Step): void {
  if (step.do === "entry" && applies(entry, step.change)) changeEntry(entry, step.change);
  if (step.do !== "parameter") return;
  const isPath = entry.reference.kind === "path";
  // A state that has left the entry may still be changed by an answer in flight.
  const own = isPath ? (entry.members.get(step.name) ?? entry.claimed?.get(step.name)) : entry.state;
  const state = own ?? states.get(step.name);
  if (!state) return;
  states.set(step.name, state);
  changeParameter({ entry, name: isPath ? step.name : "/p/a", state }, step.change);
}

describe.each(["parameter", "path"] as const)("an entry of a %s", (kind) => {
  it("gets a new version if and only if its fingerprint changes, and a change tracker compares with the original", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const entry = entryOf(kind);
        const states = new Map<string, ParameterState>();
        const tracked: { tracker: ChangeTracker; fingerprint: string; served: string }[] = [];
        const compare = (which: number) => {
          const [one] = tracked.splice(which % tracked.length, 1);
          expect(one!.tracker.hasChanged).toBe(one!.fingerprint !== fingerprint(entry));
          expect(one!.tracker.hasServedChanged).toBe(one!.served !== served(entry));
          one!.tracker.end();
        };
        for (const step of steps) {
          if (step.do === "track") {
            const before = { fingerprint: fingerprint(entry), served: served(entry) };
            tracked.push({ tracker: new ChangeTracker(entry), ...before });
          } else if (step.do === "compare") {
            if (tracked.length > 0) compare(step.which);
          } else {
            const before = { version: entry.version, servedVersion: entry.servedVersion };
            const prints = [fingerprint(entry), served(entry)];
            apply(entry, states, step);
            expect(entry.version - before.version).toBe(prints[0] === fingerprint(entry) ? 0 : 1);
            expect(entry.servedVersion - before.servedVersion).toBe(prints[1] === served(entry) ? 0 : 1);
          }
        }
        while (tracked.length > 0) compare(0);
      }),
      { numRuns: 1_000 },
    );
  });
});

const clock = { now: 0, wall: 0 };

describe("a change tracker", () => {
  const version1 = { version: 1, modified: 1_000 };
  const loss: ParameterChange = { type: "missing", reason: "ParameterNotFound", at: clock };
  const service: ParameterChange = { type: "served", stamp: version1, mayGoBack: false, at: clock };

  it("reports no change after a change was reversed, though the version counts both", () => {
    const entry = entryOf("parameter");
    const parameter = { entry, name: "/p/a", state: entry.state };
    changeParameter(parameter, service);
    const tracker = new ChangeTracker(entry);
    const { version } = entry;
    changeParameter(parameter, loss);
    expect(tracker.hasChanged).toBe(true);
    expect(tracker.hasServedChanged).toBe(true);
    changeParameter(parameter, service);
    expect(entry.version).toBe(version + 2);
    expect(tracker.hasChanged).toBe(false);
    expect(tracker.hasServedChanged).toBe(false);
    tracker.end();
  });

  it("ignores a state that is no longer part of its entry", () => {
    const entry = entryOf("path");
    changeEntry(entry, { type: "claimed", name: "/p/a", at: clock });
    const left = { entry, name: "/p/a", state: entry.claimed!.get("/p/a")! };
    changeEntry(entry, { type: "memberAdded", name: "/p/a", isKnown: false });
    expect(entry.claimed).toBeUndefined();
    const tracker = new ChangeTracker(entry);
    changeParameter(left, { type: "gone", confirmed });
    expect(tracker.hasChanged).toBe(false);
    expect(entry.members.get("/p/a")).toEqual({});
    tracker.end();
  });
});
