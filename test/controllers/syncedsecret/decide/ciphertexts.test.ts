import { describe, expect, it } from "vitest";
import { Failure } from "../../../../src/runtime/failure.ts";
import { aSnapshot, entry } from "./builders.ts";
import { eachEnds, eachTakes, intentOf, nextOf, textsOf } from "./matchers.ts";
import { denied, elsewhere, identity, missing, served, silent } from "./states.ts";

const blob = { key: "K", kms: { ciphertext: "AAAA" } };
const only = () => aSnapshot().of({ data: [blob] });
const both = () =>
  aSnapshot()
    .of({ data: [entry("A", "/a"), blob] })
    .withSource("/a", served(3));
const opened = { "data[0] (K)": "k" };
const openedSecond = { "data[1] (K)": "k" };

describe("a blob", () => {
  eachTakes([
    [
      "is decrypted for a new Secret",
      only(),
      { read: {}, opened },
      ["read sources", "read ciphertexts", "assemble", "apply K"],
    ],
    [
      "is decrypted after the parameters are read",
      both(),
      { read: { "/a": 3 }, opened: openedSecond },
      ["read sources", "read ciphertexts", "assemble", "apply A K"],
    ],
    [
      "is decrypted before the Secret is read for retained keys",
      both()
        .withSecret({ "/a": 2 }, { keys: ["A", "K"] })
        .withStatus(),
      { read: { "/a": 3 }, opened: openedSecond, live: { A: "old" } },
      ["read sources", "read ciphertexts", "read secret", "assemble", "apply A K"],
    ],
    ["is not decrypted for a current Secret", both().withSecret({ "/a": 3 }, { keys: ["A", "K"] }), {}, ["keep"]],
    ["is not decrypted for a current Secret without parameters", only().withSecret({}, { keys: ["K"] }), {}, ["keep"]],
    [
      "is not decrypted if a parameter is missing",
      both().withSource("/a", missing("absent")).after({ looked: true }),
      {},
      ["refuse ParameterNotFound"],
    ],
    [
      "is not decrypted if a read fails",
      both(),
      { failures: { "/a": silent } },
      ["read sources", "refuse Unreachable"],
    ],
    [
      "is not decrypted if the keys of a lost source are unknown",
      both().withSource("/a", missing("suspect", 3)),
      { read: {} },
      ["read sources", "refuse SourceGone"],
    ],
    [
      "is decrypted again on a refresh request",
      only()
        .withSecret({}, { keys: ["K"] })
        .refreshing(),
      { read: {}, opened },
      ["read sources", "read ciphertexts", "assemble", "apply K"],
    ],
    [
      "is decrypted again after an edit",
      only().withSecret({}, { keys: ["K"], edited: ["K"] }),
      { read: {}, opened },
      ["read sources", "read ciphertexts", "assemble", "apply K"],
    ],
    [
      "is decrypted again after the binding changed",
      only().withSecret({}, { keys: ["K"], revision: "1.x.y" }),
      { read: {}, opened },
      ["read sources", "read ciphertexts", "assemble", "apply K"],
    ],
  ]);

  eachEnds([
    [
      "that cannot be decrypted prevents the Secret",
      both(),
      { read: { "/a": 3 }, opened: [denied] },
      "refuse AccessDenied",
    ],
    [
      "that cannot be decrypted leaves a good Secret",
      both().withSecret({ "/a": 2 }, { keys: ["A", "K"] }),
      { read: { "/a": 3 }, opened: [denied] },
      "refuse AccessDenied (good Secret)",
    ],
    [
      "that cannot be decrypted is reported with every other",
      both(),
      { read: { "/a": 3 }, opened: [denied, silent] },
      "refuse AccessDenied Unreachable",
    ],
    [
      "that is not JSON is reported, and only a change of the spec can help",
      aSnapshot().of({ data: [{ ...blob, jmesPath: "a" }] }),
      { read: {}, opened },
      "refuse InvalidData",
    ],
  ]);

  it.each([
    [
      "without parameters, only a change of the spec can help",
      aSnapshot().of({ data: [{ ...blob, jmesPath: "a" }] }),
      { read: {}, opened },
      "stalled",
    ],
    [
      "with parameters, a new version can help",
      aSnapshot()
        .of({ data: [entry("A", "/a", { jmesPath: "a" })] })
        .withSource("/a", served(3)),
      { read: { "/a": 3 } },
      "wait",
    ],
  ])("%s", (_, given, results, next) => {
    expect(() => intentOf(given, results)).toThrow();
    expect(nextOf(given, results)).toBe(next);
  });

  it("gives its plaintext and its key to the Secret", () => {
    const intent = intentOf(both(), { read: { "/a": 3 }, opened: openedSecond });
    expect(textsOf(intent)).toEqual({ A: "/a@3", K: "k" });
    expect(intent.kmsKeys).toEqual(["arn:aws:kms:eu-west-1:123456789012:key/data[1] (K)"]);
    expect(intent).not.toHaveProperty("failedOver");
  });

  it.each([
    ["names both regions", both(), "blobs were decrypted in eu-central-1 because eu-west-1 does not answer"],
    [
      "names the home region while parameters are read elsewhere",
      both().granted({ identity: elsewhere, blobsBy: identity }).withSource("/a", served(3)),
      "blobs were decrypted in eu-central-1 because eu-west-1 does not answer",
    ],
  ])("%s if it was decrypted in a failover region", (_, given, failedOver) => {
    const results = { read: { "/a": 3 }, opened: openedSecond, openedIn: "eu-central-1" };
    expect(intentOf(given, results)).toMatchObject({ failedOver });
  });

  it("is never decrypted for a malformed spec", () => {
    const { plan } = aSnapshot()
      .of({ data: [{ key: "K", kms: { ciphertext: "?" } }] })
      .facts();
    expect(plan.refused).toEqual([expect.any(Failure)]);
  });
});
