import { describe, expect, it } from "vitest";
import { aSnapshot, entry, statusSources } from "./builders.ts";
import { eachEnds, endOf } from "./matchers.ts";
import { day, elapsed, expired, minute, missing, served, wall } from "./states.ts";

type Policy = "Retain" | "DeleteKeys" | "DeleteSecret";
type Use = "required" | "optional" | "defaulted";

const uses = { required: {}, optional: { optional: true }, defaulted: { default: "-" } };
/** The key `A` from `/a`, which is missing or has expired, and the key `B` from `/b`, which is there. */
const sources = (use: Use, refresh: { whenMissing?: Policy; whenExpired?: Policy }) =>
  aSnapshot()
    .of({ data: [entry("A", "/a", uses[use]), entry("B", "/b")], refresh })
    .withSource("/b", served(1));
const results = { read: { "/b": 1 }, live: { A: "old", B: "old" } };
const made = { "/a": 3, "/b": 1 };
const justNow = { askedAt: elapsed - 500 };

describe("a Secret whose parameter is missing", () => {
  it.each<[Policy, Use, "absent" | "suspect" | "held" | "gone", string]>([
    ["Retain", "required", "absent", "keep"],
    ["Retain", "required", "suspect", "keep"],
    ["Retain", "required", "held", "keep"],
    ["Retain", "required", "gone", "keep"],
    ["Retain", "optional", "absent", "keep"],
    ["Retain", "optional", "suspect", "keep"],
    ["Retain", "optional", "held", "keep"],
    ["Retain", "optional", "gone", "apply B"],
    ["Retain", "defaulted", "absent", "keep"],
    ["Retain", "defaulted", "suspect", "keep"],
    ["Retain", "defaulted", "held", "keep"],
    ["Retain", "defaulted", "gone", "apply A B"],
    ["DeleteKeys", "required", "absent", "keep"],
    ["DeleteKeys", "required", "suspect", "keep"],
    ["DeleteKeys", "required", "held", "keep"],
    ["DeleteKeys", "required", "gone", "apply B"],
    ["DeleteKeys", "optional", "absent", "keep"],
    ["DeleteKeys", "optional", "suspect", "keep"],
    ["DeleteKeys", "optional", "held", "keep"],
    ["DeleteKeys", "optional", "gone", "apply B"],
    ["DeleteKeys", "defaulted", "absent", "keep"],
    ["DeleteKeys", "defaulted", "suspect", "keep"],
    ["DeleteKeys", "defaulted", "held", "keep"],
    ["DeleteKeys", "defaulted", "gone", "apply A B"],
    ["DeleteSecret", "required", "absent", "keep"],
    ["DeleteSecret", "required", "suspect", "keep"],
    ["DeleteSecret", "required", "held", "keep"],
    ["DeleteSecret", "required", "gone", "delete SourceGone"],
    ["DeleteSecret", "optional", "absent", "keep"],
    ["DeleteSecret", "optional", "suspect", "keep"],
    ["DeleteSecret", "optional", "held", "keep"],
    ["DeleteSecret", "optional", "gone", "apply B"],
    ["DeleteSecret", "defaulted", "absent", "keep"],
    ["DeleteSecret", "defaulted", "suspect", "keep"],
    ["DeleteSecret", "defaulted", "held", "keep"],
    ["DeleteSecret", "defaulted", "gone", "apply A B"],
  ])("under %s, %s, in stage %s: %s", (whenMissing, use, stage, decision) => {
    const was = stage === "absent" ? undefined : 3;
    const given = sources(use, { whenMissing }).withSecret(made, { keys: ["A", "B"] });
    expect(endOf(given.withSource("/a", missing(stage, was), justNow), results)).toBe(decision);
  });
});

describe("a new Secret whose parameter is missing", () => {
  it.each<[Policy, Use, "absent" | "suspect" | "held" | "gone", string]>([
    ["Retain", "required", "absent", "refuse ParameterNotFound"],
    ["Retain", "required", "suspect", "refuse SourceGone"],
    ["Retain", "required", "held", "refuse SourceGone"],
    ["Retain", "required", "gone", "refuse SourceGone"],
    ["Retain", "optional", "absent", "apply B"],
    ["Retain", "optional", "suspect", "refuse SourceGone"],
    ["Retain", "optional", "gone", "apply B"],
    ["Retain", "defaulted", "absent", "apply A B"],
    ["Retain", "defaulted", "suspect", "refuse SourceGone"],
    ["Retain", "defaulted", "gone", "apply A B"],
    ["DeleteKeys", "required", "absent", "refuse ParameterNotFound"],
    ["DeleteKeys", "required", "suspect", "refuse SourceGone"],
    ["DeleteKeys", "required", "held", "refuse SourceGone"],
    ["DeleteKeys", "required", "gone", "apply B"],
    ["DeleteKeys", "optional", "absent", "apply B"],
    ["DeleteKeys", "defaulted", "absent", "apply A B"],
    ["DeleteSecret", "required", "absent", "refuse ParameterNotFound"],
    ["DeleteSecret", "required", "suspect", "refuse SourceGone"],
    ["DeleteSecret", "required", "gone", "refuse SourceGone"],
    ["DeleteSecret", "optional", "absent", "apply B"],
    ["DeleteSecret", "optional", "gone", "apply B"],
    ["DeleteSecret", "defaulted", "gone", "apply A B"],
  ])("under %s, %s, in stage %s: %s", (whenMissing, use, stage, decision) => {
    const given = sources(use, { whenMissing });
    const was = stage === "absent" ? undefined : 3;
    expect(endOf(given.withSource("/a", missing(stage, was), justNow), results)).toBe(decision);
  });
});

describe("a Secret whose parameter has expired", () => {
  it.each<[Policy, Use, "served" | "suspect" | "gone", string]>([
    ["Retain", "required", "served", "keep"],
    ["Retain", "required", "suspect", "keep"],
    ["Retain", "required", "gone", "keep"],
    ["Retain", "optional", "served", "keep"],
    ["Retain", "optional", "gone", "apply B"],
    ["Retain", "defaulted", "served", "keep"],
    ["Retain", "defaulted", "gone", "apply A B"],
    ["DeleteKeys", "required", "served", "apply B"],
    ["DeleteKeys", "required", "suspect", "apply B"],
    ["DeleteKeys", "required", "gone", "apply B"],
    ["DeleteKeys", "optional", "served", "apply B"],
    ["DeleteKeys", "optional", "gone", "apply B"],
    ["DeleteKeys", "defaulted", "served", "apply A B"],
    ["DeleteKeys", "defaulted", "gone", "apply A B"],
    ["DeleteSecret", "required", "served", "delete Expired"],
    ["DeleteSecret", "required", "suspect", "delete Expired"],
    ["DeleteSecret", "required", "gone", "delete Expired"],
    ["DeleteSecret", "optional", "served", "delete Expired"],
    ["DeleteSecret", "optional", "gone", "apply B"],
    ["DeleteSecret", "defaulted", "served", "delete Expired"],
  ])("under %s, %s, %s: %s", (whenExpired, use, stage, decision) => {
    const given = sources(use, { whenExpired }).withSecret(made, { keys: ["A", "B"] });
    const state = expired(3, stage === "served" ? undefined : stage);
    expect(endOf(given.withSource("/a", state), results)).toBe(decision);
  });

  eachEnds([
    [
      "keeps it while whenMissing would delete it",
      sources("required", { whenMissing: "DeleteSecret", whenExpired: "Retain" })
        .withSecret(made)
        .withSource("/a", expired(3, "gone")),
      results,
      "keep",
    ],
    [
      "drops its key while whenMissing would retain it",
      sources("required", { whenMissing: "Retain", whenExpired: "DeleteKeys" })
        .withSecret(made)
        .withSource("/a", expired(3, "gone")),
      results,
      "apply B",
    ],
    [
      "uses a newer version, which has not expired",
      sources("required", { whenExpired: "DeleteSecret" })
        .withSecret(made)
        .withSource("/a", { ...served(4), expired: expired(3).expired! }),
      { read: { ...made, "/a": 4 } },
      "apply A B",
    ],
    [
      "ignores the expiry under Once",
      aSnapshot()
        .of({ data: [entry("A", "/a")], refresh: { policy: "Once", whenExpired: "DeleteSecret" } })
        .withSource("/a", expired(3)),
      { read: { "/a": 3 } },
      "apply A",
    ],
    [
      "creates no Secret from it under DeleteSecret",
      sources("required", { whenExpired: "DeleteSecret" }).withSource("/a", expired(3)),
      { read: made },
      "refuse Expired",
    ],
    [
      "creates a Secret from it under Retain while AWS serves it",
      sources("required", {}).withSource("/a", expired(3)),
      { read: made },
      "apply A B",
    ],
  ]);
});

describe("a Secret whose parameter has expired according to the status alone", () => {
  const reported = (whenExpired: Policy, at: number, whenMissing: Policy = "Retain") =>
    sources("required", { whenExpired, whenMissing })
      .withSecret(made, { keys: ["A", "B"] })
      .listing([
        ...statusSources({ "/a": 3 }, { expiresAt: new Date(at).toISOString() }),
        ...statusSources({ "/b": 1 }),
      ]);
  const past = wall - 10 * minute;

  eachEnds([
    ["is kept before AWS has answered, under DeleteSecret", reported("DeleteSecret", past), {}, "keep"],
    ["is kept before AWS has answered, under DeleteKeys", reported("DeleteKeys", past), {}, "keep"],
    ["is kept while AWS serves the parameter", reported("DeleteSecret", past).withSource("/a", served(3)), {}, "keep"],
    [
      "is kept while the parameter may come back, under DeleteSecret",
      reported("DeleteSecret", past).withSource("/a", missing("suspect", 3)),
      {},
      "keep",
    ],
    [
      "is kept while the parameter may come back, under DeleteKeys",
      reported("DeleteKeys", past).withSource("/a", missing("suspect", 3)),
      {},
      "keep",
    ],
    ["is kept during a mass deletion", reported("DeleteSecret", past).withSource("/a", missing("held", 3)), {}, "keep"],
    [
      "is kept under Retain once the parameter is gone",
      reported("Retain", past, "DeleteSecret").withSource("/a", missing("gone", 3)),
      {},
      "keep",
    ],
    [
      "is deleted under DeleteSecret once the parameter is gone",
      reported("DeleteSecret", past).withSource("/a", missing("gone", 3)),
      {},
      "delete Expired",
    ],
    [
      "loses the key under DeleteKeys once the parameter is gone",
      reported("DeleteKeys", past).withSource("/a", missing("gone", 3)),
      results,
      "apply B",
    ],
    [
      "follows whenMissing if the parameter was deleted before it expired",
      reported("DeleteSecret", wall + day).withSource("/a", missing("gone", 3)),
      {},
      "keep",
    ],
    [
      "follows whenMissing if AWS knows of another expiry",
      reported("DeleteSecret", past).withSource("/a", {
        ...missing("gone", 3),
        metadata: { policies: { expiresAt: wall + day } },
      }),
      {},
      "keep",
    ],
  ]);
});
