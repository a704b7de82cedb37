import { describe, expect, it } from "vitest";
import type { Apply } from "../../../../src/controllers/syncedsecret/decide/decision.ts";
import { editorsOf, foreignKeysOf } from "../../../../src/controllers/syncedsecret/decide/snapshot.ts";
import { aSnapshot, entry, type Results, type SnapshotBuilder } from "./builders.ts";
import { decisionsOf, eachEnds, intentOf, nextOf, textsOf } from "./matchers.ts";
import { elsewhere, missing, served, stampOf } from "./states.ts";

const one = () =>
  aSnapshot()
    .of({ data: [entry("A", "/a")] })
    .withSource("/a", served(3));
const path = (more = {}) => aSnapshot().of({ dataFrom: [{ path: { name: "/p" }, ...more }] });
const read = { read: { "/a": 3 } };
const standIns = [{ region: "eu-central-1", identity: elsewhere }];

describe("the data of a Secret", () => {
  it.each<[string, SnapshotBuilder, Results, Record<string, string>]>([
    ["has a key for a parameter", one(), read, { A: "/a@3" }],
    [
      "has a key for each entry of one parameter",
      one().of({ data: [entry("A", "/a"), entry("B", "/a")] }),
      read,
      { A: "/a@3", B: "/a@3" },
    ],
    [
      "has the version that was pinned",
      aSnapshot()
        .of({ data: [{ key: "A", parameter: { name: "/a", version: 2 } }] })
        .withSource("/a:2", served(2)),
      { read: { "/a:2": 2 } },
      { A: "/a@2" },
    ],
    [
      "has the version that has the label",
      aSnapshot()
        .of({ data: [{ key: "A", parameter: { name: "/a", label: "prod" } }] })
        .withSource("/a:prod", served(2)),
      { read: { "/a:prod": 2 } },
      { A: "/a@2" },
    ],
    [
      "has no key for an optional parameter that is missing",
      one()
        .of({ data: [entry("A", "/a"), entry("B", "/b", { optional: true })] })
        .withSource("/b", missing("absent")),
      read,
      { A: "/a@3" },
    ],
    [
      "has the default of a missing parameter",
      one()
        .of({ data: [entry("A", "/a"), entry("B", "/b", { default: "-" })] })
        .withSource("/b", missing("absent")),
      read,
      { A: "/a@3", B: "-" },
    ],
    [
      "has a default without decoding it",
      one()
        .of({ data: [entry("B", "/b", { default: "-", decode: "Base64" })] })
        .withSource("/b", missing("absent")),
      { read: {} },
      { B: "-" },
    ],
    [
      "has a default without searching it",
      one()
        .of({ data: [entry("B", "/b", { default: "-", jmesPath: "x" })] })
        .withSource("/b", missing("absent")),
      { read: {} },
      { B: "-" },
    ],
    [
      "has no default while the parameter is there",
      one().of({ data: [entry("A", "/a", { default: "-" })] }),
      read,
      { A: "/a@3" },
    ],
    [
      "has a default although the read returned a parameter that was left out",
      one()
        .of({ data: [entry("B", "/b", { default: "-" })] })
        .withSource("/b", missing("absent")),
      { read: { "/b": 1 } },
      { B: "-" },
    ],
    [
      "has a key for each member of a path",
      path().withPath("/p", { "/p/x": served(1), "/p/y": served(2) }),
      { read: { "/p/x": 1, "/p/y": 2 } },
      { x: "/p/x@1", y: "/p/y@2" },
    ],
    [
      "has only members that are included",
      path({ path: { name: "/p", include: ["x$"] } }).withPath("/p", { "/p/x": served(1), "/p/y": served(2) }),
      { read: { "/p/x": 1, "/p/y": 2 } },
      { x: "/p/x@1" },
    ],
    [
      "has no members that are excluded",
      path({ path: { name: "/p", exclude: ["x$"] } }).withPath("/p", { "/p/x": served(1), "/p/y": served(2) }),
      { read: { "/p/x": 1, "/p/y": 2 } },
      { y: "/p/y@2" },
    ],
    [
      "has no member that only the read returned",
      path().withPath("/p", { "/p/x": served(1) }),
      { read: { "/p/x": 1, "/p/y": 2 } },
      { x: "/p/x@1" },
    ],
    [
      "has the entry of data before a member of a path",
      path()
        .of({ data: [entry("x", "/a")] })
        .withSource("/a", served(3))
        .withPath("/p", { "/p/x": served(1) }),
      { read: { "/a": 3, "/p/x": 1 } },
      { x: "/a@3" },
    ],
    ["is empty for an empty path that may be empty", path({ allowEmpty: true }).withPath("/p", {}), { read: {} }, {}],
    ["follows a template", one().of({ target: { template: { data: { T: "x" } } } }), read, { T: "x" }],
  ])("%s", (_, given, results, data) => expect(textsOf(intentOf(given, results))).toEqual(data));
});

describe("a Secret that is written", () => {
  const sources = (...versions: [name: string, version: number][]) =>
    versions.map(([name, version]) => ({ name, selector: "", ...stampOf(version) }));

  it.each<[string, SnapshotBuilder, Results, object]>([
    [
      "names the versions that were read, not those that were looked at",
      one().withSecret({ "/a": 2 }),
      { read: { "/a": 4 } },
      { sources: sources(["/a", 4]) },
    ],
    [
      "names an optional parameter that is missing",
      one()
        .of({ data: [entry("B", "/b", { optional: true })] })
        .withSource("/b", missing("absent")),
      { read: {} },
      { sources: [{ name: "/b", selector: "", left: true }] },
    ],
    ["has changed if the status names other versions", one().withSecret({ "/a": 2 }), read, { changed: true }],
    ["has changed if there is no status", one(), read, { changed: true }],
    [
      "has not changed if the status names its versions",
      one().withSecret({ "/a": 3 }, { edited: ["A"] }),
      read,
      { changed: false },
    ],
    ["is repaired after an edit", one().withSecret({ "/a": 3 }, { edited: ["A"] }), read, { isRepair: true }],
    [
      "is repaired after its label was removed",
      one().withSecret({ "/a": 3 }, { unlabelled: true }),
      read,
      { isRepair: true },
    ],
    [
      "is repaired after another client applied it as our field manager",
      one().withSecret({ "/a": 3 }).forged(),
      read,
      { isRepair: true },
    ],
    [
      "is updated, not repaired, after an edit and a new version",
      one().withSecret({ "/a": 2 }, { edited: ["A"] }),
      read,
      { isRepair: false },
    ],
    ["is updated, not repaired, without an edit", one().withSecret({ "/a": 2 }), read, { isRepair: false }],
    [
      "is updated, not repaired, on a refresh request",
      one().withSecret({ "/a": 3 }).refreshing(),
      read,
      { isRepair: false },
    ],
    ["is not repaired if it is new", one(), read, { isRepair: false }],
    [
      "gets its managedFields entry back",
      one().withSecret({ "/a": 3 }, { unrecorded: true }),
      read,
      { restoresRecord: true },
    ],
    [
      "needs no managedFields entry back after an edit",
      one().withSecret({ "/a": 3 }, { edited: ["A"] }),
      read,
      { restoresRecord: false },
    ],
    [
      "gets no managedFields entry back under Merge",
      one()
        .of({ target: { creationPolicy: "Merge" } })
        .withSecret({ "/a": 3 }, { unrecorded: true }),
      read,
      { restoresRecord: false },
    ],
    ["gets no managedFields entry back if it is new", one(), read, { restoresRecord: false }],
    ["is as old as the new version", one().withSecret({ "/a": 2 }), read, { modified: stampOf(3).modified }],
    [
      "is as old as the newest of its versions",
      one()
        .of({ data: [entry("A", "/a"), entry("B", "/b")] })
        .withSecret({ "/a": 2, "/b": 1 }, { keys: ["A", "B"] })
        .withSource("/b", served(1)),
      { read: { "/a": 3, "/b": 1 } },
      { modified: stampOf(3).modified },
    ],
  ])("%s", (_, given, results, expected) => expect(intentOf(given, results)).toMatchObject(expected));

  it.each<[string, SnapshotBuilder]>([
    ["it is new", one()],
    ["its spec has changed", one().withSecret({ "/a": 2 }, { spec: {} })],
    ["it is repaired", one().withSecret({ "/a": 3 }, { edited: ["A"] })],
    [
      "it was made in a failover region",
      one().granted({ standIns }).withSecret({ "/a": 2 }, { region: "eu-central-1" }),
    ],
  ])("has no age if %s", (_, given) => expect(intentOf(given, read)).not.toHaveProperty("modified"));

  eachEnds([
    ["is only announced with read-only", one().readOnly(), read, "refuse Pending"],
    [
      "is only announced with read-only while the older one is good",
      one().withSecret({ "/a": 2 }).readOnly(),
      read,
      "refuse Pending (good Secret)",
    ],
    [
      "is not written with a key that a Secret cannot have",
      path({ path: { name: "/p", recursive: true }, rename: { separator: "!" } }).withPath("/p", {
        "/p/x/y": served(1),
      }),
      { read: { "/p/x/y": 1 } },
      "refuse InvalidData",
    ],
    [
      "is not written with two members of one key",
      path({ path: { name: "/p", recursive: true }, rename: { separator: "" } }).withPath("/p", {
        "/p/x/y": served(1),
        "/p/xy": served(1),
      }),
      { read: { "/p/x/y": 1, "/p/xy": 1 } },
      "refuse KeyConflict",
    ],
  ]);

  it("counts its keys in the message of read-only", () => {
    const refused = decisionsOf(one().readOnly(), read).at(-1);
    expect(refused).toMatchObject({
      problems: [{ message: "read-only: Secret checkout would be written with 1 keys" }],
    });
    expect(nextOf(one().readOnly(), read)).toBe("wait");
  });

  it("is applied as one that it was decided on", () => {
    const decisions = decisionsOf(one(), read);
    expect(decisions.map(({ kind }) => kind)).toEqual(["read", "assemble", "apply"]);
    expect((decisions.at(-1) as Apply).intent.assessment.sources).toEqual(sources(["/a", 3]));
  });
});

describe("a repair names", () => {
  const data = new Map([["A", 1]]);

  it.each([
    ["who has taken a key of ours", one().withSecret({ "/a": 3 }, { edited: ["A"] }), ["kubectl-edit"], []],
    ["nobody who has only added a key, but the key", one().withSecret({ "/a": 3 }, { added: ["X"] }), [], ["X"]],
    [
      "another client that applied as our field manager",
      one().withSecret({ "/a": 3 }).forged(),
      ["an apply of another client as field manager keyferry"],
      [],
    ],
    ["nobody without a Secret", one(), [], []],
  ])("%s", (_, given, editors, foreign) => {
    expect(editorsOf(given.facts(), data)).toEqual(editors);
    expect(foreignKeysOf(given.facts(), data)).toEqual(foreign);
  });
});
