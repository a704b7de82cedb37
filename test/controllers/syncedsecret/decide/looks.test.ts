import { describe } from "vitest";
import { aSnapshot, entry } from "./builders.ts";
import { eachDecides, eachTakes } from "./matchers.ts";
import { denied, elapsed, missing, served, silent } from "./states.ts";

const one = () => aSnapshot().of({ data: [entry("A", "/a")] });
const two = () => aSnapshot().of({ data: [entry("A", "/a"), entry("B", "/b")] });
const path = () => aSnapshot().of({ dataFrom: [{ path: { name: "/p" } }] });
const justNow = { askedAt: elapsed - 500 };

describe("a look comes before a read", () => {
  eachDecides([
    ["reads at once for a new Secret", one(), "read sources"],
    ["reads at once for a new Secret from a path", path(), "read sources"],
    ["reads at once for a new Secret that already has versions", one().withSource("/a", served(3)), "read sources"],
    ["looks for an existing Secret without a status", one().withSecret({ "/a": 3 }).withStatus(), "look /a"],
    [
      "looks for an existing Secret with another revision than the status",
      one().withSecret({ "/a": 3 }, { revision: "1.x.y" }),
      "look /a",
    ],
    [
      "looks only at what is unknown",
      two().withSecret({ "/a": 3, "/b": 2 }, { revision: "1.x.y" }).withSource("/a", served(3)),
      "look /b",
    ],
    [
      "looks again before it sets a Secret of another leader back to the version known here",
      one().withSecret({ "/a": 5 }).withSource("/a", served(3)).writtenByAnother(),
      "look /a",
    ],
    [
      "keeps a Secret of another leader if the look shows its version",
      one().withSecret({ "/a": 5 }).withSource("/a", served(5)).writtenByAnother().after({ looked: true }),
      "keep",
    ],
    ["looks at a path that is unknown", path().withSecret({ "/p/x": 1 }).withStatus(), "look /p"],
    ["trusts the status after a restart if it was Ready", one().withSecret({ "/a": 3 }), "keep"],
    ["trusts the status about a path after a restart", path().withSecret({ "/p/x": 1 }), "keep"],
    [
      "looks after a restart if the status was not Ready",
      one().withSecret({ "/a": 3 }).reporting({ status: "False", reason: "AccessDenied" }),
      "look /a",
    ],
    [
      "looks after a restart if the status was Unknown",
      one().withSecret({ "/a": 3 }).reporting({ status: "Unknown", reason: "Pending" }),
      "look /a",
    ],
    [
      "looks at nothing that AWS has answered, even if the status was not Ready",
      one().withSecret({ "/a": 3 }).reporting({ status: "False", reason: "AccessDenied" }).withSource("/a", served(3)),
      "keep",
    ],
    [
      "looks after a parameter was reported missing, without a Secret",
      one().reporting({ status: "False", reason: "ParameterNotFound" }),
      "look /a",
    ],
    [
      "looks after a version was reported missing, without a Secret",
      one().reporting({ status: "False", reason: "VersionNotFound" }),
      "look /a",
    ],
    [
      "reads at once after another failure, without a Secret",
      one().reporting({ status: "False", reason: "AccessDenied" }),
      "read sources",
    ],
    [
      "looks again at a missing parameter after a second",
      one().reporting({ status: "False", reason: "ParameterNotFound" }).withSource("/a", missing("absent")),
      "look /a",
    ],
    [
      "reports a missing parameter that was looked at within a second",
      one().reporting({ status: "False", reason: "ParameterNotFound" }).withSource("/a", missing("absent"), justNow),
      "refuse ParameterNotFound",
    ],
    [
      "looks again after a failed look if the Secret exists",
      one().withSecret({ "/a": 3 }).withSource("/a", served(3), { failure: silent }),
      "look /a",
    ],
    [
      "does not look again within a second of a failed look",
      one()
        .withSecret({ "/a": 3 })
        .withSource("/a", served(3), { failure: silent, ...justNow }),
      "keep",
    ],
    [
      "looks once at a reference that is unknown and failed",
      one().withSecret({ "/a": 3 }).withStatus().withSource("/a", {}, { looked: false, failure: silent }),
      "look /a",
    ],
    [
      "looks at a source that was dropped under DeleteKeys once the policy is Retain",
      one().withSecret({ "/a": "left" }),
      "look /a",
    ],
    [
      "trusts the status about a source that was dropped under DeleteKeys",
      one()
        .of({ refresh: { whenMissing: "DeleteKeys" } })
        .withSecret({ "/a": "left" }),
      "keep without /a",
    ],
  ]);
});

describe("a failed look is cleared by a read", () => {
  eachDecides([
    [
      "reads a source whose look failed, for a new Secret",
      one().withSource("/a", {}, { looked: false, failure: denied }),
      "read sources",
    ],
    [
      "reads it although the status reports a missing parameter",
      one().reporting({ status: "False", reason: "ParameterNotFound" }).withSource("/a", {}, { failure: denied }),
      "read sources",
    ],
    [
      "reports it within a second of the look",
      one().withSource("/a", {}, { looked: false, failure: denied, ...justNow }),
      "refuse AccessDenied",
    ],
    [
      "reports it after a look that this reconcile made",
      one()
        .reporting({ status: "False", reason: "ParameterNotFound" })
        .withSource("/a", {}, { failure: denied })
        .after({ looked: true }),
      "refuse AccessDenied",
    ],
    [
      "looks instead if the Secret exists",
      one().withSecret({ "/a": 3 }).withSource("/a", {}, { looked: false, failure: denied }),
      "look /a",
    ],
  ]);
});

describe("after a look", () => {
  eachDecides([
    ["does not look again", one().withSecret({ "/a": 3 }).withStatus().after({ looked: true }), "read sources"],
    [
      "keeps a Secret that turned out to be current",
      one().withSecret({ "/a": 3 }).withSource("/a", served(3)).after({ looked: true }),
      "keep",
    ],
    [
      "reads after a new version",
      one().withSecret({ "/a": 3 }).withSource("/a", served(4)).after({ looked: true }),
      "read sources",
    ],
    [
      "reports a parameter that does not exist",
      one().withSource("/a", missing("absent")).after({ looked: true }),
      "refuse ParameterNotFound",
    ],
    [
      "reads a Secret that is not known to be current because a look failed",
      two()
        .withSecret({ "/a": 3, "/b": 2 }, { revision: "1.x.y" })
        .withSource("/a", served(3))
        .withSource("/b", served(2), { failure: silent, ...justNow })
        .after({ looked: true }),
      "read sources",
    ],
    [
      "reports a failed look at a source that AWS never answered",
      one()
        .withSecret({ "/a": 3 })
        .withStatus()
        .withSource("/a", {}, { looked: false, failure: silent })
        .after({ looked: true }),
      "refuse Unreachable (good Secret)",
    ],
  ]);
});

describe("a reconcile takes the steps", () => {
  eachTakes([
    [
      "of a new Secret",
      one().withSource("/a", served(3)),
      { read: { "/a": 3 } },
      ["read sources", "assemble", "apply A"],
    ],
    [
      "of a current Secret after a restart that distrusts the status",
      one().withSecret({ "/a": 3 }).reporting({ status: "False", reason: "Defect" }),
      {},
      ["look /a", "keep"],
    ],
    [
      "of a new version",
      one().withSecret({ "/a": 3 }).withSource("/a", served(4)),
      { read: { "/a": 4 } },
      ["read sources", "assemble", "apply A"],
    ],
    [
      "of a status that reproduces no revision",
      one().withSecret({ "/a": 3 }, { revision: "1.x.y" }).withSource("/a", served(3), { failure: silent }),
      { read: { "/a": 3 } },
      ["look /a", "read sources", "assemble", "apply A"],
    ],
    ["of a read that fails", one(), { failures: { "/a": denied } }, ["read sources", "refuse AccessDenied"]],
  ]);
});
