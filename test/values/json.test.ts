import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseJson, propertiesOf, textOfJson } from "../../src/values/json.ts";
import { canary, inherited, outcome, refusal, within } from "./support.ts";

const read = (text: string) => propertiesOf(parseJson(text));

describe("a property of a JSON object", () => {
  test.each<[string, string, string | null]>([
    ["is a string unchanged", '"a\\nb\\u00e9"', "a\nbé"],
    ["is an empty string", '""', ""],
    ["is a number with every digit", "12345678901234567890.1200", "12345678901234567890.1200"],
    ["is a number as written", "-1.50E+400", "-1.50E+400"],
    ["is a boolean", "false", "false"],
    ["is an object as compact JSON, keys in order", '{ "b" : 1.0 , "a" : [ null, {} ] }', '{"b":1.0,"a":[null,{}]}'],
    ["is null for null", "null", null],
  ])("%s", (_, json, text) => {
    expect(read(`{"key": ${json}}`).get("key")).toBe(text);
  });

  test.each(inherited)("can have the name %s, at the top and nested", (name) => {
    expect([...read(`{"${name}": "a", "b": {"${name}": 1}}`)]).toEqual([
      [name, "a"],
      ["b", `{"${name}":1}`],
    ]);
  });
});

describe("refuses unusable JSON with its position and without quoting it", () => {
  test.each<[string, string, string]>([
    ["an unclosed string", '{"a":\n "', "not JSON: an error at line 2, column 3"],
    ["a bare word", `{"a": ${canary}}`, "not JSON: an error at line 1, column 7"],
    ["an incomplete number", '{"a": 1.}', "not JSON: an error at line 1, column 9"],
    ["a bad escape", '{"a": "\\x"}', "not JSON: an error at line 1, column 8"],
    ["a trailing comma", '{"a": 1,}', "not JSON: an error at line 1, column 9"],
    ["text after the end", "{} x", "not JSON: an error at line 1, column 4"],
    ["an empty text", "", "not JSON: an error at line 1, column 1"],
    ["a duplicate key", '{"a": 1, "b": {"a": 2},\n"a": 3}', "a key that came before comes again at line 2, column 1"],
    ["a duplicate key with the same value", '{"a": 1, "a": 1}', "comes again at line 1, column 10"],
    ["a duplicate key, once escaped", '{"a": 1, "\\u0061": 1}', "comes again at line 1, column 10"],
    ["an array at the top", "[1]", "the JSON is not an object"],
    ["a number at the top", "1", "the JSON is not an object"],
    ["null at the top", "null", "the JSON is not an object"],
    ["101 levels", `${"[".repeat(101)}`, "nested over 100 levels deep at line 1, column 101"],
  ])("%s", (_, text, message) => {
    expect(refusal(() => read(text))).toContain(message);
  });

  test("accepts the same key in two objects, and a key as a value", () => {
    expect(read('{"a": {"x": 1}, "b": {"x": "a"}, "c": ["a", "a"]}').size).toBe(3);
  });

  test("reads brackets and quotes in a string as text", () => {
    const text = `{"a": "\\"${"[".repeat(200)}", "b\\"": ",", "b": "}", "\\\\": "{"}`;
    expect([...read(text)]).toEqual([
      ["a", `"${"[".repeat(200)}`],
      ['b"', ","],
      ["b", "}"],
      ["\\", "{"],
    ]);
  });

  test("accepts 100 levels of nesting", () => {
    expect(read(`{"a": ${"[".repeat(99)}${"]".repeat(99)}}`).get("a")).toBe("[".repeat(99) + "]".repeat(99));
  });

  test.each(["[", "{", '{"a":', "[{", '"'])("refuses %s repeated 200,000 times at once", (text) => {
    within(100, () => refusal(() => parseJson(text.repeat(200_000))));
  });
});

test("writes any parsed JSON as JSON.stringify does", () => {
  // JSON.stringify writes -0 as 0.
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), (json) => {
      expect(textOfJson(parseJson(`[${json}]`))).toBe(JSON.stringify(JSON.parse(`[${json}]`)));
    }),
  );
});

test("keeps the digits of any number", () => {
  const digits = fc.stringMatching(/^-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,5})?$/);
  fc.assert(
    fc.property(digits, (number) => {
      expect(read(`{"a": ${number}, "b": [${number}]}`)).toEqual(
        new Map([
          ["a", number],
          ["b", `[${number}]`],
        ]),
      );
    }),
  );
});

test("reads any text or refuses it without quoting it", () => {
  const pieces = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    `"${canary}"`,
    canary,
    "1",
    "-",
    "null",
    "\\",
    '"',
    "\n",
    "\ud800",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
      const result = outcome(() => parseJson(parts.join("")));
      if (typeof result === "object" && result && "reason" in result) expect(result.message).not.toContain(canary);
    }),
    { numRuns: 2_000 },
  );
});
