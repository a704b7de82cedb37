import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { readManifests } from "../../src/cli/reencrypt-manifest.ts";

const arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const manifest = `# The shop's own.
apiVersion: keyferry.io/v1alpha1
kind: SyncedSecret
metadata: {name: checkout,   namespace: shop}
spec:
  data:
  # first
  - key: PW   # the password
    kms: {bound: false, ciphertext: "AQIC", keyId: 'alias/shop'} # here
  - key: TOKEN
    kms:
      ciphertext: >-
        AQID
      bound: false  # until moved
      encryptionContext:
        team: shop
  - key: RSA
    kms:
      bound: false
      ciphertext: AAAA
      algorithm: RSAES_OAEP_SHA_256
  - key: X
    parameter:
      name: /a
  dataFrom:
    - encryptionSDK: {ciphertext: AgV4}
      format: JSON
---
# second
kind: ConfigMap
apiVersion: v1
data: {a:   b}
`;

function entriesOf(text: string, namespace = "default") {
  const read = readManifests(text, namespace);
  if ("problem" in read) throw new Error(read.problem);
  return read;
}

describe("manifests", () => {
  test("list every ciphertext with its key, context and owner", () => {
    const { entries, text } = entriesOf(manifest);
    const owner = { namespace: "shop", name: "checkout" };
    expect(
      entries.map(({ replace: _, place: __, ...entry }) => ({ ...entry, context: Object.fromEntries(entry.context) })),
    ).toEqual([
      {
        label: "checkout dataFrom[0]",
        owner,
        kind: "message",
        ciphertext: "AgV4",
        algorithm: "SYMMETRIC_DEFAULT",
        context: {},
        isUnbound: false,
      },
      {
        label: "checkout data[0] (PW)",
        owner,
        kind: "blob",
        ciphertext: "AQIC",
        keyId: "alias/shop",
        algorithm: "SYMMETRIC_DEFAULT",
        context: {},
        isUnbound: true,
      },
      {
        label: "checkout data[1] (TOKEN)",
        owner,
        kind: "blob",
        ciphertext: "AQID",
        algorithm: "SYMMETRIC_DEFAULT",
        context: { team: "shop" },
        isUnbound: true,
      },
      {
        label: "checkout data[2] (RSA)",
        owner,
        kind: "blob",
        ciphertext: "AAAA",
        algorithm: "RSAES_OAEP_SHA_256",
        context: {},
        isUnbound: true,
      },
    ]);
    expect(text()).toBe(manifest);
  });

  test("keep every character except replacements", () => {
    const { entries, text, problems } = entriesOf(manifest);
    const named = (key: string) => entries.find(({ label }) => label.includes(key))!;
    named("PW").replace("NEW1", arn, true);
    named("TOKEN").replace("NEW2+/==", arn, false);
    named("RSA").replace("NEW3", arn, true);
    const expected = manifest
      .replace(`{bound: false, ciphertext: "AQIC", keyId: 'alias/shop'}`, `{ciphertext: "NEW1", keyId: '${arn}'}`)
      .replace(">-\n        AQID\n", "NEW2+/==\n")
      .replace("      bound: false\n      ciphertext: AAAA\n", "      ciphertext: NEW3\n");
    expect(text()).toBe(expected);
    expect(problems()).toEqual([]);
    const again = entriesOf(text());
    expect(again.entries.map(({ ciphertext }) => ciphertext)).toEqual(["AgV4", "NEW1", "NEW2+/==", "NEW3"]);
    expect(again.entries.map(({ isUnbound }) => isUnbound)).toEqual([false, false, true, false]);
  });

  test("may be in a List, and in a default namespace", () => {
    const item = {
      apiVersion: "keyferry.io/v1alpha1",
      kind: "SyncedSecret",
      metadata: { name: "a" },
      spec: { data: [{ key: "K", kms: { ciphertext: "AQIC" } }] },
    };
    const { entries } = entriesOf(
      stringify({ apiVersion: "v1", kind: "List", items: [item, structuredClone(item)] }),
      "shop",
    );
    expect(entries.map(({ owner }) => owner)).toEqual(Array(2).fill({ namespace: "shop", name: "a" }));
  });

  test("of another kind or group have no ciphertexts", () => {
    expect(entriesOf(manifest.replace("kind: SyncedSecret", "kind: Other")).entries).toEqual([]);
    expect(entriesOf(manifest.replace("keyferry.io/", "example.com/")).entries).toEqual([]);
    expect(entriesOf("").entries).toEqual([]);
    expect(entriesOf("just: text\n").entries).toEqual([]);
  });

  test("that are not YAML are reported by line, without their text", () => {
    expect(readManifests("a: b\nhunter2: [\n", "x")).toEqual({
      problem: expect.stringMatching(/^is not valid YAML: line [23]$/),
    });
  });

  test("are unchanged without replacements, whatever they are", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = stringify(value);
        const read = readManifests(text, "x");
        if (!("problem" in read)) expect(read.text()).toBe(text);
      }),
    );
  });
});
