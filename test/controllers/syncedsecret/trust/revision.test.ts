import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SyncedSecretSpec } from "../../../../src/api/types.ts";
import { keysDigest } from "../../../../src/controllers/syncedsecret/plan/digest.ts";
import {
  type RevisionFormat,
  type RevisionSource,
  Revisions,
} from "../../../../src/controllers/syncedsecret/trust/revision.ts";

const spec: SyncedSecretSpec = { data: [{ key: "A", parameter: { name: "/a" } }] };
const source: RevisionSource = { name: "/a", selector: "", version: 3, modified: 1_000 };
const revisions = new Revisions();
const made = (s = spec, sources: RevisionSource[] = [source], account = "1", region = "r") => ({
  spec: s,
  sources,
  account,
  region,
});
const of = (...args: Parameters<typeof made>) => revisions.of(made(...args));

describe("a revision differs with", () => {
  it.each<[string, string]>([
    ["a version", of(spec, [{ ...source, version: 4 }])],
    ["a modification time", of(spec, [{ ...source, modified: 2_000 }])],
    ["a selector", of(spec, [{ ...source, selector: ":3" }])],
    ["an additional source", of(spec, [source, { ...source, name: "/b" }])],
    ["a removed source", of(spec, [{ name: "/a", selector: "", left: true }])],
    ["the account", of(spec, [source], "2")],
    ["the region", of(spec, [source], "1", "q")],
    ["a key", of({ data: [{ key: "B", parameter: { name: "/a" } }] })],
    ["a label", of({ ...spec, target: { labels: { a: "b" } } })],
    ["the encryption context that binding requires", revisions.of({ ...made(), bound: "keyferry.io/cluster=prod" })],
    ["a ciphertext", of({ data: [{ key: "A", kms: { ciphertext: "AAAA" } }] })],
  ])("%s", (_, other) => {
    expect(other).not.toBe(of());
  });
});

describe("a revision does not differ with", () => {
  it.each<[string, string]>([
    ["the order of fields", of({ data: [{ parameter: { name: "/a" }, key: "A" }] })],
    ["a source that is used twice", of(spec, [source, source])],
    ["the poll interval", of({ ...spec, refresh: { pollInterval: "1h", staleAfter: "2h" } })],
    ["the name of the target", of({ ...spec, target: { name: "other" } })],
    ["binding with scope None", revisions.of({ ...made(), bound: undefined })],
    ["a suspension", of({ ...spec, suspend: true })],
    ["the connection's name", of({ ...spec, connectionRef: { kind: "AWSConnection", name: "x" } })],
  ])("%s", (_, other) => {
    expect(other).toBe(of());
  });
});

it("reports whether it was made from a spec, whatever its sources were", () => {
  expect(revisions.isOfSpec(of(spec, []), spec)).toBe(true);
  expect(revisions.isOfSpec(of(), { data: [] })).toBe(false);
  expect(revisions.isOfSpec(undefined, spec)).toBe(false);
});

it("never changes in format 1: a change would decrypt every Secret of every cluster", () => {
  const sources: RevisionSource[] = [source, { name: "/b", selector: ":prod", left: true }];
  expect(of({ ...spec, target: { labels: { b: "2", a: "1" } } }, sources)).toBe(
    "1.d9c4fd6427efbfd8d35dc985011b5570.1c8527faaa8b47e6282901e819923a90",
  );
});

describe("a revision in another format", () => {
  const format = (mark: string): RevisionFormat => ({
    spec: ({ data }) => mark + (data ?? []).length,
    sources: ({ sources }) => mark + sources.length,
  });
  const later = new Revisions(
    new Map([
      [1, format("a")],
      [2, format("b")],
    ]),
    2,
  );

  it("is compared in its own format, and written in the current one", () => {
    expect(later.of(made())).toBe("2.b1.b1");
    for (const revision of ["1.a1.a1", "2.b1.b1"]) {
      expect(later.isOf(revision, made())).toBe(true);
      expect(later.isOf(revision, made(spec, []))).toBe(false);
      expect(later.isOfSpec(revision, spec)).toBe(true);
      expect(later.isOfSpec(revision, {})).toBe(false);
      expect(later.isForeign(revision)).toBe(false);
    }
    for (const mixed of ["1.b1.b1", "2.a1.a1", "1.a1.b1"]) expect(later.isOf(mixed, made())).toBe(false);
  });

  it("of an unknown format proves nothing, and is distinguished from an invalid revision", () => {
    const [newer] = [later.of(made())];
    expect(revisions.isOf(newer, made())).toBe(false);
    expect(revisions.isOfSpec(newer, spec)).toBe(false);
    expect(revisions.isForeign(newer)).toBe(true);
    for (const none of [undefined, "", "2", "x.y.z", "01.a.b", "0.a.b", "-1.a.b", "1e3.a.b", "__proto__.a.b"]) {
      expect(revisions.isForeign(none), none).toBe(false);
      expect(revisions.isOf(none, made()), none).toBe(false);
    }
    expect(revisions.isForeign(of())).toBe(false);
  });
});

it("is the same for a set of sources in any order, and differs for another set", () => {
  const sources = fc.uniqueArray(fc.record({ name: fc.stringMatching(/^\/[a-z]{1,6}$/), version: fc.nat() }), {
    selector: ({ name }) => name,
    maxLength: 8,
  });
  const make = (list: { name: string; version: number }[]) =>
    of(
      spec,
      list.map(({ name, version }) => ({ name, version, selector: "", modified: 0 })),
    );
  fc.assert(
    fc.property(sources, sources, (a, b) => {
      expect(make([...a].reverse())).toBe(make(a));
      const key = (list: typeof a) => JSON.stringify(list.map(({ name, version }) => [name, version]).sort());
      expect(make(a) === make(b)).toBe(key(a) === key(b));
    }),
  );
});

it("the digest of keys depends on each key, but not on their order", () => {
  expect(keysDigest(["b", "a"])).toBe(keysDigest(["a", "b"]));
  expect(keysDigest(["a"])).not.toBe(keysDigest(["a", "b"]));
});
