import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { manifestsIn } from "../../src/cli/manifests.ts";

const canary = "hunter2-canary";
const apiVersion = "keyferry.io/v1alpha1";
const data = [{ key: "A", parameter: { name: "/a" } }];
const synced = (spec: object, metadata: object = { name: "checkout", namespace: "shop" }) => ({
  ...{ apiVersion, kind: "SyncedSecret", metadata, spec },
});

function problemsOf(...objects: object[]): string[] {
  const found = manifestsIn(objects.map((object) => stringify(object)).join("---\n"), undefined);
  if ("problem" in found) throw new Error(found.problem);
  return found.problems;
}

describe("manifests are found", () => {
  const objects = [
    synced({ data }),
    { apiVersion, kind: "ClusterAWSConnection", metadata: { name: "default" }, spec: { region: "eu-west-1" } },
    { apiVersion: "v1", kind: "Secret", metadata: { name: "other" }, stringData: { A: canary } },
    { apiVersion: "apps/v1", kind: "Deployment" },
  ];

  test.each([
    ["as documents", objects.map((object) => stringify(object)).join("---\n")],
    ["in a List", stringify({ apiVersion: "v1", kind: "List", items: objects })],
    ["as JSON", JSON.stringify({ apiVersion: "v1", kind: "List", items: objects })],
    ["beside empty documents", `---\n# nothing\n---\n${objects.map((object) => stringify(object)).join("---\n")}---\n`],
  ])("%s", (_, text) => {
    const found = manifestsIn(text, undefined);
    expect(found).toMatchObject({
      problems: [],
      syncedSecrets: [{ metadata: { name: "checkout", namespace: "shop" } }],
    });
    expect("connections" in found && found.connections.map(({ kind }) => kind)).toEqual(["ClusterAWSConnection"]);
  });

  test("and default to --namespace", () => {
    const found = manifestsIn(stringify(synced({ data }, { name: "a" })), "bank");
    expect(found).toMatchObject({ problems: [], syncedSecrets: [{ metadata: { namespace: "bank" } }] });
    expect(problemsOf(synced({ data }, { name: "a" }))).toEqual([
      "SyncedSecret a: metadata.namespace is required: name it, or give --namespace",
    ]);
  });
});

describe("names the fields that the API server would refuse, without their values", () => {
  test.each<[string, object, string]>([
    [
      "an unknown field",
      { data: [{ key: "A", paramter: { name: canary } }] },
      "spec.data[0].paramter is an unknown field",
    ],
    [
      "a wrong type",
      { data: [{ key: "A", parameter: canary }] },
      "spec.data[0].parameter must be an object, and is a string",
    ],
    [
      "a number as a string",
      { data: [{ key: "A", parameter: { name: "/a", version: canary } }] },
      "must be an integer",
    ],
    ["an invalid enum value", { data, refresh: { policy: canary } }, "spec.refresh.policy must be Follow or Once"],
    ["an empty field", { data, target: null }, "spec.target must be an object, and is empty"],
    ["a missing required field", { data: [{ parameter: { name: "/a" } }] }, "spec.data[0].key is required"],
    ["a list instead of an object", { data: { key: canary } }, "spec.data must be an array, and is an object"],
    ["a version of 0", { data: [{ key: "A", parameter: { name: "/a", version: 0 } }] }, "version must be 1 at least"],
    ["an empty spec", {}, "spec.data or spec.dataFrom is required"],
    [
      "an entry without a source",
      { data: [{ key: "A" }] },
      "spec.data[0] (A) must have one of parameter, kms, encryptionSDK, and has none",
    ],
    [
      "an entry with two sources",
      { data: [{ key: "A", parameter: { name: "/a" }, kms: { ciphertext: "AA==" } }] },
      "has parameter, kms",
    ],
    ["a duplicate key", { data: [...data, ...data] }, "spec.data[1] (A) repeats the key of an earlier entry"],
    [
      "a document without its format",
      { dataFrom: [{ parameter: { name: "/a" } }] },
      "spec.dataFrom[0].format is required",
    ],
    [
      "a path with a format",
      { dataFrom: [{ path: { name: "/a" }, format: "JSON" }] },
      "spec.dataFrom[0].format is not for a path",
    ],
  ])("%s", (_, spec, said) => {
    const problems = problemsOf(synced(spec));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("SyncedSecret shop/checkout: ");
    expect(problems[0]).toContain(said);
    expect(problems[0]).not.toContain(canary);
  });

  test("another API version, and an unknown kind", () => {
    expect(problemsOf({ ...synced({ data }), apiVersion: "keyferry.io/v9" })[0]).toContain(
      `apiVersion must be ${apiVersion}`,
    );
    expect(problemsOf({ ...synced({ data }), kind: "SyncSecret" })).toEqual([
      "an object of keyferry.io has an unknown kind",
    ]);
  });

  test("a text that is not YAML is reported by line", () => {
    expect(manifestsIn(`a: b\n${canary}: [\n`, undefined)).toEqual({
      problem: expect.stringMatching(/^is not valid YAML: line [23]$/),
    });
  });

  test("endless aliases", () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefgh"].map((name, at) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[at]}`)}]`).join("\n")}\n`;
    expect(manifestsIn(bomb, undefined)).toEqual({ problem: "is not valid YAML: it has too many aliases" });
  });
});

test("any manifest is accepted or reported, without an exception", () => {
  const value = fc.jsonValue();
  const entry = fc.record(
    { key: value, parameter: value, kms: value, path: value, format: value },
    { requiredKeys: [] },
  );
  const spec = fc.record({ data: fc.array(entry), dataFrom: fc.array(entry), target: value }, { requiredKeys: [] });
  fc.assert(
    fc.property(fc.oneof(value, spec), (any) => {
      const found = manifestsIn(JSON.stringify(synced(any as object)), undefined);
      if ("problem" in found) return;
      expect(found.syncedSecrets.length + Math.min(found.problems.length, 1)).toBe(1);
    }),
  );
});
