import fc from "fast-check";
import { expect, it } from "vitest";
import { decide } from "../../../../src/controllers/syncedsecret/decide/decide.ts";
import type { Decision } from "../../../../src/controllers/syncedsecret/decide/decision.ts";
import { needsSources } from "../../../../src/controllers/syncedsecret/decide/interest.ts";
import type { Done } from "../../../../src/controllers/syncedsecret/decide/material.ts";
import { nothingObserved, type Snapshot } from "../../../../src/controllers/syncedsecret/decide/snapshot.ts";
import type { ParameterState } from "../../../../src/parameters/cache/cache-entry.ts";
import { ConfirmedDeletion } from "../../../../src/parameters/cache/confirmed-deletion.ts";
import { assemble } from "../../../../src/values/assemble.ts";
import { aSnapshot, entry, type Results, type SnapshotBuilder, type Versions } from "./builders.ts";
import { textOf } from "./matchers.ts";
import { denied, elapsed, expired, missing, served, silent, stale, wall } from "./states.ts";

const runs = { numRuns: 400 };
const policy = fc.constantFrom("Retain", "DeleteKeys", "DeleteSecret", "DeleteSecret" as const);
const state = fc.constantFrom<ParameterState>(
  ...[{}, served(3), served(4), stale(3, 2), expired(3), expired(3, "gone")],
  ...[missing("absent"), missing("suspect", 3), missing("held", 3), missing("gone", 3)],
);
const answer = { looked: fc.boolean(), askedAt: fc.constantFrom(elapsed, elapsed - 60_000) };
const known = fc.oneof(
  { weight: 5, arbitrary: fc.record(answer) },
  { weight: 1, arbitrary: fc.record({ ...answer, failure: fc.constantFrom(silent, denied) }) },
);
const versions = fc.dictionary(
  fc.constantFrom("/a", "/b", "/p/x", "/p/y"),
  fc.constantFrom<Versions[string]>(3, 4, "left"),
) as fc.Arbitrary<Versions>;
const failures = fc.constantFrom([], [denied], [silent]);

/** Any facts about a SyncedSecret with parameters, a path and perhaps a blob, as a builder of snapshots. */
const anyBuilder: fc.Arbitrary<SnapshotBuilder> = fc
  .record({
    refresh: fc.record({
      policy: fc.constantFrom("Follow", "Follow", "Once" as const),
      whenMissing: policy,
      whenExpired: policy,
    }),
    target: fc.record({ creationPolicy: fc.constantFrom("Owner", "Owner", "Merge", "Orphan" as const) }),
    use: fc.constantFrom({}, { optional: true }, { default: "-" }),
    hasBlob: fc.boolean(),
    secret: fc.option(
      fc.record({
        from: versions,
        edited: fc.subarray(["A"], { maxLength: 1 }),
        revision: fc.constantFrom(undefined, undefined, undefined, "9.x.y", "1.x.y"),
        owner: fc.constantFrom("ours", "ours", "ours", "foreign", "adoptable"),
      }),
    ),
    ready: fc.constantFrom({}, { reason: "SourceGone" }, { status: "False" as const, reason: "ParameterNotFound" }),
    hasStatus: fc.boolean(),
    flags: fc.subarray(["refreshing", "readOnly", "forged", "verifiedAs"] as const),
    sources: fc.record({ a: fc.tuple(state, known), b: fc.tuple(state, known), x: state, y: state, p: known }),
    looked: fc.boolean(),
  })
  .map(({ refresh, target, use, hasBlob, secret, ready, hasStatus, flags, sources, looked }) => {
    const data = [
      entry("A", "/a", use),
      entry("B", "/b"),
      ...(hasBlob ? [{ key: "K", kms: { ciphertext: "AAAA" } }] : []),
    ];
    const given = aSnapshot().of({ data, dataFrom: [{ path: { name: "/p" } }], refresh, target });
    given.withSource("/a", ...sources.a).withSource("/b", ...sources.b);
    given.withPath("/p", { "/p/x": sources.x, "/p/y": sources.y }, sources.p);
    if (secret?.owner === "ours") {
      const { from, edited, revision } = secret;
      given.withSecret(from, { keys: ["A", "B", "x", "y"], edited, ...(revision ? { revision } : {}) });
    }
    if (secret?.owner === "foreign") given.withOtherSecret({});
    if (secret?.owner === "adoptable") given.withOtherSecret({ annotations: { "keyferry.io/adopt": "checkout" } });
    if (!hasStatus) given.withStatus();
    given.reporting(ready);
    for (const flag of flags) given[flag]();
    return looked ? given.after({ looked: true }) : given;
  });

/** Any results of reads. */
const anyResults: fc.Arbitrary<Results> = fc
  .record({
    read: versions,
    failed: failures,
    pinned: fc.oneof<fc.Arbitrary<NonNullable<Results["pinned"]>>[]>(versions, failures),
    opened: failures,
    hasSecret: fc.boolean(),
  })
  .map(({ read, failed, pinned, opened, hasSecret }) => ({
    read,
    ...(failed[0] ? { failures: { "/a": failed[0] } } : {}),
    pinned,
    opened: opened.length > 0 ? opened : { "data[2] (K)": "k" },
    live: hasSecret ? { A: "a", B: "b", x: "x", y: "y" } : "absent",
  }));

/** What the next decision finds done; undefined after a decision that ends the reconcile. */
function after(decision: Decision, done: Done, all: Done): Done | undefined {
  if (decision.kind === "look") return { ...done, looked: true };
  if (decision.kind === "assemble") {
    const { composed } = decision;
    return { ...done, assembly: { composed, assembled: assemble(composed.input) } };
  }
  if (decision.kind !== "read") return undefined;
  const fields = {
    sources: "read",
    pinnedVersions: "pinned",
    lastGoodVersions: "lastGood",
    ciphertexts: "opened",
    secret: "live",
  } as const;
  const field = fields[decision.what];
  expect(done).not.toHaveProperty(field);
  return { ...done, [field]: all[field] };
}

/** All decisions of a reconcile during which AWS's answers change: each snapshot observes another builder. */
function decisionsOf(
  builders: readonly SnapshotBuilder[],
  results: Results,
): { snapshot: Snapshot; decision: Decision }[] {
  const facts = builders[0]!.facts();
  const all = builders[0]!.done(facts.plan, results);
  let done: Done | undefined = builders[0]!.build().done;
  const taken: { snapshot: Snapshot; decision: Decision }[] = [];
  for (let step = 0; done; step++) {
    expect(step, taken.map(({ decision }) => textOf(decision)).join(", ")).toBeLessThan(10);
    const snapshot: Snapshot = { ...facts, ...builders[step % builders.length]!.observed(facts), done };
    const decision = decide(snapshot);
    taken.push({ snapshot, decision });
    done = after(decision, done, all);
  }
  return taken;
}

it("a reconcile ends within ten decisions and asks for nothing twice, whatever AWS answers", () => {
  fc.assert(
    fc.property(fc.array(anyBuilder, { minLength: 1, maxLength: 3 }), anyResults, (builders, results) => {
      const kinds = decisionsOf(builders, results).map(({ decision }) => decision.kind);
      expect(kinds.filter((kind) => kind === "look").length).toBeLessThanOrEqual(1);
      expect(["refuse", "keep", "apply", "delete"]).toContain(kinds.at(-1));
    }),
    runs,
  );
});

it("a Secret is deleted only if it is ours, AWS has proved a loss and the policy says so", () => {
  let deletions = 0;
  fc.assert(
    fc.property(anyBuilder, anyResults, (builder, results) => {
      for (const { snapshot, decision } of decisionsOf([builder], results)) {
        if (decision.kind !== "delete") continue;
        deletions += 1;
        const { standing, target, readOnly, whenMissing, whenExpired } = snapshot;
        expect(standing.state).toBe("ours");
        expect(decision.metadata).toBe(snapshot.present);
        expect(target.policy).not.toBe("Merge");
        expect(readOnly).toBe(false);
        const isConfirmed = decision.proof instanceof ConfirmedDeletion;
        expect(isConfirmed ? whenMissing : whenExpired).toBe("DeleteSecret");
        expect(decision.problems.length).toBeGreaterThan(0);
      }
    }),
    { ...runs, seed: 1 },
  );
  expect(deletions).toBeGreaterThan(0);
});

it("a decision that needs no sources does not depend on them", () => {
  fc.assert(
    fc.property(anyBuilder, (builder) => {
      const facts = builder.facts();
      fc.pre(!needsSources(facts));
      const decision = decide({ ...facts, ...nothingObserved(wall), done: {} });
      expect(decision).toEqual(decide({ ...facts, ...builder.observed(facts), done: {} }));
      expect(["refuse", "keep", "read"]).toContain(decision.kind);
    }),
    runs,
  );
});

it("a current Secret is written only after a read, and only with read-only off", () => {
  fc.assert(
    fc.property(anyBuilder, anyResults, (builder, results) => {
      const taken = decisionsOf([builder], results);
      const { snapshot, decision } = taken.at(-1)!;
      if (decision.kind !== "apply") return;
      expect(snapshot.readOnly).toBe(false);
      expect(["absent", "ours", "adoptable"]).toContain(snapshot.standing.state);
      expect(taken.some(({ decision: { kind } }) => kind === "read")).toBe(true);
    }),
    runs,
  );
});

it("a decision does not depend on the order in which sources, members or keys are known", () => {
  fc.assert(
    fc.property(anyBuilder, anyResults, (builder, results) => {
      const reversed: Results = {
        ...results,
        read: backwards(results.read ?? {}),
        live: results.live === undefined || results.live === "absent" ? "absent" : backwards(results.live),
        ...(isVersions(results.pinned) ? { pinned: backwards(results.pinned) } : {}),
      };
      const texts = (taken: ReturnType<typeof decisionsOf>) => taken.map(({ decision }) => textOf(decision));
      const forth = decisionsOf([builder], results);
      expect(texts(decisionsOf([builder.backwards()], reversed))).toEqual(texts(forth));
    }),
    runs,
  );
});

function backwards<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).reverse());
}

function isVersions(pinned: Results["pinned"]): pinned is Versions {
  return pinned !== undefined && !Array.isArray(pinned);
}
