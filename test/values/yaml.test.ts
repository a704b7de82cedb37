import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { propertiesOfYaml } from "../../src/values/yaml.ts";
import { canary, inherited, outcome, refusal, within, yamlIndicators } from "./support.ts";

describe("a property of a YAML mapping", () => {
  test.each<[string, string, string | null]>([
    ["is a plain string", "some text", "some text"],
    ["is a quoted string", '"a\\tb"', "a\tb"],
    ["is a block scalar", "|\n  a\n  b\n", "a\nb\n"],
    ["is a number as written", "1.50", "1.50"],
    ["is a number with leading zeros as written", "007", "007"],
    ["is a long number with every digit", "12345678901234567890", "12345678901234567890"],
    ["is a hexadecimal number as written", "0x1F", "0x1F"],
    ["is a boolean", "True", "true"],
    ["is a word that was a boolean in YAML 1.1", "yes", "yes"],
    ["is a date as text", "2024-01-01", "2024-01-01"],
    ["is the value of an alias", "&a hello", "hello"],
    ["is a mapping as JSON", "{b: 1.50, a: [x, null]}", '{"b":1.50,"a":["x",null]}'],
    [
      "is a list whose numbers become JSON numbers",
      "[007, 0x1F, 0o17, +1, .5, 1., 1e3, -0]",
      "[7,31,15,1,0.5,1,1e3,-0]",
    ],
    ["has << as an ordinary key", "{<<: {a: 1}}", '{"<<":{"a":1}}'],
    ["has numbers and booleans as keys as written", "{007: a, true: b}", '{"007":"a","true":"b"}'],
    ["is null if it has no value", "", null],
  ])("%s", (_, yaml, text) => {
    expect(propertiesOfYaml(`key: ${yaml}`).get("key")).toBe(text);
  });

  test.each(inherited)("can have the name %s, at the top and nested", (name) => {
    expect([...propertiesOfYaml(`${name}: a\nb: {${name}: 1}`)]).toEqual([
      [name, "a"],
      ["b", `{"${name}":1}`],
    ]);
  });

  test("is resolved by the last anchor before the alias", () => {
    const text = "a: &x 1.0\nb: *x\nc: &x [2.0, &y k]\nd: *x\n*y : e\n";
    expect(Object.fromEntries(propertiesOfYaml(text))).toEqual({
      a: "1.0",
      b: "1.0",
      c: '[2.0,"k"]',
      d: '[2.0,"k"]',
      k: "e",
    });
  });
});

describe("refuses unusable YAML with its position and without quoting it", () => {
  test.each<[string, string, string]>([
    ["bad indentation", `a:\n  b: 1\n c: ${canary}`, "at line 3, column"],
    ["an unclosed quote", `a: "${canary}`, "MISSING_CHAR at line 1"],
    ["a duplicate key", "a: 1\nb: {c: 1, c: 1}", "a key that comes twice at line 2, column 11"],
    ["a duplicate key at the top", "a: 1\na: 1", "a key that comes twice at line 2, column 1"],
    ["two documents", "a: 1\n---\nb: 1", "MULTIPLE_DOCS at line 2"],
    ["a custom tag", `a: !secret ${canary}`, "TAG_RESOLVE_FAILED at line 1, column 4"],
    ["a tag of YAML 1.1", "a: !!binary aGk=", "TAG_RESOLVE_FAILED"],
    ["a tag with the wrong value", "a: !!int x", "at line 1"],
    ["YAML 1.1", "%YAML 1.1\n---\na: yes", "only YAML 1.2 is read"],
    ["an alias without its anchor", "a: *b", "an alias without its anchor at line 1, column 4"],
    ["an anchor inside itself", "a: &a [*a]", "nesting over 100 levels deep"],
    ["a mapping as a key", "? {a: 1}\n: 2", "nesting over 100 levels deep at line 1, column 3"],
    ["null as a key", "~: 2", "a key that is not text at line 1, column 1"],
    ["infinity", "a: -.inf", "a number that JSON cannot write, such as .inf, at line 1, column 4"],
    ["not a number", "a: [.NaN]", "a number that JSON cannot write"],
    ["a list at the top", "- a", "the YAML is not a mapping"],
    ["text at the top", canary, "the YAML is not a mapping"],
    ["an empty text", "", "the YAML is not a mapping"],
    [
      "an alias bomb",
      `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefghi"].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${"abcdefgh"[i]}`)}]`).join("\n")}`,
      "with its aliases it has over 100000 parts or 1 MiB",
    ],
    [
      "aliases of a long text",
      `a: &a ${"x".repeat(60_000)}\nb: [${Array(100).fill("*a")}]`,
      "with its aliases it has over 100000 parts or 1 MiB",
    ],
  ])("%s", (_, text, message) => {
    const told = within(300, () => refusal(() => propertiesOfYaml(text)));
    expect(told).toContain(message);
    expect(told).not.toContain(canary);
  });

  test("a text over 64 KiB", () => {
    expect(outcome(() => propertiesOfYaml(`a: ${"x".repeat(65_536)}`))).toHaveProperty("reason", "TooLarge");
  });

  test.each(["[", "{", "- ", "? ", "a: ", "{a: ", "&a ", "*a ", '"', "'", "%A\n", "---\n", "!", "|\n", "-\n "])(
    "64 KiB of %j, quickly and without a RangeError",
    (piece) => {
      within(1_000, () => outcome(() => propertiesOfYaml(piece.repeat(65_536 / piece.length))));
    },
  );
});

test("reads back any mapping of strings unchanged", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ unit: "grapheme", minLength: 1 }), fc.string({ unit: "grapheme" }), { minKeys: 1 }),
      (texts) => {
        expect(propertiesOfYaml(stringify(texts))).toEqual(new Map(Object.entries(texts)));
      },
    ),
  );
});

test("reads any text or refuses it without quoting it", () => {
  const pieces = fc.constantFrom(
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&x ",
    "*x",
    "!t ",
    ...yamlIndicators,
    canary,
    "\t",
    "1",
    "? ",
    "---\n",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      const result = outcome(() => propertiesOfYaml(parts.join("")));
      if (!(result instanceof Map)) expect(result.message).not.toContain(canary);
    }),
    { numRuns: 2_000 },
  );
});
