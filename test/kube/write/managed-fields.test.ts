import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ManagedFieldsEntry } from "../../../src/kube/resource.ts";
import { compact, coOwners, ownedBy } from "../../../src/kube/write/managed-fields.ts";

function entry(manager: string, fieldsV1: unknown, more: Partial<ManagedFieldsEntry> = {}): ManagedFieldsEntry {
  const base = { manager, operation: "Apply", apiVersion: "v1", fieldsType: "FieldsV1", time: "2026-01-01T00:00:00Z" };
  return { ...base, fieldsV1: fieldsV1 as object, ...more };
}

const fields = (names: Iterable<string>, prefix = "f:") =>
  Object.fromEntries([...names].map((name) => [`${prefix}${name}`, {}]));

/** fieldsV1 as the API server writes it for an apply of a Secret. */
const applied = {
  "f:data": { ".": {}, "f:DB_PASSWORD": {}, "f:tls.key": {} },
  "f:immutable": {},
  "f:metadata": {
    "f:annotations": { "f:keyferry.io/revision": {} },
    "f:labels": { "f:app.kubernetes.io/managed-by": {} },
    "f:ownerReferences": { 'k:{"uid":"6f4e"}': {} },
  },
  "f:type": {},
};

describe("the fields that a manager owns", () => {
  test("are read from its entry", () => {
    expect(ownedBy([entry("kubectl", {}), entry("keyferry", applied)], "keyferry")).toEqual({
      data: new Set(["DB_PASSWORD", "tls.key"]),
      labels: new Set(["app.kubernetes.io/managed-by"]),
      annotations: new Set(["keyferry.io/revision"]),
      ownerReferenceUids: new Set(["6f4e"]),
      type: true,
      immutable: true,
    });
  });

  test("are empty for an entry that owns other fields only", () => {
    const owned = ownedBy([entry("keyferry", { "f:stringData": fields(["a"]) })], "keyferry");
    expect(owned).toMatchObject({ data: new Set(), labels: new Set(), type: false, immutable: false });
  });

  test.each<[string, ManagedFieldsEntry[] | undefined]>([
    ["are missing", undefined],
    ["are cleared", [{}]],
    ["have only entries of other managers", [entry("kubectl", applied)]],
    ["have only the manager's Update entry", [entry("keyferry", applied, { operation: "Update" })]],
    ["have only a subresource's entry", [entry("keyferry", applied, { subresource: "status" })]],
    ["have an unknown fieldsType", [entry("keyferry", applied, { fieldsType: "FieldsV2" })]],
    ["have text as fields", [entry("keyferry", "f:data")]],
    ["have a list as fields", [entry("keyferry", ["f:data"])]],
    ["have null as fields", [entry("keyferry", null)]],
  ])("are undefined if managedFields %s", (_, managedFields) => {
    expect(ownedBy(managedFields, "keyferry")).toBeUndefined();
  });

  test("are read by operation and subresource", () => {
    const update = entry("keyferry", { "f:data": fields(["u"]) }, { operation: "Update" });
    const status = entry("keyferry", { "f:data": fields(["s"]) }, { subresource: "status" });
    expect(ownedBy([status, update], "keyferry", "Update")?.data).toEqual(new Set(["u"]));
    expect(ownedBy([update, status], "keyferry", "Apply", "status")?.data).toEqual(new Set(["s"]));
  });

  test.each([
    ["not JSON", "k:{uid}"],
    ["a key of another field", 'k:{"name":"x"}'],
    ["a uid that is no text", 'k:{"uid":1}'],
    ["a uid on the prototype", 'k:{"__proto__":{"uid":"x"}}'],
    ["a value of a set", 'v:"x"'],
  ])("skip an owner reference whose key is %s", (_, key) => {
    const owned = ownedBy([entry("keyferry", { "f:metadata": { "f:ownerReferences": { [key]: {} } } })], "keyferry");
    expect(owned?.ownerReferenceUids).toEqual(new Set());
  });

  test("are limited in number", () => {
    const many = fields(Array.from({ length: 50_000 }, (_, i) => `k${i}`));
    expect(ownedBy([entry("keyferry", { "f:data": many })], "keyferry")?.data.size).toBe(20_000);
  });

  const names = fc.uniqueArray(fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "toString", ".")));

  test("round-trip for any names", () => {
    fc.assert(
      fc.property(names, names, names, names, (data, labels, annotations, uids) => {
        const written = {
          "f:data": { ".": {}, ...fields(data) },
          "f:metadata": {
            "f:labels": fields(labels),
            "f:annotations": fields(annotations),
            "f:ownerReferences": Object.fromEntries(uids.map((uid) => [`k:${JSON.stringify({ uid })}`, {}])),
          },
        };
        // Through JSON, as the API server sends it.
        const parsed = JSON.parse(JSON.stringify([entry("keyferry", written)]));
        expect(ownedBy(parsed, "keyferry")).toEqual({
          data: new Set(data),
          labels: new Set(labels),
          annotations: new Set(annotations),
          ownerReferenceUids: new Set(uids),
          type: false,
          immutable: false,
        });
      }),
    );
  });

  test("never throw for any content", () => {
    const part = fc.constantFrom("f:data", "f:metadata", "f:labels", "f:ownerReferences", "f:type", 'k:{"uid":"a"}');
    const tree = fc.letrec((tie) => ({
      node: fc.oneof({ depthSize: "small" }, fc.jsonValue(), fc.dictionary(part, tie("node"))),
    })).node;
    fc.assert(
      fc.property(tree, (fieldsV1) => {
        // A string is the JSON of a cache entry.
        fc.pre(typeof fieldsV1 !== "string");
        const owned = ownedBy([entry("keyferry", fieldsV1)], "keyferry");
        expect(ownedBy(compact([entry("keyferry", fieldsV1)]), "keyferry")).toEqual(owned);
        const isObject = typeof fieldsV1 === "object" && fieldsV1 !== null && !Array.isArray(fieldsV1);
        expect(owned !== undefined).toBe(isObject);
        const others = coOwners([entry("kubectl", fieldsV1)], "keyferry");
        expect(coOwners(compact([entry("kubectl", fieldsV1)]), "keyferry")).toEqual(others);
      }),
    );
  });
});

describe("the co-owners of keys", () => {
  test("are all except this manager's Apply entry, including its own Update entry", () => {
    const others = coOwners(
      [
        entry("keyferry", { "f:data": fields(["a"]) }),
        entry("keyferry", { "f:data": fields(["b"]) }, { operation: "Update" }),
        entry("kubectl-edit", { "f:data": fields(["a", "c"]) }, { operation: "Update" }),
        entry("labeller", { "f:metadata": { "f:labels": fields(["x"]) } }),
        {},
      ],
      "keyferry",
    );
    expect(others).toEqual([
      { manager: "keyferry", operation: "Update", data: new Set(["b"]) },
      { manager: "kubectl-edit", operation: "Update", data: new Set(["a", "c"]) },
    ]);
  });

  test("are none without managedFields", () => {
    expect(coOwners(undefined, "keyferry")).toEqual([]);
  });
});
