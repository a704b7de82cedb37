import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AssembleInput,
  assemble,
  type DataInput,
  type DocumentInput,
  type PathInput,
  type Problem,
  type SourceValue,
  sizeOf,
} from "../../src/values/assemble.ts";
import type { Format } from "../../src/values/many.ts";
import { canary, inherited } from "./support.ts";

const value = (text: string): SourceValue => ({ state: "value", bytes: Buffer.from(text) });
const missing: SourceValue = { state: "missing" };

const one = (key: string, source: SourceValue, more: Partial<DataInput> = {}): DataInput => ({
  key,
  entry: `data[0] (${key})`,
  source,
  ...more,
});

const path = (members: Record<string, string>, more: Partial<PathInput> = {}): PathInput => ({
  kind: "path",
  entry: "dataFrom[0]",
  path: "/shop",
  members: Object.entries(members).map(([name, text]) => ({ name, bytes: Buffer.from(text) })),
  ...more,
});

const document = (format: Format, text: string, more: Partial<DocumentInput> = {}): DocumentInput => ({
  kind: "document",
  entry: "dataFrom[1]",
  source: value(text),
  format,
  ...more,
});

const assembled = (input: Partial<AssembleInput>) => assemble({ data: [], dataFrom: [], ...input });

/** Returns the Secret's data as texts; fails if the assembly failed. */
function texts(input: Partial<AssembleInput>): Record<string, string> {
  const result = assembled(input);
  if (!result.ok) expect.fail(JSON.stringify(result.problems));
  return Object.fromEntries([...result.data].map(([key, bytes]) => [key, Buffer.from(bytes).toString()]));
}

/** Returns the problems; fails if there are none. */
function problems(input: Partial<AssembleInput>): Problem[] {
  const result = assembled(input);
  return result.ok ? expect.fail("nothing is wrong") : result.problems;
}

describe("a key of data", () => {
  test.each<[string, DataInput, Record<string, string>]>([
    ["is its source", one("A", value("text")), { A: "text" }],
    ["is left out if its source is missing", one("A", missing), {}],
    [
      "is left out if its source is missing, even with jmesPath and decode",
      one("A", missing, { jmesPath: "a", decode: "Base64" }),
      {},
    ],
    ["is empty if its source is empty", one("A", value("")), { A: "" }],
    ["is a property of its source", one("A", value('{"a": {"b": 1.50}}'), { jmesPath: "a.b" }), { A: "1.50" }],
    ["is decoded", one("A", value("aGk="), { decode: "Base64" }), { A: "hi" }],
    [
      "is a decoded property of its source",
      one("A", value('{"a": "aGk"}'), { jmesPath: "a", decode: "Base64URL" }),
      { A: "hi" },
    ],
    ["is its source unchanged with decode: None", one("A", value("aGk="), { decode: "None" }), { A: "aGk=" }],
  ])("%s", (_, entry, data) => {
    expect(texts({ data: [entry] })).toEqual(data);
  });

  test("keeps bytes that are not text", () => {
    const result = assembled({ data: [one("A", { state: "value", bytes: Uint8Array.of(0, 0xff) })] });
    expect(result).toEqual({ ok: true, data: new Map([["A", Uint8Array.of(0, 0xff)]]) });
  });

  test.each<[string, DataInput, string]>([
    [
      "a jmesPath that finds nothing",
      one("A", value("{}"), { jmesPath: "a.b" }),
      "data[0] (A): jmesPath a.b finds nothing, or null",
    ],
    [
      "a jmesPath that finds null",
      one("A", value('{"a": null}'), { jmesPath: "a" }),
      "data[0] (A): jmesPath a finds nothing, or null",
    ],
    [
      "a jmesPath on text that is not JSON",
      one("A", value(canary), { jmesPath: "a" }),
      "data[0] (A): not JSON: an error at line 1, column 1",
    ],
    [
      "a jmesPath that finds a lone surrogate",
      one("A", value('"\\ud800"'), { jmesPath: "@" }),
      "data[0] (A): it has a lone surrogate in it",
    ],
    [
      "a value that is not Base64",
      one("A", value(canary), { decode: "Base64" }),
      "data[0] (A): the value is not Base64",
    ],
    [
      "a key that is invalid in a Secret",
      one("..", value("a")),
      "data[0] (..): its key is not one that a Secret can have",
    ],
  ])("is refused: %s", (_, entry, message) => {
    expect(problems({ data: [entry] })).toEqual([{ reason: "InvalidData", message: expect.stringContaining(message) }]);
  });
});

describe("an entry of dataFrom makes keys from", () => {
  test.each<[string, PathInput | DocumentInput, Record<string, string>]>([
    ["a path's parameters", path({ "/shop/db": "1", "/shop/a/b": "2" }), { db: "1", a_b: "2" }],
    [
      "a path's parameters, with renamed keys",
      path({ "/shop/db": "1" }, { rename: { stripPrefix: "/", case: "Upper" } }),
      { SHOP_DB: "1" },
    ],
    ["a JSON object", document("JSON", '{"a": 1.0, "b": {"c": []}}'), { a: "1.0", b: '{"c":[]}' }],
    ["a YAML mapping", document("YAML", "a: 1.0\nb: {c: []}"), { a: "1.0", b: '{"c":[]}' }],
    ["dotenv lines", document("Dotenv", "A=1\nB='2'"), { A: "1", B: "2" }],
    ["a StringList", document("StringList", "A=1,B=2"), { A: "1", B: "2" }],
    [
      "a document with renamed keys",
      document("JSON", '{"app/a": "1"}', { rename: { stripPrefix: "app/" } }),
      { a: "1" },
    ],
    ["text with a byte order mark", document("JSON", '\ufeff{"a": "1"}'), { a: "1" }],
    ["a path without parameters, with allowEmpty", path({}, { allowEmpty: true }), {}],
    ["an empty document, with allowEmpty", document("JSON", "{}", { allowEmpty: true }), {}],
    ["a missing optional document", document("JSON", "", { source: missing }), {}],
  ])("%s", (_, entry, data) => {
    expect(texts({ dataFrom: [entry] })).toEqual(data);
  });

  test.each<[string, PathInput | DocumentInput, Problem["reason"], string]>([
    [
      "a path without parameters",
      path({}),
      "EmptyResult",
      "dataFrom[0]: no parameter is taken from /shop; set allowEmpty: true",
    ],
    [
      "a document without properties",
      document("JSON", "{}"),
      "EmptyResult",
      "dataFrom[1]: the JSON has no property; set allowEmpty: true",
    ],
    ["dotenv without lines", document("Dotenv", "# a\n"), "EmptyResult", "dataFrom[1]: the Dotenv has no property"],
    [
      "a StringList without items",
      document("StringList", ""),
      "EmptyResult",
      "dataFrom[1]: the StringList has no property",
    ],
    ["invalid JSON", document("JSON", canary), "InvalidData", "dataFrom[1]: not JSON: an error at line 1, column 1"],
    [
      "invalid YAML",
      document("YAML", `a: "${canary}`),
      "InvalidData",
      "dataFrom[1]: not YAML that can be used: MISSING_CHAR at line 1",
    ],
    ["invalid dotenv", document("Dotenv", canary), "InvalidData", "dataFrom[1]: line 1 is not of the form"],
    ["an invalid StringList", document("StringList", canary), "InvalidData", "dataFrom[1]: item 1 of the list"],
    [
      "bytes that are not text",
      document("JSON", "", { source: { state: "value", bytes: Uint8Array.of(0xff) } }),
      "InvalidData",
      "dataFrom[1]: the value is not text",
    ],
    [
      "a JSON null",
      document("JSON", '{"a": 1, "b": null}'),
      "InvalidData",
      "dataFrom[1]: property 2 of the JSON: it is null",
    ],
    ["a YAML null", document("YAML", "a:"), "InvalidData", "dataFrom[1]: property 1 of the YAML: it is null"],
    [
      "a lone surrogate",
      document("JSON", '{"a": "\\udc00"}'),
      "InvalidData",
      "dataFrom[1]: property 1 of the JSON: it has a lone surrogate",
    ],
    [
      "a name that is not a valid key",
      document("JSON", `{"${canary}": 1}`),
      "InvalidData",
      "dataFrom[1]: property 1 of the JSON: it does not come to a Secret's key",
    ],
    [
      "an invalid rename rule",
      path({ "/shop/a": "" }, { rename: { rewrite: [{ pattern: "(", replacement: "" }] } }),
      "InvalidData",
      "dataFrom[0]: rename.rewrite[0].pattern is not",
    ],
    [
      "a document over 1 MiB",
      document("JSON", "x".repeat(1_048_577)),
      "TooLarge",
      "dataFrom[1]: the value has 1048577 bytes",
    ],
  ])("not from %s", (_, entry, reason, message) => {
    const found = problems({ dataFrom: [entry] });
    expect(found).toEqual([{ reason, message: expect.stringContaining(message) }]);
    expect(found[0]?.message).not.toContain(canary);
  });
});

describe("equal keys", () => {
  test("are a conflict within a path, naming both parameters", () => {
    expect(problems({ dataFrom: [path({ "/shop/a/b": "1", "/shop/a_b": "2" }, { onConflict: "Override" })] })).toEqual([
      {
        reason: "KeyConflict",
        message:
          "dataFrom[0]: parameter /shop/a_b: it comes to the key a_b, as parameter /shop/a/b does; change one of them with rename",
      },
    ]);
  });

  test("are a conflict within a document", () => {
    expect(problems({ dataFrom: [document("JSON", '{"a/b": 1, "a_b": 2}')] })).toEqual([
      {
        reason: "KeyConflict",
        message: expect.stringContaining(
          "property 2 of the JSON: it comes to the key a_b, as property 1 of the JSON does",
        ),
      },
    ]);
  });

  test("are a conflict between entries, naming both", () => {
    expect(problems({ dataFrom: [path({ "/shop/a": "1" }), document("JSON", '{"a": 2}')] })).toEqual([
      {
        reason: "KeyConflict",
        message:
          "dataFrom[1]: property 1 of the JSON comes to the key a, which dataFrom[0] has made already; " +
          "set onConflict: Override, or change one of them with rename",
      },
    ]);
  });

  test("take the later entry's value if that entry sets Override", () => {
    expect(
      texts({
        dataFrom: [path({ "/shop/a": "1", "/shop/b": "1" }), document("JSON", '{"a": 2}', { onConflict: "Override" })],
      }),
    ).toEqual({
      a: "2",
      b: "1",
    });
  });

  test("are a conflict if only the earlier entry sets Override", () => {
    expect(
      problems({ dataFrom: [path({ "/shop/a": "1" }, { onConflict: "Override" }), document("JSON", '{"a": 2}')] }),
    ).toHaveLength(1);
  });

  test("take the value of data over dataFrom", () => {
    expect(texts({ dataFrom: [path({ "/shop/a": "1" })], data: [one("a", value("2"))] })).toEqual({ a: "2" });
  });

  test("take the value of dataFrom if the optional source of data is missing", () => {
    expect(texts({ dataFrom: [path({ "/shop/a": "1" })], data: [one("a", missing)] })).toEqual({ a: "1" });
  });

  test("are a conflict within data", () => {
    expect(problems({ data: [one("a", value("1")), one("a", value("2"), { entry: "data[1] (a)" })] })).toEqual([
      { reason: "KeyConflict", message: "data[1] (a): an earlier entry of data has the same key" },
    ]);
  });
});

test("reports all problems, dataFrom before data, in the order of the entries", () => {
  const input = {
    dataFrom: [
      path({ "/shop/..a": "1", "/shop/b": "1", "/shop/é": "1" }),
      document("JSON", '{"x y": 1, "z": null, "ok": 1}'),
      document("YAML", "- a", { entry: "dataFrom[2]" }),
    ],
    data: [
      one("A", value("x"), { decode: "Base64" as const }),
      one("B", value("x")),
      one("C", value("x"), { jmesPath: "a" }),
    ],
  };
  expect(problems(input).map(({ message }) => message.split(": ").slice(0, 2).join(": "))).toEqual([
    "dataFrom[0]: parameter /shop/..a",
    "dataFrom[0]: parameter /shop/é",
    "dataFrom[1]: property 1 of the JSON",
    "dataFrom[1]: property 2 of the JSON",
    "dataFrom[2]: the YAML is not a mapping, whose properties could be keys",
    "data[0] (A): the value is not Base64",
    "data[0] (C): not JSON",
  ]);
  expect(problems(input)).toEqual(problems(input));
});

test("lists ten problems of one entry and counts the rest", () => {
  const members = Object.fromEntries(Array.from({ length: 25 }, (_, index) => [`/shop/é${index}`, ""]));
  const found = problems({ dataFrom: [path(members), document("JSON", "[]")] });
  expect(found.map(({ message }) => message)).toEqual([
    ...Array.from({ length: 10 }, (_, index) => expect.stringContaining(`parameter /shop/é${index}:`)),
    "dataFrom[0]: 15 more like these",
    expect.stringContaining("dataFrom[1]:"),
  ]);
});

describe("templates", () => {
  test("are rendered over the keys of data and dataFrom", () => {
    const template = { data: { url: "{{ a }}:{{ B }}" } };
    expect(texts({ dataFrom: [path({ "/shop/a": "1" })], data: [one("B", value("2"))], template })).toEqual({
      url: "1:2",
    });
  });

  test("are not rendered while a source has a problem", () => {
    const template = { data: { url: "{{ NOPE }}" } };
    expect(problems({ data: [one("A", value("x"), { jmesPath: "a" })], template })).toEqual([
      { reason: "InvalidData", message: expect.stringMatching(/^data\[0\] \(A\): not JSON/) },
    ]);
  });

  test("are refused if they name a missing key", () => {
    expect(problems({ data: [one("A", missing)], template: { data: { url: "{{ A }}" } } })).toEqual([
      {
        reason: "InvalidData",
        message: expect.stringContaining("target.template.data (url): it names A, which is not a key"),
      },
    ]);
  });
});

describe("the size", () => {
  test("counts the values, as the API server does", () => {
    expect(sizeOf(new Map([["key", Buffer.from("é")]]))).toBe(2);
  });

  test("is at most 1 MiB in total", () => {
    const half = { state: "value" as const, bytes: new Uint8Array(524_288) };
    expect(assembled({ data: [one("A", half), one("B", half)] }).ok).toBe(true);
    expect(problems({ data: [one("A", half), one("B", half), one("C", value("x"))] })).toEqual([
      {
        reason: "TooLarge",
        message:
          "the Secret's data has 1048577 bytes, and a Secret can have at most 1048576; split it into more Secrets",
      },
    ]);
  });

  test("is checked after templates are rendered", () => {
    const big = { state: "value" as const, bytes: Buffer.alloc(600_000, "a") };
    const data = [one("A", big), one("B", big)];
    expect(assembled({ data, template: { data: { c: "{{ A | size }}" } } }).ok).toBe(true);
    expect(problems({ data, template: { data: { c: "x" }, includeSourceKeys: true } })).toHaveLength(1);
  });
});

test.each(inherited)("accepts %s as an ordinary key from every kind of source", (name) => {
  const json = `{"${name}": "1"}`;
  for (const [format, text] of [
    ["JSON", json],
    ["YAML", `${name}: "1"`],
    ["Dotenv", `${name}=1`],
    ["StringList", `${name}=1`],
  ] as const) {
    const result = assembled({ dataFrom: [document(format, text)] });
    expect(result.ok && [...result.data.keys()]).toEqual([name]);
  }
  const result = assembled({
    dataFrom: [path({ [`/shop/${name}`]: "1" })],
    data: [one("a", value(json), { jmesPath: name })],
    template: { data: JSON.parse(`{"${name}": "{{ ${name} }}", "b": "{{ data.a }}"}`) },
  });
  expect(result.ok && [...result.data].map(([key, bytes]) => [key, Buffer.from(bytes).toString()])).toEqual([
    [name, "1"],
    ["b", "1"],
  ]);
});

describe("for any input", () => {
  const piece = fc.constantFrom(
    canary,
    `"${canary}"`,
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"a"',
    "a",
    "=",
    "\n",
    "- ",
    "&x ",
    "*x",
    "#",
    "'",
    "1.0",
    "null",
    "\\",
    "é",
    "\ufeff",
  );
  const text = fc.array(piece, { maxLength: 12 }).map((parts) => parts.join(""));
  const wellFormed = fc.oneof(
    fc.json(),
    fc.dictionary(fc.string(), fc.constant(canary)).map((object) => JSON.stringify(object)),
  );
  const bytes = fc.oneof(
    text.map((each) => new TextEncoder().encode(each)),
    wellFormed.map((each) => new TextEncoder().encode(each)),
    fc.uint8Array({ maxLength: 20 }),
  );
  const source: fc.Arbitrary<SourceValue> = fc.oneof(
    { weight: 9, arbitrary: bytes.map((each): SourceValue => ({ state: "value", bytes: each })) },
    { weight: 1, arbitrary: fc.constant(missing) },
  );
  const key = fc.constantFrom("A", "a", "b", "tls.key", "__proto__", "..");
  const pattern = fc.constantFrom("a", "(", "^(a+)+$", ".", "[^a]", "(.)(.)");
  const keys = fc.record(
    {
      stripPrefix: fc.constantFrom("a", "/", "/shop"),
      separator: fc.constantFrom("", "_", "/", "$1"),
      case: fc.constantFrom("Upper" as const, "Lower" as const),
      rewrite: fc.array(fc.record({ pattern, replacement: fc.constantFrom("", "x", "$1", "$2", "$") }), {
        maxLength: 2,
      }),
    },
    { requiredKeys: [] },
  );
  const shared = {
    rename: keys,
    onConflict: fc.constantFrom("Fail" as const, "Override" as const),
    allowEmpty: fc.boolean(),
  };
  const data = fc.record(
    {
      key,
      entry: fc.constant("data[0]"),
      source,
      jmesPath: fc.constantFrom("a", "@", "a.b", "[0]", "*", "(", "to_string(@)", "sum(@)"),
      decode: fc.constantFrom("None" as const, "Base64" as const, "Base64URL" as const),
    },
    { requiredKeys: ["key", "entry", "source"] },
  );
  const fromDocument = fc.record(
    {
      kind: fc.constant("document" as const),
      entry: fc.constant("dataFrom[0]"),
      source,
      format: fc.constantFrom("JSON" as const, "YAML" as const, "Dotenv" as const, "StringList" as const),
      ...shared,
    },
    { requiredKeys: ["kind", "entry", "source", "format"] },
  );
  const fromPath = fc.record(
    {
      kind: fc.constant("path" as const),
      entry: fc.constant("dataFrom[1]"),
      path: fc.constantFrom("/shop", "/shop/", "/"),
      members: fc.array(
        fc.record({ name: fc.constantFrom("/shop/a", "/shop/b", "/shop/a/b", "/shop/__proto__", "/shop/.."), bytes }),
        { maxLength: 4 },
      ),
      ...shared,
    },
    { requiredKeys: ["kind", "entry", "path", "members"] },
  );
  const template = fc.record({
    data: fc.dictionary(
      key,
      fc.constantFrom(
        "{{ A }}",
        "{{ data[a] }}",
        "{% if b %}{{ a | json }}{% endif %}",
        "{{",
        "{{ a | base64_decode }}",
        "x",
      ),
    ),
    includeSourceKeys: fc.boolean(),
  });
  const input = fc.record(
    {
      data: fc.array(data, { maxLength: 3 }),
      dataFrom: fc.array(fc.oneof(fromDocument, fromPath), { maxLength: 3 }),
      template,
    },
    { requiredKeys: ["data", "dataFrom"] },
  );

  test("assembly gives a whole Secret or problems without values, and is deterministic", () => {
    fc.assert(
      fc.property(input, (each) => {
        const result = assemble(each);
        if (result.ok) {
          for (const name of result.data.keys()) expect(name).toMatch(/^(?!\.$|\.\.)[-._a-zA-Z0-9]{1,253}$/);
        } else {
          expect(result.problems.length).toBeGreaterThan(0);
          for (const { message } of result.problems) {
            expect(message).not.toContain(canary);
            expect(message).toMatch(/^(data|dataFrom)\[\d\]: |^target\.template\.data \(/);
          }
        }
        expect(assemble(each)).toEqual(result);
      }),
      { numRuns: 5_000 },
    );
  });

  test("assembly does not change the sources", () => {
    fc.assert(
      fc.property(input, (each) => {
        const before = structuredClone(each);
        assemble(each);
        expect(each).toEqual(before);
      }),
      { numRuns: 500 },
    );
  });
});

describe("registry credentials", () => {
  const credentials = (text: string, type = "kubernetes.io/dockerconfigjson", key = ".dockerconfigjson") =>
    assemble({
      type,
      data: [{ key, entry: `data[0] (${key})`, source: { state: "value", bytes: Buffer.from(text) } }],
      dataFrom: [],
    });

  test.each(["s3cret", "[]", '"text"', '{"auths": '])(
    "that are not a JSON object are refused before they are written: %s",
    (text) => {
      const assembled = credentials(text);
      expect(assembled).toMatchObject({
        ok: false,
        problems: [
          { reason: "InvalidData", message: expect.stringContaining("needs registry credentials as JSON in it") },
        ],
      });
      expect(JSON.stringify(assembled)).not.toContain("s3cret");
    },
  );

  test("are accepted as JSON, and any text is accepted for another type", () => {
    expect(credentials('{"auths": {}}')).toHaveProperty("ok", true);
    expect(credentials("{}", "kubernetes.io/dockercfg", ".dockercfg")).toHaveProperty("ok", true);
    expect(credentials("text", "Opaque")).toHaveProperty("ok", true);
  });
});

describe("a property that is null", () => {
  const nulls = (nullValues?: "Fail" | "Omit" | "Empty", format: "JSON" | "YAML" = "JSON") =>
    assemble({
      data: [],
      dataFrom: [
        {
          kind: "document",
          entry: "dataFrom[0]",
          format,
          source: { state: "value", bytes: Buffer.from('{"host": "db", "dbname": null}') },
          ...(nullValues ? { nullValues } : {}),
        },
      ],
    });

  test.each(["JSON", "YAML"] as const)("of %s fails, is left out or is empty, as nullValues sets", (format) => {
    const told = `dataFrom[0]: property 2 of the ${format}: it is null: set nullValues to Omit, or to Empty`;
    expect(nulls(undefined, format)).toMatchObject({
      ok: false,
      problems: [{ message: expect.stringContaining(told) }],
    });
    expect(nulls("Fail", format)).toEqual(nulls(undefined, format));
    expect(nulls("Omit", format)).toEqual({ ok: true, data: new Map([["host", Buffer.from("db")]]) });
    const empty = new Map([
      ["host", Buffer.from("db")],
      ["dbname", Buffer.from("")],
    ]);
    expect(nulls("Empty", format)).toEqual({ ok: true, data: empty });
  });
});

test.each([
  [{ optional: true }, {}],
  [{ fallback: "none" }, { K: "none" }],
])("applies the entry's optional or fallback if jmesPath finds nothing: %j", (word, made) => {
  for (const json of ["{}", '{"a": null}']) {
    const source = { state: "value", bytes: Buffer.from(json) } as const;
    const assembled = assemble({
      data: [{ key: "K", entry: "data[0] (K)", source, jmesPath: "a", ...word }],
      dataFrom: [],
    });
    const texts =
      assembled.ok && Object.fromEntries([...assembled.data].map(([key, each]) => [key, Buffer.from(each).toString()]));
    expect(texts).toEqual(made);
  }
});
