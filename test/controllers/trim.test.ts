import { describe, expect, it } from "vitest";
import type { SyncedSecret } from "../../src/api/types.ts";
import { trimSecret, trimSyncedSecret } from "../../src/controllers/trim.ts";
import type { KubeObject } from "../../src/kube/resource.ts";
import { heldBytes } from "../support/heap.ts";

const fields = (kind: string, names: readonly string[]) => ({
  "f:metadata": { [`f:${kind}`]: Object.fromEntries(names.map((name) => [`f:${name}`, {}])) },
});
const many = (at: number, length = 250, count = 1_000) =>
  Array.from({ length: count }, (_, i) => `x.example.com/${String(at * count + i).padStart(length, "a")}`);
const set = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, ""]));

/** A Secret of ours with 250 KB of foreign metadata. */
function secret(at: number, foreign: object): string {
  const mine = {
    "f:data": { "f:A": {} },
    "f:metadata": { "f:annotations": { "f:keyferry.io/revision": {}, "f:team": {} } },
  };
  return JSON.stringify({
    metadata: {
      name: `s-${at}`,
      namespace: "shop",
      uid: `uid-${at}`,
      resourceVersion: String(at),
      labels: { "keyferry.io/synced-secret": "true" },
      annotations: { "keyferry.io/revision": `1.a.${at}`, team: "shop" },
      managedFields: [{ manager: "keyferry", operation: "Apply", time: "t", fieldsType: "FieldsV1", fieldsV1: mine }],
      ...foreign,
    },
  });
}

const entry = (manager: string, fieldsV1: object) => ({
  manager,
  operation: "Update",
  fieldsType: "FieldsV1",
  fieldsV1,
});
const owner = (at: number, i: number) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  name: `owner-${i}`.padEnd(500, "n"),
  uid: `${at}-${i}`,
});

describe("keeps next to nothing of 250 KB of foreign metadata in a Secret:", () => {
  it.each<[string, (at: number) => object]>([
    ["annotations", (at) => ({ annotations: { "example.com/note": String(at).padEnd(250_000, "x") } })],
    [
      "annotations under our own prefix",
      (at) => ({ annotations: { "keyferry.io/note": String(at).padEnd(250_000, "x") } }),
    ],
    [
      "a mark of ours, overwritten",
      (at) => ({ annotations: { "keyferry.io/adopt": String(at).padEnd(250_000, "x") } }),
    ],
    [
      "the list of kept keys, overwritten",
      (at) => ({ annotations: { "keyferry.io/retained-keys": String(at).padEnd(250_000, "x") } }),
    ],
    ["labels", (at) => ({ labels: { "keyferry.io/synced-secret": "true", ...set(many(at)) } })],
    ["owner references", (at) => ({ ownerReferences: Array.from({ length: 400 }, (_, i) => owner(at, i)) })],
    [
      "a controller with a long name",
      (at) => ({ ownerReferences: [{ ...owner(at, 0), name: "n".repeat(250_000), controller: true }] }),
    ],
    ["finalizers", (at) => ({ finalizers: many(at) })],
    ["managedFields of labels", (at) => ({ managedFields: [entry("kubectl", fields("labels", many(at)))] })],
    ["managedFields of keys", (at) => ({ managedFields: [entry("kubectl", { "f:data": set(many(at)) })] })],
    [
      "managedFields of many",
      (at) => ({ managedFields: many(at).map((name) => entry(name, { "f:data": { "f:A": {} } })) }),
    ],
  ])("%s", async (_, foreign) => {
    const before = await heldBytes();
    const kept: KubeObject[] = [];
    for (let at = 0; at < 100; at++) kept.push(trimSecret(JSON.parse(secret(at, foreign(at))) as KubeObject));
    const each = ((await heldBytes()) - before) / kept.length;
    expect(each).toBeLessThan(9_000);
    expect(Math.max(...kept.map((object) => JSON.stringify(object).length))).toBeLessThan(8_000);
  });
});

describe("of a Secret", () => {
  it("keeps what we own, and who owns keys of the data", () => {
    const text = secret(1, {});
    const object = JSON.parse(text) as KubeObject;
    object.metadata.managedFields!.push(entry("kubectl-edit", { "f:data": { "f:A": {} }, "f:type": {} }));
    const { annotations, labels, managedFields } = trimSecret(object).metadata;
    expect(annotations).toEqual({ "keyferry.io/revision": "1.a.1", team: "shop" });
    expect(labels).toEqual({ "keyferry.io/synced-secret": "true" });
    expect(managedFields).toMatchObject([
      { manager: "keyferry", time: "t" },
      {},
      { manager: "kubectl-edit", operation: "Update", fieldsV1: '{"f:data":{"f:A":{}}}' },
    ]);
  });
});

describe("of a SyncedSecret", () => {
  it("keeps no foreign metadata, and a long refresh annotation keeps its identity", () => {
    const long = "x".repeat(200_000);
    const annotations = { "keyferry.io/refresh": long, "keyferry.io/other": long, "example.com/note": long };
    const metadata = { name: "s", namespace: "n", uid: "u", generation: 2, annotations, labels: set(many(1)) };
    const object = { metadata: { ...metadata, finalizers: many(1) }, spec: { suspend: true } } as never;
    const kept = trimSyncedSecret(object) as SyncedSecret & KubeObject;
    expect(JSON.stringify(kept).length).toBeLessThan(500);
    expect(kept.spec).toEqual({ suspend: true });
    expect(trimSyncedSecret(kept)).toEqual(kept);
  });
});
