import { describe, expect, it } from "vitest";
import { decide } from "../../../../src/controllers/syncedsecret/decide/decide.ts";
import type { Keep, Refuse } from "../../../../src/controllers/syncedsecret/decide/decision.ts";
import { Failure } from "../../../../src/runtime/failure.ts";
import { aSnapshot, entry } from "./builders.ts";
import { eachDecides, eachEnds, eachTakes, intentOf, textsOf } from "./matchers.ts";
import { denied, elsewhere, expired, missing, served, stampOf } from "./states.ts";

const once = () => aSnapshot().of({ data: [entry("A", "/a")], refresh: { policy: "Once" } });
const withBlob = () =>
  aSnapshot().of({
    data: [entry("A", "/a"), { key: "K", kms: { ciphertext: "AAAA" } }],
    refresh: { policy: "Once" },
  });
const ofNewer = "9.x.y";
const notKept = new Failure("SourceGone", "wait", "AWS no longer keeps version 3 of /a");

describe("a new Secret under Once", () => {
  eachTakes([
    ["is made from the current versions", once(), { read: { "/a": 4 } }, ["read sources", "assemble", "apply A"]],
    [
      "is made from what AWS serves",
      once().withSource("/a", served(4)),
      { read: { "/a": 4 } },
      ["read sources", "assemble", "apply A"],
    ],
    [
      "is made from an expired version, since expiries do not count",
      once()
        .of({ refresh: { policy: "Once", whenExpired: "DeleteKeys" } })
        .withSource("/a", expired(4)),
      { read: { "/a": 4 } },
      ["read sources", "assemble", "apply A"],
    ],
    [
      "is not made without a parameter",
      once().withSource("/a", missing("absent")).after({ looked: true }),
      {},
      ["refuse ParameterNotFound"],
    ],
  ]);
});

describe("a Secret under Once", () => {
  eachDecides([
    ["is kept without a look", once().withSecret({ "/a": 3 }), "keep"],
    ["is kept after a new version", once().withSecret({ "/a": 3 }).withSource("/a", served(4)), "keep"],
    [
      "is kept after its parameter was deleted",
      once().withSecret({ "/a": 3 }).withSource("/a", missing("gone", 3)),
      "keep",
    ],
    ["is kept after a denial", once().withSecret({ "/a": 3 }).withSource("/a", served(3), { failure: denied }), "keep"],
    [
      "is kept if the status was not Ready",
      once().withSecret({ "/a": 3 }).reporting({ status: "False", reason: "AccessDenied" }),
      "keep",
    ],
    ["is kept with read-only", once().withSecret({ "/a": 3 }).readOnly(), "keep"],
    [
      "is kept if this process found an earlier write too large",
      once().withSecret({ "/a": 3 }).rejected({ "/a": 3 }),
      "keep",
    ],
    [
      "is looked up once if the status does not name its sources",
      once().withSecret({ "/a": 3 }).withStatus(),
      "look /a",
    ],
    [
      "is kept after that look",
      once().withSecret({ "/a": 3 }).withStatus().withSource("/a", served(3)).after({ looked: true }),
      "keep",
    ],
    [
      "is kept after that look even if the versions are others",
      once().withSecret({ "/a": 3 }).withStatus().withSource("/a", served(4)).after({ looked: true }),
      "keep",
    ],
    [
      "is kept after that look even if it failed",
      once()
        .withSecret({ "/a": 3 })
        .withStatus()
        .withSource("/a", {}, { looked: false, failure: denied })
        .after({ looked: true }),
      "keep",
    ],
    [
      "is kept if a newer release reported it as current",
      once().withSecret({ "/a": 3 }, { revision: ofNewer }),
      "keep with unknown sources",
    ],
    [
      "is made again after a change of the spec",
      once().withSecret({ "/a": 3 }, { spec: {} }).withSource("/a", served(4)),
      "read sources",
    ],
    ["is made again on a refresh request", once().withSecret({ "/a": 3 }).refreshing(), "read sources"],
    [
      "is made again on a refresh request, of a newer release too",
      once().withSecret({ "/a": 3 }, { revision: ofNewer }).refreshing(),
      "read sources",
    ],
    [
      "is refused if a newer release did not report it as current",
      once().withSecret({ "/a": 3 }, { revision: ofNewer }).reporting({ status: "False", reason: "Defect" }),
      "refuse SourceGone (good Secret)",
    ],
    [
      "is refused if a newer release reported another generation",
      once().withSecret({ "/a": 3 }, { revision: ofNewer }).reporting({ observedGeneration: 1 }),
      "refuse SourceGone (good Secret)",
    ],
    [
      "is refused if a newer release reported another revision",
      once()
        .withSecret({ "/a": 3 }, { revision: ofNewer })
        .withStatus({ revision: "9.x.z" })
        .reporting({ status: "True" }),
      "refuse SourceGone (good Secret)",
    ],
    [
      "is refused if it was edited and the status does not name its sources",
      once()
        .withSecret({ "/a": 3 }, { edited: ["A"] })
        .withStatus(),
      "refuse SourceGone",
    ],
    [
      "is refused if it was edited and is from a newer release",
      once().withSecret({ "/a": 3 }, { edited: ["A"], revision: ofNewer }),
      "refuse SourceGone",
    ],
    [
      "is refused if only its label was removed and the status does not name its sources",
      once().withSecret({ "/a": 3 }, { unlabelled: true }).withStatus(),
      "refuse SourceGone (good Secret)",
    ],
    ["is read by number if it was edited", once().withSecret({ "/a": 3 }, { edited: ["A"] }), "read pinnedVersions"],
    [
      "is read by number if its label was removed",
      once().withSecret({ "/a": 3 }, { unlabelled: true }),
      "read pinnedVersions",
    ],
    [
      "is read by number if another client applied it as our field manager",
      once().withSecret({ "/a": 3 }).forged(),
      "read pinnedVersions",
    ],
    ["is made again if it was deleted and the status is gone", once(), "read sources"],
  ]);

  it("keeps the list of the sources that the status had", () => {
    const { sources, assessment } = decide(once().withSecret({ "/a": 3 }).build()) as Keep;
    expect(sources).toEqual([{ name: "/a", selector: "", ...stampOf(3) }]);
    expect(assessment).toBeUndefined();
  });

  it.each([
    ["the versions", served(3), [{ name: "/a", selector: "", ...stampOf(3) }]],
    ["no versions, if others are current", served(4), []],
  ])("reports %s after the look for a status without sources", (_, state, sources) => {
    const given = once().withSecret({ "/a": 3 }).withStatus().withSource("/a", state).after({ looked: true });
    expect(decide(given.build())).toMatchObject({ kind: "keep", sources });
  });
});

describe("a Secret under Once that was edited", () => {
  const edited = () => once().withSecret({ "/a": 3 }, { edited: ["A"] });
  const editedBlob = () => withBlob().withSecret({ "/a": 3 }, { edited: ["A"] });
  const blob = "data[1] (K)";

  eachTakes([
    ["gets its versions back", edited(), { pinned: { "/a": 3 } }, ["read pinnedVersions", "assemble", "apply A"]],
    [
      "gets its versions and its blobs back",
      editedBlob(),
      { pinned: { "/a": 3 }, opened: { [blob]: "k" } },
      ["read pinnedVersions", "read ciphertexts", "assemble", "apply A K"],
    ],
    [
      "is refused if AWS no longer keeps a version",
      edited(),
      { pinned: [notKept] },
      ["read pinnedVersions", "refuse SourceGone"],
    ],
    [
      "is refused if a blob cannot be decrypted",
      editedBlob(),
      { pinned: { "/a": 3 }, opened: [denied] },
      ["read pinnedVersions", "read ciphertexts", "refuse AccessDenied"],
    ],
    [
      "reports lost versions with its blobs read",
      editedBlob(),
      { pinned: [notKept], opened: { [blob]: "k" } },
      ["read pinnedVersions", "read ciphertexts", "refuse SourceGone"],
    ],
    [
      "reports lost versions and failed blobs at once",
      editedBlob(),
      { pinned: [notKept], opened: [denied] },
      ["read pinnedVersions", "read ciphertexts", "refuse SourceGone AccessDenied"],
    ],
  ]);

  eachEnds([
    ["is not written with read-only", edited().readOnly(), { pinned: { "/a": 3 } }, "refuse Pending"],
    [
      "gets back the keys of a path",
      aSnapshot()
        .of({ dataFrom: [{ path: { name: "/p" } }], refresh: { policy: "Once" } })
        .withSecret({ "/p/x": 1, "/p/y": 2 }, { keys: ["x", "y"], edited: ["x"] }),
      { pinned: { "/p/x": 1, "/p/y": 2 } },
      "apply x y",
    ],
    [
      "stays without a parameter that was optional and missing",
      aSnapshot()
        .of({ data: [entry("A", "/a"), entry("B", "/b", { optional: true })], refresh: { policy: "Once" } })
        .withSecret({ "/a": 3, "/b": "left" }, { edited: ["A"] })
        .withSource("/b", served(1)),
      { pinned: { "/a": 3 } },
      "apply A",
    ],
    [
      "is not read in a failover region",
      edited().granted({ standIns: [{ region: "eu-central-1", identity: elsewhere }] }),
      { pinned: { "/a": 3 } },
      "apply A",
    ],
  ]);

  it("reads no value of the current version", () => {
    const intent = intentOf(edited().withSource("/a", served(9)), { pinned: { "/a": 3 } });
    expect(textsOf(intent)).toEqual({ A: "/a@3" });
    expect(intent).toMatchObject({ isRepair: true, changed: false });
  });

  it("is made again from its versions after a deletion", () => {
    const { resource } = once().withSecret({ "/a": 3 }).facts();
    const deleted = once().withStatus(resource.status);
    expect(textsOf(intentOf(deleted, { pinned: { "/a": 3 } }))).toEqual({ A: "/a@3" });
  });

  it("tells how to give up the lost versions", () => {
    const { problems } = decide(edited().withStatus().build()) as Refuse;
    expect(problems[0]!.message).toContain("the sources of Secret checkout are no longer known: change the spec");
    const newer = once().withSecret({ "/a": 3 }, { edited: ["A"], revision: ofNewer });
    expect((decide(newer.build()) as Refuse).problems[0]!.message).toContain("was made by a newer release");
  });
});
