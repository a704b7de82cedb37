import { describe, expect, it } from "vitest";
import { Revisions } from "../../../../src/controllers/syncedsecret/trust/revision.ts";
import { aSnapshot, entry } from "./builders.ts";
import { eachDecides, eachEnds, intentOf, textsOf } from "./matchers.ts";
import { elsewhere, served, stampOf, wall } from "./states.ts";

/** A spec of the key `A`, and a Secret that also has the key `B`, which no source produces. */
const one = () =>
  aSnapshot()
    .of({ data: [entry("A", "/a")], dataFrom: [{ path: { name: "/p" }, allowEmpty: true }] })
    .withSource("/a", served(4))
    .withPath("/p", {});
const both = { keys: ["A", "B"] };
const made = { "/a": 3, "/p/B": 1 };
const results = { read: { "/a": 4 }, live: { A: "old", B: "b" } };
const newer = () => one().withSecret(made, { ...both, revision: "9.x.y" });

describe("a key that no source produces any more", () => {
  eachEnds([
    ["is retained if the status is gone", one().withSecret(made, both).withStatus(), results, "apply A B retaining B"],
    [
      "is retained if the status was edited",
      one().withSecret(made, both).withStatus({ sources: [] }),
      results,
      "apply A B retaining B",
    ],
    [
      "is retained after the connection got another account",
      one().withSecret(made, both).granted({ account: "999999999999" }).withStatus(),
      results,
      "apply A B retaining B",
    ],
    [
      "is retained if another region has found the revision to be current",
      one().withSecret(made, both).withStatus().verifiedAs("123456789012 us-east-1"),
      results,
      "apply A B retaining B",
    ],
    ["is retained in a Secret of a newer release", newer(), results, "apply A B retaining B"],
    [
      "is dropped if this process has found the revision to be current",
      one().withSecret(made, both).withStatus().verifiedAs(),
      results,
      "apply A",
    ],
    ["is dropped on a refresh request", one().withSecret(made, both).withStatus().refreshing(), results, "apply A"],
    [
      "is dropped if the Secret was made from another spec",
      one()
        .withSecret(made, { ...both, spec: {} })
        .withStatus(),
      results,
      "apply A",
    ],
    [
      "is dropped after an edit of the data",
      one()
        .withSecret(made, { ...both, edited: ["A"] })
        .withStatus(),
      results,
      "apply A",
    ],
    [
      "is dropped if the Secret is gone meanwhile",
      one().withSecret(made, both).withStatus(),
      { ...results, live: "absent" },
      "apply A",
    ],
    [
      "is dropped if the Secret is from a failover region",
      one()
        .granted({ standIns: [{ region: "eu-central-1", identity: elsewhere }] })
        .withSecret(made, { ...both, region: "eu-central-1" })
        .withPath("/p", {}),
      results,
      "apply A",
    ],
    ["stays retained", one().withSecret({ "/a": 3 }, { ...both, retained: ["B"] }), results, "apply A B retaining B"],
    [
      "stays retained if this process has found the revision to be current",
      one()
        .withSecret({ "/a": 3 }, { ...both, retained: ["B"] })
        .verifiedAs(),
      results,
      "apply A B retaining B",
    ],
    [
      "is no longer retained once a source produces it",
      one()
        .withSecret({ "/a": 3 }, { ...both, retained: ["B"] })
        .withPath("/p", { "/p/B": served(1) }),
      { ...results, read: { "/a": 4, "/p/B": 1 } },
      "apply A B",
    ],
    [
      "is no longer retained after a change of the spec",
      one().withSecret({ "/a": 3 }, { ...both, retained: ["B"], spec: {} }),
      results,
      "apply A",
    ],
    [
      "is no longer retained on a refresh request",
      one()
        .withSecret({ "/a": 3 }, { ...both, retained: ["B"] })
        .refreshing(),
      results,
      "apply A",
    ],
    [
      "is retained if the list of retained keys is not JSON",
      one().withSecret({ "/a": 3 }, { ...both, retainedText: "[" }),
      results,
      "apply A B retaining B",
    ],
    [
      "is retained if the list of retained keys is no list",
      one().withSecret({ "/a": 3 }, { ...both, retainedText: "{}" }),
      results,
      "apply A B retaining B",
    ],
    [
      "is dropped if the list of retained keys names another key",
      one().withSecret({ "/a": 3 }, { ...both, retainedText: '["X", 1]' }),
      results,
      "apply A",
    ],
    [
      "is retained if a version in the status is in the future",
      one().withSecret({ "/a": { version: 3, modified: wall + 3_600_000 } }, both),
      results,
      "apply A B retaining B",
    ],
  ]);

  eachDecides([
    [
      "costs no read of the Secret if the status names its sources",
      one()
        .withSecret({ "/a": 3 })
        .after({ read: { "/a": 4 } }),
      "assemble",
    ],
    [
      "is read from the Secret if the status is gone",
      one()
        .withSecret({ "/a": 3 })
        .withStatus()
        .after({ read: { "/a": 4 } }),
      "read secret",
    ],
    ["is not read for a new Secret", one().after({ read: { "/a": 4 } }), "assemble"],
    [
      "is not read for a Secret that is to be adopted",
      one()
        .withOtherSecret({ annotations: { "keyferry.io/adopt": "checkout" } })
        .after({ read: { "/a": 4 } }),
      "assemble",
    ],
    [
      "leaves a current Secret alone",
      one()
        .withSource("/a", served(3))
        .withSecret({ "/a": 3 }, { ...both, retained: ["B"] }),
      "keep",
    ],
  ]);

  it("keeps its bytes", () => {
    expect(textsOf(intentOf(one().withSecret(made, both).withStatus(), results))).toEqual({ A: "/a@4", B: "b" });
  });

  it("is not a source of the revision", () => {
    const { sources, revision } = intentOf(one().withSecret(made, both).withStatus(), results);
    const source = { name: "/a", selector: "", ...stampOf(4) };
    expect(sources).toEqual([source]);
    const { spec } = one().facts().resource;
    const from = { spec, account: "123456789012", region: "eu-west-1", sources: [source] };
    expect(revision).toBe(new Revisions().of(from));
  });
});
