import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { readManifests } from "../../src/cli/reencrypt-manifest.ts";

/** A blob in the format of KMS under a symmetric key. */
const blobOf = (name: string) =>
  Buffer.concat([Buffer.from("0102020078", "hex"), Buffer.alloc(140, name)]).toString("base64");
const old = blobOf("old");
const arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const head = "apiVersion: keyferry.io/v1alpha1\nkind: SyncedSecret\nmetadata: {name: a, namespace: shop}\n";

function read(text: string) {
  const found = readManifests(text, "");
  if ("problem" in found) throw new Error(found.problem);
  return found;
}

/** Moves every entry, entries with a shared ciphertext to one new one. Returns the text and its objects. */
function moved(text: string) {
  const { entries, others, problems, text: after } = read(text);
  const made = new Map(entries.map(({ place }, index) => [place, blobOf(`new${index}`)]));
  for (const { place, replace } of entries) replace(made.get(place)!, arn, false);
  const objects = parseAllDocuments(after(), { merge: true }).map((document) => document.toJS());
  return { entries, others, problems: problems(), text: after(), objects };
}

describe("a blob is moved in place", () => {
  it.each<[string, string]>([
    ["behind an alias", `x-blob: &c ${old}\n${head}spec: {data: [{key: A, kms: {ciphertext: *c}}]}\n`],
    ["behind an alias for the whole source", `x: &k {ciphertext: ${old}}\n${head}spec: {data: [{key: A, kms: *k}]}\n`],
    [
      "merged in",
      `x: &b {ciphertext: ${old}, bound: false}\n${head}spec: {data: [{key: A, kms: {<<: *b, keyId: k}}]}\n`,
    ],
    ["merged from a list", `x: &b {ciphertext: ${old}}\n${head}spec: {data: [{key: A, kms: {<<: [*b]}}]}\n`],
    ["merged in with the spec", `x: &s {data: [{key: A, kms: {ciphertext: ${old}}}]}\n${head}spec: {<<: *s}\n`],
    [
      "in a List",
      `apiVersion: v1\nkind: List\nitems:\n- ${head.replaceAll("\n", "\n  ")}spec: {data: [{key: A, kms: {ciphertext: ${old}}}]}\n`,
    ],
    [
      "in an object that contains others",
      `kind: Object\nspec:\n  manifest:\n    ${head.replaceAll("\n", "\n    ")}spec: {data: [{key: A, kms: {ciphertext: ${old}}}]}\n`,
    ],
    ["in a second document", `kind: Other\n---\n${head}spec: {data: [{key: A, kms: {ciphertext: ${old}}}]}\n`],
    ["folded", `${head}spec:\n  data:\n  - key: A\n    kms:\n      ciphertext: >-\n        ${old}\n      keyId: k\n`],
    ["as a block", `${head}spec:\n  data:\n  - key: A\n    kms:\n      ciphertext: |-\n        ${old}`],
    ["in double quotes", `${head}spec: {data: [{key: A, kms: {ciphertext: "${old}"}}]}\n`],
    ["in single quotes", `${head}spec: {data: [{key: A, kms: {ciphertext: '${old}'}}]}\n`],
    ["with a tag", `${head}spec: {data: [{key: A, kms: {ciphertext: !!str ${old}}}]}\n`],
  ])("%s", (_, text) => {
    for (const variant of [text, text.replaceAll("\n", "\r\n")]) {
      const { text: after, problems, others } = moved(variant);
      expect([others, problems]).toEqual([[], []]);
      expect(after).not.toContain(old);
      expect(after).toContain(blobOf("new0"));
      expect(after.replace(/\r\n/g, "")).not.toMatch(variant === text ? /\r/ : /\n/);
    }
  });

  it("in JSON, which stays JSON, with its indentation", () => {
    const object = {
      apiVersion: "keyferry.io/v1alpha1",
      kind: "SyncedSecret",
      metadata: { name: "a" },
      spec: { data: [{ key: "A", kms: { bound: false, ciphertext: old, keyId: "alias/a" } }] },
    };
    for (const indent of [undefined, 2, "\t"]) {
      const before = JSON.stringify({ kind: "List", apiVersion: "v1", items: [object] }, undefined, indent);
      const { entries, text, problems } = read(before);
      entries[0]!.replace(blobOf("new"), arn, true);
      const after = structuredClone(object);
      after.spec.data[0]!.kms = { ciphertext: blobOf("new"), keyId: arn } as never;
      const wanted = JSON.stringify({ kind: "List", apiVersion: "v1", items: [after] }, undefined, indent);
      expect([text(), problems()]).toEqual([wanted, []]);
    }
  });

  it("once for all entries that share it", () => {
    const { entries, objects, problems } = moved(
      `${head}spec: {data: [{key: A, kms: &k {ciphertext: ${old}, keyId: k}}, {key: B, kms: *k}]}\n`,
    );
    expect(entries[0]!.place).toBe(entries[1]!.place);
    expect(problems).toEqual([]);
    const kms = { ciphertext: blobOf("new1"), keyId: arn };
    expect(objects[0].spec.data).toEqual([
      { key: "A", kms },
      { key: "B", kms },
    ]);
  });
});

describe("reports whatever would leave a blob behind", () => {
  const entry = `${head}spec: {data: [{key: A, kms: {ciphertext: ${blobOf("other")}}}]}\n`;
  it.each<[string, string, RegExp]>([
    ["a later API version", entry.replace("SyncedSecret", "SyncedThing"), /line 4: this ciphertext is not in an entry/],
    ["another group", entry.replace("keyferry.io", "example.com"), /line 4: this ciphertext is not in an entry/],
    [
      "another place in a SyncedSecret",
      entry.replace("{data:", "{more:"),
      /line 4: this ciphertext is not in an entry/,
    ],
    ["a number", entry.replace(blobOf("other"), "1234"), /A\): it has no ciphertext that is a text/],
    ["bytes", entry.replace(blobOf("other"), `!!binary ${old}`), /A\): it has no ciphertext that is a text/],
    ["a source without its ciphertext", `${head}spec: {data: [{key: A, kms: {keyId: k}}]}\n`, /it has no ciphertext/],
    [
      "the annotation of kubectl apply",
      entry.replace("name: a", `name: a, annotations: {l: '{"kms":{"ciphertext":"${old}"}}'}`),
      /line 3: l holds a manifest with a ciphertext/,
    ],
    [
      "a patch within a kustomization",
      `kind: Kustomization\npatches:\n- patch: |-\n    ${entry.replaceAll("\n", "\n    ")}`,
      /line 3: patch holds a manifest with a ciphertext/,
    ],
    [
      "a JSON patch",
      `- op: replace\n  path: /spec/data/0/kms/ciphertext\n  value: ${old}\n`,
      /line 2: this patch sets a ciphertext/,
    ],
    ["a template", `${entry}x: {{ .Values.x }}\n`, /line 5: this is a template/],
    [
      "a template instead of a blob",
      `${head}spec: {data: [{key: A, kms: {ciphertext: {{ .Values.a }}}}]}\n`,
      /A\): it has no ciphertext that is a text/,
    ],
  ])("%s", (_, text, says) => {
    const { others } = read(text);
    expect(others.join("\n")).toMatch(says);
  });

  it.each<[string, string]>([
    ["in a comment", `# was ${old}\n`],
    ["under another name", `blob: ${old}\n`],
    ["in base64 of base64", `data: {blob: ${Buffer.from(old).toString("base64")}}\n`],
  ])("a second copy %s", (_, more) => {
    const { problems, others } = moved(`${head}spec: {data: [{key: A, kms: {ciphertext: ${old}}}]}\n---\n${more}`);
    expect([others, problems]).toEqual([[], ["line 6 holds a blob that is not in an entry of a SyncedSecret"]]);
  });

  it("an entry that keeps its key, whose name another entry shares by an anchor", () => {
    const text = `${head}spec: {data: [{key: A, kms: {ciphertext: ${old}, keyId: &k one}}, {key: B, kms: {algorithm: RSAES_OAEP_SHA_256, ciphertext: AAAA, keyId: *k}}]}\n`;
    const { entries, problems } = read(text);
    entries[0]!.replace(blobOf("new"), arn, false);
    expect(problems()).toEqual([expect.stringMatching(/^a data\[1\] \(B\): it could not be changed/)]);
  });

  it("a template that is not YAML, by line and with what to do", () => {
    for (const text of [`{{- if .x }}\n${entry}{{- end }}\n`, `${head}{{- if .x }}\nspec: {}\n{{- end }}\n`]) {
      expect(readManifests(text, "")).toEqual({
        problem: expect.stringMatching(/^is not valid YAML: line \d; where it is a template .*render it first/),
      });
    }
  });

  it("a duplicate key", () => {
    const text = entry.replace("ciphertext:", `ciphertext: ${old}, ciphertext:`);
    expect(readManifests(text, "")).toEqual({ problem: "is not valid YAML: line 4" });
  });

  it("but not a Secret's template, the blobs within a message, or a CRD's schema", () => {
    const edk = Buffer.concat([Buffer.from("0178aa", "hex"), Buffer.from(old, "base64")]).toString("base64");
    expect(edk).toContain("AQICAH");
    const text = `${head}spec:
  target: {template: {data: {url: "{{ user }}", ciphertext.txt: "x"}}}
  data:
  - {key: M, encryptionSDK: {ciphertext: ${edk}}}
---
kind: CustomResourceDefinition
spec: {properties: {ciphertext: {type: string}}}
`;
    const { others, problems } = read(text);
    expect([others, problems()]).toEqual([[], []]);
  });
});
