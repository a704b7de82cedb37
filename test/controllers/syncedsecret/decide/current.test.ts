import { describe } from "vitest";
import { aSnapshot, entry } from "./builders.ts";
import { eachDecides } from "./matchers.ts";
import { elapsed, expired, missing, served, stampOf } from "./states.ts";

const one = () => aSnapshot().of({ data: [entry("A", "/a")] });
const two = () => aSnapshot().of({ data: [entry("A", "/a"), entry("B", "/b", { optional: true })] });
const path = () => aSnapshot().of({ dataFrom: [{ path: { name: "/p" } }] });

describe("a Secret whose versions are known", () => {
  eachDecides([
    ["keeps a current Secret without reading it", one().withSecret({ "/a": 3 }).withSource("/a", served(3)), "keep"],
    ["keeps it with read-only", one().withSecret({ "/a": 3 }).withSource("/a", served(3)).readOnly(), "keep"],
    [
      "keeps it although the status is gone",
      one().withSecret({ "/a": 3 }).withStatus().withSource("/a", served(3)),
      "keep",
    ],
    [
      "keeps it after a failed reconcile",
      one().withSecret({ "/a": 3 }).reporting({ status: "False", reason: "Unreachable" }).withSource("/a", served(3)),
      "keep",
    ],
    [
      "keeps it under Merge",
      one()
        .of({ target: { creationPolicy: "Merge" } })
        .withSecret({ "/a": 3 })
        .withSource("/a", served(3)),
      "keep",
    ],
    [
      "keeps it under Orphan",
      one()
        .of({ target: { creationPolicy: "Orphan" } })
        .withSecret({ "/a": 3 })
        .withSource("/a", served(3)),
      "keep",
    ],
    [
      "keeps it with keys that others have added",
      one()
        .withSecret({ "/a": 3 }, { added: ["X"] })
        .withSource("/a", served(3)),
      "keep",
    ],
    [
      "keeps it with annotations that others have added",
      one()
        .withSecret({ "/a": 3 }, { annotations: { note: "x" } })
        .withSource("/a", served(3)),
      "keep",
    ],
    [
      "keeps one that is made without an optional parameter",
      two()
        .withSecret({ "/a": 3, "/b": "left" })
        .withSource("/a", served(3))
        .withSource("/b", missing("absent"), { askedAt: elapsed - 500 }),
      "keep",
    ],
    [
      "keeps one from a path",
      path()
        .withSecret({ "/p/x": 1 })
        .withPath("/p", { "/p/x": served(1) }),
      "keep",
    ],
    [
      "keeps one from a label",
      aSnapshot()
        .of({ data: [{ key: "A", parameter: { name: "/a", label: "prod" } }] })
        .withSecret({ "/a:prod": 3 })
        .withSource("/a:prod", served(3)),
      "keep",
    ],
    [
      "keeps one from a pinned version",
      aSnapshot()
        .of({ data: [{ key: "A", parameter: { name: "/a", version: 3 } }] })
        .withSecret({ "/a:3": 3 })
        .withSource("/a:3", served(3)),
      "keep",
    ],
    ["reads after a new version", one().withSecret({ "/a": 3 }).withSource("/a", served(4)), "read sources"],
    [
      "reads after a label moved back",
      aSnapshot()
        .of({ data: [{ key: "A", parameter: { name: "/a", label: "prod" } }] })
        .withSecret({ "/a:prod": 3 })
        .withSource("/a:prod", served(2)),
      "read sources",
    ],
    [
      "reads after a parameter was created again with the same version number",
      one()
        .withSecret({ "/a": { version: 3, modified: stampOf(2).modified } })
        .withSource("/a", served(3)),
      "read sources",
    ],
    [
      "reads once an optional parameter appears",
      two().withSecret({ "/a": 3, "/b": "left" }).withSource("/a", served(3)).withSource("/b", served(1)),
      "read sources",
    ],
    [
      "reads after a path has a new member",
      path()
        .withSecret({ "/p/x": 1 })
        .withPath("/p", { "/p/x": served(1), "/p/y": served(1) }),
      "read sources",
    ],
    [
      "reads after a change of the spec",
      one()
        .withSecret({ "/a": 3 }, { spec: { data: [entry("B", "/a")] } })
        .withSource("/a", served(3)),
      "read sources",
    ],
    [
      "reads after the connection got another account",
      one()
        .granted({ account: "999999999999" })
        .withSecret({ "/a": 3 }, { revision: "1.x.y" })
        .withSource("/a", served(3)),
      "read sources",
    ],
    [
      "reads for a Secret from a failover region",
      one().withSecret({ "/a": 3 }, { region: "eu-central-1" }).withSource("/a", served(3)),
      "read sources",
    ],
    [
      "reads for a Secret of a newer release",
      one().withSecret({ "/a": 3 }, { revision: "2.x.y" }).withSource("/a", served(3)),
      "read sources",
    ],
    [
      "reads for a Secret with an unreadable revision",
      one().withSecret({ "/a": 3 }, { revision: "x" }).withSource("/a", served(3)),
      "read sources",
    ],
    [
      "reads an expired parameter's Secret without its keys under DeleteKeys",
      one()
        .of({ refresh: { whenExpired: "DeleteKeys" } })
        .withSecret({ "/a": 3 })
        .withSource("/a", expired(3)),
      "read sources",
    ],
  ]);
});

describe("a Secret that someone has changed", () => {
  eachDecides([
    [
      "is read again after an edit of a key",
      one()
        .withSecret({ "/a": 3 }, { edited: ["A"] })
        .withSource("/a", served(3)),
      "read sources",
    ],
    [
      "is read again after its label was removed",
      one().withSecret({ "/a": 3 }, { unlabelled: true }).withSource("/a", served(3)),
      "read sources",
    ],
    [
      "is read again after its owner reference was removed",
      one().withSecret({ "/a": 3 }, { unowned: true }).withSource("/a", served(3)),
      "read sources",
    ],
    [
      "is read again after an apply of another client as our field manager",
      one().withSecret({ "/a": 3 }).forged().withSource("/a", served(3)),
      "read sources",
    ],
    [
      "is read again without its managedFields entry",
      one().withSecret({ "/a": 3 }, { unrecorded: true }).withSource("/a", served(3)),
      "read sources",
    ],
    [
      "is read again after an edit of a key under Merge",
      one()
        .of({ target: { creationPolicy: "Merge" } })
        .withSecret({ "/a": 3 }, { edited: ["A"] })
        .withSource("/a", served(3)),
      "read sources",
    ],
    [
      "is read again after the spec got a label",
      one()
        .of({ target: { labels: { team: "x" } } })
        .withSecret({ "/a": 3 }, { spec: { data: [entry("A", "/a")] } })
        .withSource("/a", served(3)),
      "read sources",
    ],
    [
      "is read to be created if it is deleted",
      one()
        .withStatus({ secretRef: { name: "checkout" } })
        .withSource("/a", served(3)),
      "read sources",
    ],
  ]);
});

describe("a Secret that the API server has rejected as too large", () => {
  eachDecides([
    [
      "is not read again for the same versions",
      one().rejected({ "/a": 3 }).withSource("/a", served(3)),
      "refuse TooLarge",
    ],
    [
      "is not read again while the older Secret is good",
      one().withSecret({ "/a": 2 }).rejected({ "/a": 3 }).withSource("/a", served(3)),
      "refuse TooLarge (good Secret)",
    ],
    [
      "is read again for another version",
      one().withSecret({ "/a": 2 }).rejected({ "/a": 3 }).withSource("/a", served(4)),
      "read sources",
    ],
    [
      "is read again on a refresh request",
      one().rejected({ "/a": 3 }).withSource("/a", served(3)).refreshing(),
      "read sources",
    ],
    ["is read again if a source is unknown", two().rejected({ "/a": 3 }).withSource("/a", served(3)), "read sources"],
    [
      "is kept if it is current all the same",
      one().withSecret({ "/a": 3 }).rejected({ "/a": 3 }).withSource("/a", served(3)),
      "keep",
    ],
  ]);
});
