import { describe, expect, it } from "vitest";
import { decide } from "../../../../src/controllers/syncedsecret/decide/decide.ts";
import { ConfirmedDeletion } from "../../../../src/parameters/cache/confirmed-deletion.ts";
import { aSnapshot, entry, statusSources } from "./builders.ts";
import { eachDecides, eachEnds } from "./matchers.ts";
import { day, expired, missing, served, stale, stampOf, wall } from "./states.ts";

const deleting = () =>
  aSnapshot().of({ data: [entry("A", "/a")], refresh: { whenMissing: "DeleteSecret", whenExpired: "DeleteSecret" } });
const gone = () => deleting().withSource("/a", missing("gone", 3));

describe("a Secret is deleted", () => {
  eachDecides([
    ["once a deletion is confirmed", gone().withSecret({ "/a": 3 }), "delete SourceGone"],
    ["once a parameter has expired", deleting().withSecret({ "/a": 3 }).withSource("/a", expired(3)), "delete Expired"],
    ["also if someone has edited it", gone().withSecret({ "/a": 3 }, { edited: ["A"] }), "delete SourceGone"],
    ["also if it was made from another spec", gone().withSecret({ "/a": 3 }, { spec: {} }), "delete SourceGone"],
    ["also if the status is gone", gone().withSecret({ "/a": 3 }).withStatus(), "delete SourceGone"],
    [
      "under Orphan too",
      gone()
        .of({ target: { creationPolicy: "Orphan" } })
        .withSecret({ "/a": 3 }),
      "delete SourceGone",
    ],
    [
      "after a read on a refresh request",
      gone().withSecret({ "/a": 3 }).refreshing().after({ read: {} }),
      "delete SourceGone",
    ],
    [
      "before stale answers are waited for",
      deleting()
        .of({ data: [entry("A", "/a"), entry("B", "/b")] })
        .withSecret({ "/a": 3, "/b": 3 })
        .withSource("/a", missing("gone", 3))
        .withSource("/b", stale(3, 2))
        .after({ looked: true, read: {} }),
      "delete SourceGone",
    ],
    [
      "for each reason that there is",
      deleting()
        .of({ data: [entry("A", "/a"), entry("B", "/b")] })
        .withSecret({ "/a": 3, "/b": 3 })
        .withSource("/a", missing("gone", 3))
        .withSource("/b", expired(3)),
      "delete SourceGone Expired",
    ],
  ]);
});

describe("a Secret is not deleted", () => {
  eachDecides([
    [
      "while the parameter may come back",
      deleting().withSecret({ "/a": 3 }).withSource("/a", missing("suspect", 3)),
      "keep",
    ],
    ["during a mass deletion", deleting().withSecret({ "/a": 3 }).withSource("/a", missing("held", 3)), "keep"],
    [
      "under Retain",
      gone()
        .of({ refresh: { whenMissing: "Retain" } })
        .withSecret({ "/a": 3 }),
      "keep",
    ],
    [
      "under DeleteKeys",
      gone()
        .of({ refresh: { whenMissing: "DeleteKeys" } })
        .withSecret({ "/a": 3 }),
      "read sources",
    ],
    ["with read-only", gone().withSecret({ "/a": 3 }).readOnly(), "refuse SourceGone"],
    [
      "under Merge",
      gone()
        .of({ target: { creationPolicy: "Merge" } })
        .withSecret({ "/a": 3 }),
      "refuse SourceGone",
    ],
    ["if it does not exist", gone(), "refuse SourceGone"],
    [
      "if it is to be adopted",
      gone().withOtherSecret({ annotations: { "keyferry.io/adopt": "checkout" } }),
      "refuse SourceGone",
    ],
    ["if it is another owner's", gone().withOtherSecret({}), "refuse SecretConflict"],
    [
      "under Once",
      gone()
        .of({ refresh: { policy: "Once", whenMissing: "DeleteSecret" } })
        .withSecret({ "/a": 3 }),
      "keep",
    ],
    ["before a read on a refresh request", gone().withSecret({ "/a": 3 }).refreshing(), "read sources"],
    [
      "because a pinned version was purged",
      aSnapshot()
        .of({ data: [{ key: "A", parameter: { name: "/a", version: 3 } }], refresh: { whenMissing: "DeleteSecret" } })
        .withSecret({ "/a:3": 3 })
        .withSource("/a:3", missing("gone", 3, "VersionNotFound")),
      "keep",
    ],
    [
      "because of an expiry of an earlier version",
      deleting()
        .withSecret({ "/a": 4 })
        .withSource("/a", { ...served(4), expired: expired(3).expired! }),
      "keep",
    ],
  ]);

  it.each([
    ["a confirmed deletion", gone().withSecret({ "/a": 3 }), expect.any(ConfirmedDeletion)],
    [
      "an expiry",
      deleting().withSecret({ "/a": 3 }).withSource("/a", expired(3)),
      { at: wall - 600_000, stamp: stampOf(3) },
    ],
  ])("without %s as its proof", (_, given, proof) => {
    expect(decide(given.build())).toMatchObject({ kind: "delete", proof, metadata: { uid: "uid-2" } });
  });
});

describe("a version", () => {
  eachDecides([
    [
      "that was purged after newer ones keeps its key under DeleteKeys",
      aSnapshot()
        .of({ data: [{ key: "A", parameter: { name: "/a", version: 3 } }], refresh: { whenMissing: "DeleteKeys" } })
        .withSecret({ "/a:3": 3 })
        .withSource("/a:3", missing("gone", 3, "VersionNotFound")),
      "keep",
    ],
    [
      "whose label was removed has the Secret deleted",
      aSnapshot()
        .of({
          data: [{ key: "A", parameter: { name: "/a", label: "prod" } }],
          refresh: { whenMissing: "DeleteSecret" },
        })
        .withSecret({ "/a:prod": 3 })
        .withSource("/a:prod", missing("gone", 3, "VersionNotFound")),
      "delete SourceGone",
    ],
  ]);
});

describe("a Secret that was deleted under DeleteSecret", () => {
  const path = (whenMissing: "DeleteSecret" | "Retain" = "DeleteSecret") =>
    aSnapshot()
      .of({ dataFrom: [{ path: { name: "/p" } }], refresh: { whenMissing, whenExpired: "DeleteSecret" } })
      .withPath("/p", { "/p/y": served(1) });
  const both = statusSources({ "/p/x": 1, "/p/y": 1 });
  const past = statusSources({ "/p/x": 1 }, { expiresAt: new Date(wall).toISOString() });
  const later = statusSources({ "/p/x": 1 }, { expiresAt: new Date(wall + day).toISOString() });
  const read = { read: { "/p/y": 1 } };

  eachEnds([
    [
      "stays deleted while the source is missing",
      path().withStatus({ observedGeneration: 2, sources: both }),
      read,
      "refuse SourceGone",
    ],
    [
      "stays deleted while the source has expired",
      path("Retain").withStatus({ observedGeneration: 2, sources: past }),
      read,
      "refuse Expired",
    ],
    [
      "names the expiry before the loss",
      path().withStatus({ observedGeneration: 2, sources: past }),
      read,
      "refuse Expired",
    ],
    [
      "is created if the source had not expired and whenMissing allows it",
      path("Retain").withStatus({ observedGeneration: 2, sources: later }),
      read,
      "apply y",
    ],
    [
      "stays deleted if the source is missing before its expiry",
      path().withStatus({ observedGeneration: 2, sources: later }),
      read,
      "refuse SourceGone",
    ],
    [
      "is created once the source is back",
      path()
        .withPath("/p", { "/p/x": served(2), "/p/y": served(1) })
        .withStatus({ observedGeneration: 2, sources: both }),
      { read: { "/p/x": 2, "/p/y": 1 } },
      "apply x y",
    ],
    [
      "is created after a change of the spec",
      path().withStatus({ observedGeneration: 1, sources: both }),
      read,
      "apply y",
    ],
    [
      "is created under another policy",
      path("Retain").withStatus({ observedGeneration: 2, sources: both }),
      read,
      "apply y",
    ],
    [
      "is created if a person has deleted it",
      path().withStatus({ observedGeneration: 2, sources: both, secretRef: { name: "checkout" } }),
      read,
      "apply y",
    ],
    [
      "is written if it exists again although the status does not name it yet",
      path()
        .withSecret({ "/p/y": 0 }, { keys: ["y"] })
        .withStatus({ observedGeneration: 2, sources: both }),
      { ...read, live: { y: "old" } },
      "apply y",
    ],
    [
      "is created without a source that the spec no longer names",
      path().withStatus({ observedGeneration: 2, sources: statusSources({ "/q/x": 1, "/p/y": 1 }) }),
      read,
      "apply y",
    ],
    [
      "is created without a label that the spec no longer names",
      path().withStatus({ observedGeneration: 2, sources: statusSources({ "/p/x:prod": 1, "/p/y": 1 }) }),
      read,
      "apply y",
    ],
    [
      "stays deleted on a refresh request",
      path().withStatus({ observedGeneration: 2, sources: both }).refreshing(),
      read,
      "refuse SourceGone",
    ],
  ]);
});
