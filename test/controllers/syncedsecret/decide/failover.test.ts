import { describe, expect, it } from "vitest";
import {
  elsewhereOf,
  type IsDown,
  isConcerned,
  madeElsewhere,
  mayMove,
  remainingMessage,
} from "../../../../src/controllers/syncedsecret/decide/failover.ts";
import type { Outcome } from "../../../../src/controllers/syncedsecret/decide/outcome.ts";
import { FakeAws } from "../../../support/fake-aws.ts";
import { aSnapshot, entry, type SnapshotBuilder, statusSources } from "./builders.ts";
import { elsewhere, identity, silent, wall } from "./states.ts";

const third = new FakeAws(() => wall).identity("third", "eu-north-1");
const standIns = [
  { region: "eu-central-1", identity: elsewhere },
  { region: "eu-north-1", identity: third },
];
const down =
  (...keys: string[]): IsDown =>
  (key, service) =>
    keys.includes(`${service} ${key}`);
const home = `ssm ${identity.key}`;
const one = () =>
  aSnapshot()
    .of({ data: [entry("A", "/a")] })
    .granted({ standIns });
const version = { data: [{ key: "A", parameter: { name: "/a", version: 3 } }] };
const label = { data: [{ key: "A", parameter: { name: "/a", label: "prod" } }] };

describe("parameters are read in a failover region", () => {
  it.each<[string, SnapshotBuilder, IsDown, string[]]>([
    ["never while the home region answers", one(), down(), []],
    ["not because KMS does not answer at home", one(), down(`kms ${identity.key}`), []],
    ["in the order of the connection", one(), down(home), ["eu-central-1", "eu-north-1"]],
    ["not in one that does not answer either", one(), down(home, `ssm ${elsewhere.key}`), ["eu-north-1"]],
    ["in none if none answers", one(), down(home, `ssm ${elsewhere.key}`, `ssm ${third.key}`), []],
    ["in none if the connection has none", aSnapshot().of({ data: [entry("A", "/a")] }), down(home), []],
    ["for a label", one().of(label), down(home), ["eu-central-1", "eu-north-1"]],
    ["not for a numbered version, which is another value there", one().of(version), down(home), []],
    ["not under Once, which would never come home", one().of({ refresh: { policy: "Once" } }), down(home), []],
    ["not without parameters", one().of({ data: [{ key: "K", kms: { ciphertext: "AAAA" } }] }), down(home), []],
    ["not if the Secret exists", one().withSecret({ "/a": 3 }), down(home), []],
    [
      "not if the Secret exists that was made elsewhere",
      one().withSecret({ "/a": 3 }, { region: "eu-central-1" }),
      down(home),
      [],
    ],
    ["not if a Secret from home was deleted", deletedOf(one().withSecret({ "/a": 3 })), down(home), []],
    [
      "if a Secret from a failover region was deleted",
      deletedOf(one().withSecret({ "/a": 3 }, { region: "eu-north-1" })),
      down(home),
      ["eu-central-1", "eu-north-1"],
    ],
    [
      "not if DeleteSecret has deleted the Secret at home",
      one().withStatus({ sources: statusSources({ "/a": 3 }) }),
      down(home),
      [],
    ],
    [
      "after a first reconcile that failed",
      one().reporting({ status: "False", reason: "Unreachable" }),
      down(home),
      ["eu-central-1", "eu-north-1"],
    ],
    [
      "not from an ARN of the home region",
      one().of({ data: [entry("A", "arn:aws:ssm:eu-west-1:999999999999:parameter/a")] }),
      down(home),
      [],
    ],
  ])("%s", (_, given, isDown, regions) => {
    expect([...elsewhereOf(given.facts(), isDown)].map(({ region }) => region)).toEqual(regions);
  });

  it("with its identity for parameters, and the one at home for blobs", () => {
    const [there] = [...elsewhereOf(one().facts(), down(home))];
    expect(there!.facts.granted).toMatchObject({ identity: { key: "elsewhere" }, blobsBy: { key: identity.key } });
    expect(there!.facts.plan.references).toMatchObject([{ identity: { key: "elsewhere" } }]);
    expect(there!.facts.warmStart.stamps).toBeUndefined();
  });

  it.each([
    ["names", { data: [entry("A", "/a")] }, true],
    ["labels", label, true],
    ["paths", { dataFrom: [{ path: { name: "/p" } }] }, true],
    ["a numbered version among others", { data: [entry("B", "/b"), ...version.data] }, false],
    ["policy Once", { data: [entry("A", "/a")], refresh: { policy: "Once" as const } }, false],
    ["no parameter", {}, false],
  ])("or not, depending on the spec: %s", (_, spec, expected) => {
    const { resource, plan } = aSnapshot().of(spec).facts();
    expect(mayMove(resource, plan)).toBe(expected);
  });
});

describe("a Secret was made", () => {
  it.each<[string, SnapshotBuilder, string | undefined]>([
    ["at home", one().withSecret({ "/a": 3 }), undefined],
    [
      "in the region in which its revision is reproduced",
      one().withSecret({ "/a": 3 }, { region: "eu-north-1" }),
      "eu-north-1",
    ],
    [
      "in an unknown region, if the status names no sources",
      one().withSecret({ "/a": 3 }, { region: "eu-north-1" }).withStatus(),
      undefined,
    ],
    [
      "in an unknown region, if the status omits sources",
      one()
        .withSecret({ "/a": 3 }, { region: "eu-north-1" })
        .withStatus({ sources: statusSources({ "/a": 3 }), sourcesOmitted: 1 }),
      undefined,
    ],
    [
      "in an unknown region, if the connection no longer has it",
      one().granted({ standIns: [] }).withSecret({ "/a": 3 }, { region: "eu-north-1" }),
      undefined,
    ],
    ["nowhere, if it does not exist", one(), undefined],
  ])("%s", (_, given, region) => expect(madeElsewhere(given.facts())).toBe(region));
});

describe("the condition FailedOver", () => {
  const secret = { secret: "checkout", revision: "1.x.y", keyCount: 1 };
  const current: Outcome = { kind: "current", ...secret, left: [] };
  const failed: Outcome = { kind: "failed", problems: [silent], hasGoodSecret: true };
  const degraded: Outcome = { kind: "degraded", problems: [silent], ...secret };
  const moved = () => one().withSecret({ "/a": 3 }, { region: "eu-central-1" });
  const parameters =
    "parameters were read in eu-central-1 because eu-west-1 does not answer; versions there are independent, so the parameters are read in eu-west-1 as soon as it answers";
  const opened = (observedGeneration = 2) => ({
    conditions: [
      ...[{ type: "FailedOver", status: "True" as const, reason: "FailedOver", message: "blobs" }].map((one) => ({
        ...one,
        observedGeneration,
        lastTransitionTime: new Date(wall).toISOString(),
      })),
    ],
  });

  it.each<[string, SnapshotBuilder, Outcome, IsDown, string | undefined]>([
    ["is absent for a Secret from home", one().withSecret({ "/a": 3 }), current, down(home), undefined],
    ["stays while a Secret from elsewhere is current", moved(), current, down(home), parameters],
    ["stays while a Secret from elsewhere cannot be replaced", moved(), failed, down(home), parameters],
    ["stays while a Secret from elsewhere is degraded", moved(), degraded, down(home), parameters],
    ["stays after home answers, until the Secret is written", moved(), failed, down(), parameters],
    ["ends with a write at home", moved(), { ...current, wrote: "updated" }, down(), undefined],
    ["ends with a deletion", moved(), { ...failed, wrote: "deleted" }, down(), undefined],
    ["is not changed by an outcome that reports nothing", moved(), { kind: "again" }, down(home), undefined],
    ["is left to an outcome with its own message", moved(), { ...current, failedOver: "blobs" }, down(home), undefined],
    [
      "about blobs stays while KMS does not answer at home",
      one().withStatus(opened()),
      current,
      down(`kms ${identity.key}`),
      "blobs",
    ],
    ["about blobs ends once KMS answers", one().withStatus(opened()), current, down(), undefined],
    [
      "about blobs ends with a change of the spec",
      one().withStatus(opened(1)),
      current,
      down(`kms ${identity.key}`),
      undefined,
    ],
  ])("%s", (_, given, outcome, isDown, message) => {
    expect(remainingMessage(given.facts(), outcome, isDown)).toBe(message);
  });

  it.each<[string, SnapshotBuilder, boolean]>([
    ["of a Ready resource does not concern it", one().withSecret({ "/a": 3 }), false],
    ["concerns a resource that is not Ready", one().reporting({ status: "False", reason: "Unreachable" }), true],
    ["concerns a resource without a status", one(), true],
  ])("after an outage %s", (_, given, expected) => expect(isConcerned(given.facts().resource)).toBe(expected));
});

/** The SyncedSecret after somebody has deleted its Secret. */
function deletedOf(given: SnapshotBuilder): SnapshotBuilder {
  return one().withStatus(given.facts().resource.status);
}
