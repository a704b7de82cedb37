import { parse } from "dotenv";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDotenv } from "../../src/values/dotenv.ts";
import { canary, inherited, outcome, refusal, within } from "./support.ts";

describe("lines are read as dotenv reads them", () => {
  test.each<[string, string, Record<string, string>]>([
    ["names and values", "A=1\nB_2 = two words \n", { A: "1", B_2: "two words" }],
    ["export", "export A=1\n  export\tB=2", { A: "1", B: "2" }],
    ["no value", "A=\nB=1", { A: "", B: "1" }],
    ["no value before a quote on the next line's own value", "A=\nB='x'", { A: "", B: "x" }],
    ["comments and empty lines", "# a=1\n\n   \nA=1 # B=2\n  # C", { A: "1" }],
    ["quotes", `A='a b'\nB="c d"\nC=\`e f\``, { A: "a b", B: "c d", C: "e f" }],
    ["a # in quotes", `A="a#b" # c`, { A: "a#b" }],
    ["line breaks in double quotes only", `A="a\\nb"\nB='a\\nb'`, { A: "a\nb", B: "a\\nb" }],
    ["values over many lines", `A="a\nb\n"\nB='\nc'  # d\nC=1`, { A: "a\nb\n", B: "\nc", C: "1" }],
    ["an escaped quote", `A="a\\"b"`, { A: 'a\\"b' }],
    ["JSON in quotes", `A='{"a": 1}'\nB="{"a": 1}"`, { A: '{"a": 1}', B: '{"a": 1}' }],
    ["an apostrophe in a value", "A=it's\nB=it's", { A: "it's", B: "it's" }],
    ["an = in a value", "A=a=b==", { A: "a=b==" }],
    ["a colon for =", "A: 1", { A: "1" }],
    ["line ends of Windows and of old", "A=1\r\nB='2\r\n3'\rC=4", { A: "1", B: "2\n3", C: "4" }],
    ["nothing", "", {}],
    ["dots and dashes in names", "a.b-c=1", { "a.b-c": "1" }],
  ])("%s", (_, text, values) => {
    expect(Object.fromEntries(parseDotenv(text))).toEqual(values);
  });

  test.each(inherited)("a name can be %s", (name) => {
    expect([...parseDotenv(`${name}=a\nB=2`)]).toEqual([
      [name, "a"],
      ["B", "2"],
    ]);
  });
});

describe("what dotenv would drop or cut without a word is refused with its line", () => {
  test.each<[string, string, string]>([
    ["a line without =", `A=1\n${canary}\nB=2`, "line 2 is not of the form NAME=value"],
    ["a line without = after a value of many lines", `A="1\n2\n3"\n# c\n${canary}`, "line 5 is not of the form"],
    ["a name with other characters", `A=1\nB C=${canary}`, "line 2 is not of the form"],
    ["a name that is missing", `=${canary}`, "line 1 is not of the form"],
    ["a name that comes twice", "A=1\n\nA=1", "line 3 sets a name that an earlier line sets"],
    ["a quote that is not closed", `A="${canary}\nB=1`, "line 1 opens a quote that is not closed"],
    ["text after a quote on a later line", `A="a\nb" ${canary}`, "line 1 opens a quote that has text after its end"],
    ["a quote that closes in the next entry", `A='a\nB='b'`, "line 1 opens a quote that has text after its end"],
    ["a # in a value without quotes", `A=1\nPASSWORD=ab#${canary}`, "line 2 has a # in its value"],
    ["a # for a value", `A=#${canary}`, "line 1 has a # in its value"],
    ["a # after a quote's end", `A='it's #${canary}'`, "line 1 opens a quote that has text after its end"],
    ["text after a line separator", `A="1"\u2028${canary}`, "line 1 opens a quote that has text after its end"],
    ["a name after a line separator", `A=1 # c\u2028B=${canary}`, "line 1 can be read in more than one way"],
    ["a line separator in a comment", `# c\u2028B=${canary}`, "line 1 has a line separator (U+2028) in a comment"],
    ["a PEM block", `-----BEGIN KEY-----\n${canary}==\n`, "line 1 is not of the form NAME=value"],
  ])("%s", (_, text, message) => {
    const told = refusal(() => parseDotenv(text));
    expect(told).toContain(message);
    expect(told).not.toContain(canary);
  });
});

test.each(["A=\n", 'A="\n', "A='", "\n", " ", "\r", "export ", "A", "A=#", '\\"', "K: ", "\u2028A=1"])(
  "1 MiB of %j end soon",
  (piece) => {
    within(300, () => outcome(() => parseDotenv(piece.repeat(1_048_576 / piece.length))));
    within(300, () => outcome(() => parseDotenv(`A="${piece.repeat(1_048_576 / piece.length)}"`)));
  },
);

test("70,000 different lines are read in time that grows with their number", () => {
  const text = Array.from({ length: 70_000 }, (_, index) => `K${index}="v${index}"`).join("\n");
  expect(within(1_000, () => parseDotenv(text)).size).toBe(70_000);
});

test("any text is refused, or read as dotenv reads the whole of it", () => {
  const pieces = fc.constantFrom(
    "A",
    "B",
    "=",
    " ",
    "\n",
    '"',
    "'",
    "`",
    "#",
    "\\",
    "\\n",
    "x",
    "export ",
    ": ",
    "\r\n",
    "\u2028",
    "1",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 16 }), (parts) => {
      const text = parts.join("");
      const result = outcome(() => parseDotenv(text));
      if (result instanceof Map) expect(Object.fromEntries(result)).toEqual(parse(text));
    }),
    { numRuns: 20_000 },
  );
});

test("any values without quotes' characters come back as they were", () => {
  const name = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/);
  const value = fc.string({ unit: "grapheme" }).filter((text) => !/["\\\r\u2028\u2029]/.test(text));
  fc.assert(
    fc.property(fc.dictionary(name, value), (values) => {
      const text = Object.entries(values).map(([key, each]) => `${key}="${each}"`);
      expect(Object.fromEntries(parseDotenv(text.join("\n")))).toEqual({ ...values });
    }),
  );
});
