import { describe, expect, it } from "vitest";
import { heard, isLost, losses, overdue, wanting } from "../../../../src/controllers/syncedsecret/decide/retention.ts";
import { aSnapshot, entry } from "./builders.ts";
import { eachDecides, eachEnds, eachTakes, intentOf, textsOf } from "./matchers.ts";
import { elapsed, expired, missing, served, silent, stale } from "./states.ts";

/** The key `A` from `/a`, which is missing, and the key `B` from `/b`, which has a new version. */
const two = () =>
  aSnapshot()
    .of({ data: [entry("A", "/a"), entry("B", "/b")] })
    .withSource("/a", missing("suspect", 3))
    .withSource("/b", served(2));
const made = { "/a": 3, "/b": 1 };
const own = { keys: ["A", "B"] };
const results = { read: { "/b": 2 }, live: { A: "old", B: "older" } };
const path = () =>
  aSnapshot()
    .of({ dataFrom: [{ path: { name: "/p" } }] })
    .withSecret({ "/p/x": 1, "/p/y": 1 }, { keys: ["x", "y"] });

describe("the keys of a missing parameter", () => {
  eachTakes([
    [
      "are read from the Secret before it is written",
      two().withSecret(made, own),
      results,
      ["read sources", "read secret", "assemble", "apply A B"],
    ],
  ]);

  eachEnds([
    ["are not known without a Secret", two(), results, "refuse SourceGone"],
    ["are not known after an edit", two().withSecret(made, { ...own, edited: ["A"] }), results, "refuse SourceGone"],
    [
      "are not known with a template",
      two()
        .of({ target: { template: { data: { A: "x" } } } })
        .withSecret(made, own),
      results,
      "refuse SourceGone (good Secret)",
    ],
    [
      "are reported as a parameter that does not exist if the Secret never had them",
      two().withSecret(made, { keys: ["B"] }),
      { ...results, live: { B: "older" } },
      "refuse ParameterNotFound (good Secret)",
    ],
    [
      "are reported as a parameter that does not exist if the Secret is gone",
      two().withSecret(made, own),
      { ...results, live: "absent" },
      "refuse ParameterNotFound (good Secret)",
    ],
    [
      "are kept if a label of the Secret was removed",
      two().withSecret(made, { ...own, unlabelled: true }),
      results,
      "apply A B",
    ],
  ]);

  it.each([
    ["keep their bytes", two().withSecret(made, own), results, { A: "old", B: "/b@2" }],
    [
      "keep their bytes if the parameter is gone",
      two().withSource("/a", missing("gone", 3)).withSecret(made, own),
      results,
      { A: "old", B: "/b@2" },
    ],
    [
      "keep their bytes if the parameter has expired",
      two().withSource("/a", expired(3, "suspect")).withSecret(made, own),
      results,
      { A: "old", B: "/b@2" },
    ],
    [
      "keep their bytes although a read returned the parameter",
      two().withSecret(made, own),
      { ...results, read: { "/a": 4, "/b": 2 } },
      { A: "old", B: "/b@2" },
    ],
    [
      "of a path keep their bytes",
      path().withPath("/p", { "/p/x": missing("suspect", 1), "/p/y": served(2) }),
      { read: { "/p/y": 2 }, live: { x: "old", y: "older" } },
      { x: "old", y: "/p/y@2" },
    ],
    [
      "of an empty path keep their bytes",
      path()
        .withPath("/p", { "/p/x": missing("gone", 1), "/p/y": missing("gone", 1) })
        .withSecret({ "/p/x": 1, "/p/y": 2 }, { keys: ["x", "y"], edited: [], unlabelled: true }),
      { read: {}, live: { x: "old", y: "older" } },
      { x: "old", y: "older" },
    ],
    [
      "of a path follow its rename",
      path()
        .of({ dataFrom: [{ path: { name: "/p" }, rename: { case: "Upper" } }] })
        .withSecret({ "/p/x": 1, "/p/y": 1 }, { keys: ["X", "Y"] })
        .withPath("/p", { "/p/x": missing("suspect", 1), "/p/y": served(2) }),
      { read: { "/p/y": 2 }, live: { X: "old", Y: "older" } },
      { X: "old", Y: "/p/y@2" },
    ],
    [
      "of a document are all keys that nothing else produces",
      two()
        .of({ dataFrom: [{ parameter: { name: "/d" }, format: "JSON" }], data: [entry("B", "/b")] })
        .withSource("/d", missing("suspect", 3))
        .withSecret({ "/d": 3, "/b": 1 }, { keys: ["B", "C", "D"] }),
      { read: { "/b": 2 }, live: { B: "older", C: "c", D: "d" } },
      { B: "/b@2", C: "c", D: "d" },
    ],
  ])("%s", (_, given, reads, data) => expect(textsOf(intentOf(given, reads))).toEqual(data));

  it("keep the version that they were made from in the revision", () => {
    const { sources } = intentOf(two().withSecret(made, own), results);
    expect(sources).toMatchObject([
      { name: "/a", version: 3 },
      { name: "/b", version: 2 },
    ]);
  });
});

describe("a stale answer", () => {
  const one = () => aSnapshot().of({ data: [entry("A", "/a")] });

  eachDecides([
    [
      "keeps a Secret of the newer version",
      one().withSecret({ "/a": 3 }).withSource("/a", stale(3, 2), { askedAt: elapsed }),
      "keep",
    ],
    [
      "is looked at again after ten seconds",
      one()
        .withSecret({ "/a": 3 })
        .withSource("/a", stale(3, 2), { askedAt: elapsed - 10_000 }),
      "look /a",
    ],
    [
      "is not looked at again before ten seconds",
      one()
        .withSecret({ "/a": 3 })
        .withSource("/a", stale(3, 2), { askedAt: elapsed - 9_999 }),
      "keep",
    ],
    [
      "is not believed right after a restart",
      one()
        .withSecret({ "/a": 3 })
        .withSource("/a", { ...served(2), since: elapsed - 5_000 }, { askedAt: elapsed }),
      "keep",
    ],
    [
      "is believed after a minute",
      one()
        .withSecret({ "/a": 3 })
        .withSource("/a", { ...served(2), since: elapsed - 60_000 }, { askedAt: elapsed }),
      "read sources",
    ],
    [
      "does not count the time without an answer",
      one()
        .withSecret({ "/a": 3 })
        .withSource("/a", { ...served(2), since: elapsed - 60_000 }, { askedAt: elapsed, failure: silent }),
      "keep",
    ],
    [
      "is believed on a refresh request",
      one()
        .withSecret({ "/a": 3 })
        .withSource("/a", { ...served(2), since: elapsed - 5_000 }, { askedAt: elapsed })
        .refreshing()
        .after({ read: { "/a": 2 } }),
      "assemble",
    ],
    [
      "is believed for a label, which can move back",
      aSnapshot()
        .of({ data: [{ key: "A", parameter: { name: "/a", label: "prod" } }] })
        .withSecret({ "/a:prod": 3 })
        .withSource("/a:prod", { ...served(2), since: elapsed - 5_000 }, { askedAt: elapsed }),
      "read sources",
    ],
    [
      "makes no new Secret",
      one()
        .withSource("/a", stale(3, 2), { askedAt: elapsed })
        .after({ read: { "/a": 2 } }),
      "refuse Unreachable",
    ],
    [
      "changes no Secret",
      one()
        .withSecret({ "/a": 2 })
        .withSource("/a", stale(4, 3), { askedAt: elapsed })
        .after({ read: { "/a": 3 } }),
      "refuse Unreachable (good Secret)",
    ],
    [
      "comes before the loss of another source",
      aSnapshot()
        .of({ data: [entry("A", "/a"), entry("B", "/b")] })
        .withSource("/a", missing("suspect", 3))
        .withSource("/b", stale(3, 2), { askedAt: elapsed })
        .after({ read: {} }),
      "refuse Unreachable",
    ],
    [
      "of a path's member is looked at again",
      path().withPath("/p", { "/p/x": stale(1, 0), "/p/y": served(1) }),
      "look /p",
    ],
  ]);
});

describe("the problems of a Secret that is there", () => {
  const of = (given: ReturnType<typeof two>, retained: string[] = []) => {
    const { assessment, resource, granted } = given.build();
    return wanting(assessment, resource, new Set(retained), granted).map(({ reason }) => reason);
  };
  const lostIn = (stage: "suspect" | "held" | "gone") =>
    two().withSource("/a", missing(stage, 3)).withSecret(made, own);

  it.each<[string, ReturnType<typeof two>, string[]]>([
    ["are none while a parameter may come back", lostIn("suspect"), []],
    ["are SourceGone once a parameter is gone", lostIn("gone"), ["SourceGone"]],
    ["are SourceGone during a mass deletion", lostIn("held"), ["SourceGone"]],
    [
      "stay SourceGone while the parameter may come back again",
      lostIn("suspect").reporting({ status: "False", reason: "SourceGone" }),
      ["SourceGone"],
    ],
    [
      "do not stay SourceGone for another spec",
      lostIn("suspect").reporting({ status: "False", reason: "SourceGone", observedGeneration: 1 }),
      [],
    ],
    ["are Expired for an expired parameter", lostIn("suspect").withSource("/a", expired(3)), ["Expired"]],
    [
      "are only Expired for an expired parameter that is gone",
      lostIn("suspect").withSource("/a", expired(3, "gone")),
      ["Expired"],
    ],
  ])("%s", (_, given, reasons) => expect(of(given)).toEqual(reasons));

  it("name retained keys", () => expect(of(lostIn("gone"), ["C"])).toEqual(["SourceGone", "SourceGone"]));

  it.each([
    [
      "of a lost parameter",
      missing("gone", 3),
      [
        "no longer in Parameter Store (data[0] (A): /a): the Secret keeps their last values; put the parameters back, or remove the entries",
      ],
    ],
    [
      "of a mass deletion",
      missing("held", 3),
      [
        "many parameters of the connection disappeared at once, which is probably a mistake, so none is treated as deleted (data[0] (A): /a): check that the connection reads the right account and region",
      ],
    ],
    [
      "of an expired parameter",
      expired(3),
      [
        "expired (data[0] (A): /a at 2026-01-09T23:50:00Z): the Secret keeps their last values; put versions with a later Expiration, or remove the entries",
      ],
    ],
  ])("state what happened %s", (_, state, messages) => {
    const { assessment } = two().withSource("/a", state).withSecret(made, own).build();
    expect(losses(assessment).map(({ message }) => message)).toEqual(messages);
  });

  it("tell how to drop a member of a path, which has no entry", () => {
    const { assessment } = path()
      .withPath("/p", { "/p/x": missing("gone", 1), "/p/y": served(2) })
      .build();
    expect(losses(assessment)[0]!.message).toMatch(
      /or exclude the path's members, or set refresh.whenMissing: DeleteKeys$/,
    );
  });

  it("say that an expired parameter has the Secret deleted", () => {
    const given = two()
      .of({ refresh: { whenExpired: "DeleteSecret" } })
      .withSource("/a", expired(3))
      .withSecret(made, own);
    expect(overdue(given.build().assessment)[0]!.message).toContain(
      "the Secret is deleted because of refresh.whenExpired",
    );
  });

  it("count a loss only if it is not suspected", () => {
    const { assessment, resource } = lostIn("suspect").build();
    expect(isLost(assessment, resource)).toBe(false);
  });

  it("come with what was heard of the sources", () => {
    const given = aSnapshot()
      .of({ data: [entry("A", "/a")] })
      .withSecret({ "/a": 3 });
    const known = { askedAt: elapsed, heardAt: 5, failure: silent };
    const { assessment } = given.withSource("/a", { ...stale(3, 2) }, known).build();
    expect(heard(assessment)).toMatchObject({ heardAt: 5, unheard: { reason: "Unreachable" }, staleSources: ["/a"] });
    expect(heard(assessment)).not.toHaveProperty("isFromStatus");
    expect(heard(path().build().assessment)).toMatchObject({ isFromStatus: true });
  });
});
