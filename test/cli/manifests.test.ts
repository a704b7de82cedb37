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

  test("and take --namespace where they name none", () => {
    const found = manifestsIn(stringify(synced({ data }, { name: "a" })), "bank");
    expect(found).toMatchObject({ problems: [], syncedSecrets: [{ metadata: { namespace: "bank" } }] });
    expect(problemsOf(synced({ data }, { name: "a" }))).toEqual([
      "SyncedSecret a: metadata.namespace is required: name it, or give --namespace",
    ]);
  });
});

describe("what the API server would refuse is told by its field, and without what stands in it", () => {
  test.each<[string, object, string]>([
    [
      "a field that there is not",
      { data: [{ key: "A", paramter: { name: canary } }] },
      "spec.data[0].paramter is no field",
    ],
    [
      "a wrong type",
      { data: [{ key: "A", parameter: canary }] },
      "spec.data[0].parameter must be an object, and is a string",
    ],
    [
      "a number that is a text",
      { data: [{ key: "A", parameter: { name: "/a", version: canary } }] },
      "must be an integer",
    ],
    ["a choice that is none", { data, refresh: { policy: canary } }, "spec.refresh.policy must be Follow or Once"],
    ["a field that is empty", { data, target: null }, "spec.target must be an object, and is empty"],
    ["what is required", { data: [{ parameter: { name: "/a" } }] }, "spec.data[0].key is required"],
    ["a list for an object", { data: { key: canary } }, "spec.data must be an array, and is an object"],
    ["a version of 0", { data: [{ key: "A", parameter: { name: "/a", version: 0 } }] }, "version must be 1 at least"],
    ["nothing at all", {}, "spec.data or spec.dataFrom is required"],
    [
      "an entry of no source",
      { data: [{ key: "A" }] },
      "spec.data[0] (A) must have one of parameter, kms, encryptionSDK, and has none",
    ],
    [
      "one of two",
      { data: [{ key: "A", parameter: { name: "/a" }, kms: { ciphertext: "AA==" } }] },
      "has parameter, kms",
    ],
    ["a key twice", { data: [...data, ...data] }, "spec.data[1] (A) has the key of an entry before it"],
    [
      "a document without its format",
      { dataFrom: [{ parameter: { name: "/a" } }] },
      "spec.dataFrom[0].format is required",
    ],
    [
      "a path with one",
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

  test("another version of the API, and a kind that there is not", () => {
    expect(problemsOf({ ...synced({ data }), apiVersion: "keyferry.io/v9" })[0]).toContain(
      `apiVersion must be ${apiVersion}`,
    );
    expect(problemsOf({ ...synced({ data }), kind: "SyncSecret" })).toEqual([
      "an object of keyferry.io is of no kind that there is",
    ]);
  });

  test("a text that is no YAML, by its line", () => {
    expect(manifestsIn(`a: b\n${canary}: [\n`, undefined)).toEqual({
      problem: expect.stringMatching(/^is no YAML: line [23]$/),
    });
  });

  test("aliases without end", () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefgh"].map((name, at) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[at]}`)}]`).join("\n")}\n`;
    expect(manifestsIn(bomb, undefined)).toEqual({ problem: "is no YAML: it has too many aliases" });
  });
});

test("whatever the manifests are, they are taken or told, and nothing throws", () => {
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
