import { describe, expect, it } from "vitest";
import { handles, type Outcome } from "../../../../src/controllers/syncedsecret/decide/outcome.ts";
import { Failure, type Next } from "../../../../src/runtime/failure.ts";
import { aSnapshot, entry } from "./builders.ts";
import { eachEnds, eachTakes, intentOf } from "./matchers.ts";
import { denied, missing, served } from "./states.ts";

const one = () => aSnapshot().of({ data: [entry("A", "/a")] });
const asked = () => one().withSecret({ "/a": 3 }).withSource("/a", served(3)).refreshing();
const read = { read: { "/a": 3 } };

describe("a refresh request", () => {
  eachTakes([
    ["reads and writes a Secret that is current", asked(), read, ["read sources", "assemble", "apply A"]],
    [
      "reads without a look",
      asked().reporting({ status: "False", reason: "AccessDenied" }),
      read,
      ["read sources", "assemble", "apply A"],
    ],
    [
      "reads a source whose last look failed",
      asked().withSource("/a", served(3), { failure: denied }),
      { failures: { "/a": denied } },
      ["read sources", "refuse AccessDenied AccessDenied (good Secret)"],
    ],
    [
      "reads a parameter that was missing",
      one().withSource("/a", missing("absent")).refreshing(),
      { read: {} },
      ["read sources", "refuse ParameterNotFound"],
    ],
  ]);

  eachEnds([
    [
      "drops no key of a missing parameter",
      one().withSecret({ "/a": 3 }).withSource("/a", missing("suspect", 3)).refreshing(),
      { read: {}, live: { A: "old" } },
      "apply A",
    ],
    ["writes nothing with read-only", asked().readOnly(), read, "refuse Pending (good Secret)"],
    [
      "replaces the versions under Once",
      asked()
        .of({ refresh: { policy: "Once" } })
        .withSource("/a", served(9)),
      { read: { "/a": 9 } },
      "apply A",
    ],
    [
      "that is handled already reads nothing",
      asked().withStatus({ ...asked().facts().resource.status, lastHandledRefresh: "now" }),
      {},
      "keep",
    ],
    [
      "after another one reads again",
      asked().withStatus({ ...asked().facts().resource.status, lastHandledRefresh: "before" }),
      read,
      "apply A",
    ],
  ]);

  it("does not count as a new version", () => {
    const given = asked().withSource("/a", served(4));
    expect(intentOf(given, { read: { "/a": 4 } })).not.toHaveProperty("modified");
  });
});

describe("a refresh request is settled", () => {
  const secret = { secret: "checkout", revision: "1.x.y", keyCount: 1 };
  const current: Outcome = { kind: "current", ...secret, left: [] };
  const failed = (...nexts: Next[]): Outcome => ({ kind: "failed", problems: problems(nexts), hasGoodSecret: true });
  const degraded = (...nexts: Next[]): Outcome => ({ kind: "degraded", problems: problems(nexts), ...secret });
  const problems = (nexts: Next[]) => nexts.map((next) => new Failure("AccessDenied", next, "a failure"));

  it.each<[string, Outcome, boolean, boolean]>([
    ["by a current Secret", current, false, true],
    ["by a current Secret with read-only", current, true, true],
    ["by a failure that waits for a change elsewhere", failed("wait"), false, true],
    ["by a failure that needs a change of the spec", failed("stalled"), false, true],
    ["by a degraded Secret", degraded("wait"), false, true],
    ["not if AWS did not answer", failed("retry"), false, false],
    ["not if AWS did not answer for one of two", failed("wait", "retry"), false, false],
    ["not if the write was refused", failed("refused"), false, false],
    ["not by a degraded Secret whose garbage collection is retried", degraded("wait", "retry"), false, false],
    ["not by a failure with read-only", failed("wait"), true, false],
    ["not by a degraded Secret with read-only", degraded("wait"), true, false],
    ["not if the reconcile starts again", { kind: "again" }, false, false],
    ["not by a suspended resource", { kind: "suspended" }, false, false],
    ["not if the connection is not checked yet", { kind: "nothing" }, false, false],
  ])("%s", (_, outcome, readOnly, expected) => expect(handles(outcome, readOnly)).toBe(expected));
});
