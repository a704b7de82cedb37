import { describe, expect, it } from "vitest";
import { decide } from "../../../../src/controllers/syncedsecret/decide/decide.ts";
import type { Refuse } from "../../../../src/controllers/syncedsecret/decide/decision.ts";
import { Failure } from "../../../../src/runtime/failure.ts";
import { aSnapshot, entry } from "./builders.ts";
import { eachDecides, eachEnds } from "./matchers.ts";
import { denied, elapsed, missing, served, silent } from "./states.ts";

const one = () => aSnapshot().of({ data: [entry("A", "/a")] });
const two = () => aSnapshot().of({ data: [entry("A", "/a"), entry("B", "/b")] });
const path = (more = {}) => aSnapshot().of({ dataFrom: [{ path: { name: "/p", ...more } }] });
const justNow = { askedAt: elapsed - 500 };
const tooLarge = new Failure("TooLarge", "wait", "the sources together are too large");

describe("a failure of a source", () => {
  eachDecides([
    [
      "is reported if AWS denies it",
      one().withSource("/a", served(3), { failure: denied, ...justNow }),
      "refuse AccessDenied",
    ],
    [
      "is reported while the Secret stays good",
      one()
        .withSecret({ "/a": 3 })
        .withSource("/a", served(3), { failure: denied, ...justNow }),
      "refuse AccessDenied (good Secret)",
    ],
    [
      "is reported for a Secret with edited data, which is not good",
      one()
        .withSecret({ "/a": 3 }, { edited: ["A"] })
        .withSource("/a", served(3), { failure: denied, ...justNow }),
      "refuse AccessDenied",
    ],
    [
      "is reported for a Secret of another spec, which is not good",
      one()
        .withSecret({ "/a": 3 }, { spec: {} })
        .withSource("/a", served(3), { failure: denied, ...justNow }),
      "refuse AccessDenied",
    ],
    [
      "is reported for a Secret of a newer release, which may be good",
      one()
        .withSecret({ "/a": 3 }, { revision: "2.x.y" })
        .withSource("/a", served(3), { failure: denied, ...justNow }),
      "refuse AccessDenied (good Secret)",
    ],
    [
      "does not count while AWS only does not answer",
      one()
        .withSecret({ "/a": 3 })
        .withSource("/a", served(3), { failure: silent, ...justNow }),
      "keep",
    ],
    [
      "counts if AWS has never answered",
      one()
        .withSecret({ "/a": 3 }, { revision: "1.x.y" })
        .withSource("/a", {}, { looked: false, failure: silent, ...justNow }),
      "refuse Unreachable",
    ],
    [
      "of one source prevents the read of all",
      two()
        .withSource("/a", served(3))
        .withSource("/b", served(1), { failure: denied, ...justNow }),
      "refuse AccessDenied",
    ],
    [
      "of each source is reported",
      two()
        .withSource("/a", {}, { failure: denied, ...justNow })
        .withSource("/b", missing("absent"), justNow),
      "refuse AccessDenied ParameterNotFound",
    ],
    [
      "is reported if a parameter does not exist",
      one().withSource("/a", missing("absent"), justNow),
      "refuse ParameterNotFound",
    ],
    [
      "is reported if a version does not exist",
      one()
        .of({ data: [{ key: "A", parameter: { name: "/a", version: 9 } }] })
        .withSource("/a:9", missing("absent", undefined, "VersionNotFound"), justNow),
      "refuse VersionNotFound",
    ],
    [
      "is reported if a label does not exist",
      one()
        .of({ data: [{ key: "A", parameter: { name: "/a", label: "prod" } }] })
        .withSource("/a:prod", missing("absent", undefined, "VersionNotFound"), justNow),
      "refuse VersionNotFound",
    ],
    [
      "comes before a current Secret",
      two()
        .withSecret({ "/a": 3, "/b": 1 })
        .withSource("/a", served(3))
        .withSource("/b", served(1), { failure: denied, ...justNow }),
      "refuse AccessDenied (good Secret)",
    ],
    [
      "comes before a deletion",
      two()
        .of({ refresh: { whenMissing: "DeleteSecret" } })
        .withSecret({ "/a": 3, "/b": 1 })
        .withSource("/a", missing("gone", 3))
        .withSource("/b", served(1), { failure: denied, ...justNow }),
      "refuse AccessDenied (good Secret)",
    ],
  ]);

  it.each([
    [
      "names a parameter's account and region",
      one().withSource("/a", missing("absent"), justNow),
      "data[0] (A): parameter /a does not exist in account 123456789012, region eu-west-1: create it, or set optional or default",
    ],
    [
      "names a version",
      aSnapshot()
        .of({ data: [{ key: "A", parameter: { name: "/a", version: 9 } }] })
        .withSource("/a:9", missing("absent", undefined, "VersionNotFound"), justNow),
      "data[0] (A): parameter /a has no version 9 in account 123456789012, region eu-west-1: create it, or set optional or default",
    ],
    [
      "names a label",
      aSnapshot()
        .of({ data: [{ key: "A", parameter: { name: "/a", label: "prod" } }] })
        .withSource("/a:prod", missing("absent", undefined, "VersionNotFound"), justNow),
      "data[0] (A): parameter /a has no label prod in account 123456789012, region eu-west-1: create it, or set optional or default",
    ],
    [
      "does not propose optional for a document",
      aSnapshot()
        .of({ dataFrom: [{ parameter: { name: "/d" }, format: "JSON" }] })
        .withSource("/d", missing("absent"), justNow),
      "dataFrom[0]: parameter /d does not exist in account 123456789012, region eu-west-1: create it",
    ],
    [
      "names another account's parameter",
      aSnapshot()
        .of({ data: [entry("A", "arn:aws:ssm:eu-west-1:999999999999:parameter/a")] })
        .withSource("arn:aws:ssm:eu-west-1:999999999999:parameter/a", missing("absent"), justNow),
      "data[0] (A): parameter arn:aws:ssm:eu-west-1:999999999999:parameter/a does not exist in account 999999999999, or is not shared with account 123456789012 by AWS RAM: create it, or set optional or default",
    ],
    [
      "names the entry of a denial",
      one().withSource("/a", {}, { failure: denied, ...justNow }),
      "data[0] (A): AWS denies ssm:GetParameter",
    ],
  ])("%s", (_, given, message) => {
    expect((decide(given.build()) as Refuse).problems.map((one) => one.message)).toEqual([message]);
  });
});

describe("a path", () => {
  eachDecides([
    [
      "with a member outside of the allowed names is refused",
      path({ recursive: true })
        .granted({ parameters: ["/p/*"] })
        .withPath("/p", { "/p/x": served(1), "/q/y": served(1) }),
      "refuse NotAllowed",
    ],
    [
      "may exclude a member outside of the allowed names",
      path({ exclude: ["^/q/.*$"] })
        .granted({ parameters: ["/p/*"] })
        .withPath("/p", { "/p/x": served(1), "/q/y": served(1) }),
      "read sources",
    ],
    [
      "with an invalid pattern is refused, and the Secret stays good",
      path({ include: ["("] })
        .withSecret({ "/p/x": 1 })
        .withPath("/p", { "/p/x": served(1) }),
      "refuse InvalidData (good Secret)",
    ],
    [
      "with an invalid pattern is refused",
      path({ include: ["("] }).withPath("/p", { "/p/x": served(1) }),
      "refuse InvalidData",
    ],
    [
      "that AWS denies is reported",
      path().withPath("/p", {}, { looked: false, failure: denied, ...justNow }),
      "refuse AccessDenied",
    ],
    [
      "that AWS stopped listing is used as it was",
      path()
        .withSecret({ "/p/x": 1 })
        .withPath("/p", { "/p/x": served(1) }, { failure: silent, ...justNow }),
      "keep",
    ],
  ]);
});

describe("a read", () => {
  eachEnds([
    ["that fails is reported", one(), { failures: { "/a": denied } }, "refuse AccessDenied"],
    [
      "of which one source fails writes nothing",
      two().withSource("/a", served(3)),
      { read: { "/a": 3 }, failures: { "/b": silent } },
      "refuse Unreachable",
    ],
    [
      "that fails leaves a good Secret",
      one().withSecret({ "/a": 3 }).withSource("/a", served(4)),
      { failures: { "/a": silent } },
      "refuse Unreachable (good Secret)",
    ],
    [
      "after which a source is missing is reported as missing",
      one().withSource("/a", missing("absent"), { askedAt: elapsed }).after({ read: {} }),
      {},
      "refuse ParameterNotFound",
    ],
    [
      "that fails reports what is known to be missing as well",
      two()
        .withSource("/a", missing("absent"), justNow)
        .after({ failures: { "/b": denied } }),
      {},
      "refuse ParameterNotFound AccessDenied",
    ],
    ["of sources that are too large together ends there", one(), { tooLarge }, "refuse TooLarge"],
    [
      "of sources that are too large comes before their failures",
      one(),
      { tooLarge, failures: { "/a": denied } },
      "refuse TooLarge",
    ],
    [
      "of sources that are too large leaves a good Secret",
      one().withSecret({ "/a": 3 }).withSource("/a", served(4)),
      { tooLarge },
      "refuse TooLarge (good Secret)",
    ],
    [
      "without the value that a look has shown is retried",
      one().withSource("/a", served(3)),
      { read: {} },
      "refuse Unreachable",
    ],
    [
      "without a member that a listing has shown is retried",
      path().withPath("/p", { "/p/x": served(1), "/p/y": served(1) }),
      { read: { "/p/x": 1 } },
      "refuse Unreachable",
    ],
    [
      "of an invalid document is reported",
      aSnapshot()
        .of({ dataFrom: [{ parameter: { name: "/d" }, format: "JSON" }] })
        .withSource("/d", served(1)),
      { read: { "/d": 1 } },
      "refuse InvalidData",
    ],
    ["of an empty path is reported", path().withPath("/p", {}), { read: {} }, "refuse EmptyResult"],
  ]);

  it("of sources that are too large is remembered with the revision of the versions", () => {
    const given = one().withSource("/a", served(4)).after({ tooLarge });
    const { revisions, resource, granted } = given.facts();
    const { account, identity } = granted;
    const sources = [{ name: "/a", selector: "", ...served(4).stamp! }];
    const revision = revisions.of({ spec: resource.spec, account, region: identity.region, sources });
    expect(decide(given.build())).toMatchObject({ tooLarge: { revision, failure: tooLarge } });
  });

  it("labels its failure with each entry that uses the source", () => {
    const given = aSnapshot()
      .of({ data: [entry("A", "/a"), entry("B", "/a")] })
      .after({ failures: { "/a": denied } });
    const { problems } = decide(given.build()) as Refuse;
    expect(problems.map(({ message }) => message.slice(0, 11))).toEqual(["data[0] (A)", "data[1] (B)"]);
  });
});
