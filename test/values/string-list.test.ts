import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseStringList } from "../../src/values/string-list.ts";
import { canary, inherited, refusal } from "./support.ts";

describe("items between commas are names and values", () => {
  test.each<[string, string, Record<string, string>]>([
    ["one", "A=1", { A: "1" }],
    ["many", "A=1,B=two words", { A: "1", B: "two words" }],
    ["white space around names and values is dropped", " A = 1 ,\n\tB=2\n", { A: "1", B: "2" }],
    ["an = in a value", "A=a=b==", { A: "a=b==" }],
    ["no value", "A=,B=", { A: "", B: "" }],
    ["nothing", "", {}],
    ["white space alone", " \n", {}],
  ])("%s", (_, text, items) => {
    expect(Object.fromEntries(parseStringList(text))).toEqual(items);
  });

  test.each(inherited)("a name can be %s", (name) => {
    expect([...parseStringList(`${name}=1`)]).toEqual([[name, "1"]]);
  });
});

describe("what is not a name and a value is refused by its number", () => {
  test.each<[string, string, string]>([
    ["a value alone", `A=1,${canary}`, "item 2 of the list is not of the form name=value"],
    ["no name", `=${canary}`, "item 1 of the list is not"],
    ["a comma at the end", "A=1,", "item 2 of the list is not"],
    ["a name that comes twice", "A=1,B=2, A=3", "item 3 of the list has a name that came before"],
  ])("%s", (_, text, message) => {
    const told = refusal(() => parseStringList(text));
    expect(told).toContain(message);
    expect(told).not.toContain(canary);
  });
});

test("any names and values without commas come back as they were", () => {
  const name = fc.stringMatching(/^[A-Za-z_.-]{1,12}$/);
  const value = fc.stringMatching(/^[^,]{0,20}$/).filter((text) => text === text.trim());
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key }), (items) => {
      expect([...parseStringList(items.map(([key, each]) => `${key}=${each}`).join(","))]).toEqual(items);
    }),
  );
});
