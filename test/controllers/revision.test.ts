import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { isOfSpec, keysDigest, type RevisionSource, revision } from "../../src/controllers/syncedsecret/revision.ts";

const spec: SyncedSecretSpec = { data: [{ key: "A", parameter: { name: "/a" } }] };
const source: RevisionSource = { name: "/a", selector: "", version: 3, modified: 1_000 };
const of = (s = spec, sources: RevisionSource[] = [source], account = "1", region = "r") =>
  revision(s, account, region, sources);

describe("a revision differs with", () => {
  it.each<[string, string]>([
    ["a version", of(spec, [{ ...source, version: 4 }])],
    ["a time of modification", of(spec, [{ ...source, modified: 2_000 }])],
    ["a selector", of(spec, [{ ...source, selector: ":3" }])],
    ["a source more", of(spec, [source, { ...source, name: "/b" }])],
    ["a source that is left out", of(spec, [{ name: "/a", selector: "", left: true }])],
    ["the account", of(spec, [source], "2")],
    ["the region", of(spec, [source], "1", "q")],
    ["a key", of({ data: [{ key: "B", parameter: { name: "/a" } }] })],
    ["a label", of({ ...spec, target: { labels: { a: "b" } } })],
    ["a ciphertext", of({ data: [{ key: "A", kms: { ciphertext: "AAAA" } }] })],
  ])("%s", (_, other) => {
    expect(other).not.toBe(of());
  });
});

describe("a revision does not differ with", () => {
  it.each<[string, string]>([
    ["the order of fields", of({ data: [{ parameter: { name: "/a" }, key: "A" }] })],
    ["a source that two entries use", of(spec, [source, source])],
    ["when the sources are looked at", of({ ...spec, refresh: { pollInterval: "1h", staleAfter: "2h" } })],
    ["the name of the target", of({ ...spec, target: { name: "other" } })],
    ["a suspension", of({ ...spec, suspend: true })],
    ["the connection's name", of({ ...spec, connectionRef: { kind: "AWSConnection", name: "x" } })],
  ])("%s", (_, other) => {
    expect(other).toBe(of());
  });
});

it("tells whether it was made from a spec, whatever its sources were", () => {
  expect(isOfSpec(of(spec, []), spec)).toBe(true);
  expect(isOfSpec(of(), { data: [] })).toBe(false);
  expect(isOfSpec(undefined, spec)).toBe(false);
});

it("is the same for the same set of sources in any order, and another for another set", () => {
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

it("the digest of keys does not depend on their order, and does on each of them", () => {
  expect(keysDigest(["b", "a"])).toBe(keysDigest(["a", "b"]));
  expect(keysDigest(["a"])).not.toBe(keysDigest(["a", "b"]));
});
