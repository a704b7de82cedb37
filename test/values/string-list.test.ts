import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseStringList } from "../../src/values/string-list.ts";
import { canary, inherited, refusal } from "./support.ts";

describe("reads comma-separated items", () => {
  test.each<[string, string, Record<string, string>]>([
    ["one item", "A=1", { A: "1" }],
    ["many items", "A=1,B=two words", { A: "1", B: "two words" }],
    ["white space around names and items, which is trimmed", " A = 1 ,\n\tB=2\n", { A: "1", B: "2" }],
    ["an = in a value", "A=a=b==", { A: "a=b==" }],
    ["no value", "A=,B=", { A: "", B: "" }],
    ["an empty text", "", {}],
    ["white space alone", " \n", {}],
  ])("%s", (_, text, items) => {
    expect(Object.fromEntries(parseStringList(text))).toEqual(items);
  });

  test.each(inherited)("accepts %s as a name", (name) => {
    expect([...parseStringList(`${name}=1`)]).toEqual([[name, "1"]]);
  });
});

describe("refuses an invalid item by its number", () => {
  test.each<[string, string, string]>([
    ["a value without a name", `A=1,${canary}`, "item 2 of the list is not of the form name=value"],
    ["an empty name", `=${canary}`, "item 1 of the list is not"],
    ["a trailing comma", "A=1,", "item 2 of the list is not"],
    ["a duplicate name", "A=1,B=2, A=3", "item 3 of the list has a name that came before"],
  ])("%s", (_, text, message) => {
    const told = refusal(() => parseStringList(text));
    expect(told).toContain(message);
    expect(told).not.toContain(canary);
  });
});

test("reads back any names and values without commas unchanged", () => {
  const name = fc.stringMatching(/^[A-Za-z_.-]{1,12}$/);
  const value = fc.stringMatching(/^[^,]{0,20}$/).filter((text) => text === text.trim());
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key }), (items) => {
      expect([...parseStringList(items.map(([key, each]) => `${key}=${each}`).join(","))]).toEqual(items);
    }),
  );
});
