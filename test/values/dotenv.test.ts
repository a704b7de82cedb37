import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDotenv } from "../../src/values/dotenv.ts";
import { canary, inherited, outcome, refusal, within } from "./support.ts";

describe("reads lines as Docker Compose, Ruby's and Python's dotenv do", () => {
  test.each<[string, string, Record<string, string>]>([
    ["names and values", "A=1\nB_2 = two words \n", { A: "1", B_2: "two words" }],
    ["export", "export A=1\n  export\tB=2", { A: "1", B: "2" }],
    ["no value", "A=\nB=1", { A: "", B: "1" }],
    ["no value before a line with a quoted value", "A=\nB='x'", { A: "", B: "x" }],
    ["comments and empty lines", "# a=1\n\n   \nA=1 # B=2\n  # C", { A: "1" }],
    ["quotes", `A='a b'\nB="c d"`, { A: "a b", B: "c d" }],
    ["a # in quotes", `A="a#b" # c`, { A: "a#b" }],
    ["line breaks in double quotes only", `A="a\\nb"\nB='a\\nb'`, { A: "a\nb", B: "a\\nb" }],
    ["values over many lines", `A="a\nb\n"\nB='\nc'  # d\nC=1`, { A: "a\nb\n", B: "\nc", C: "1" }],
    ["an escaped quote", `A="a\\"b"`, { A: 'a"b' }],
    ["every escape of double quotes", `A="\\\\ \\" \\n \\r"`, { A: '\\ " \n \r' }],
    ["an escaped backslash before the closing quote", `A="a\\\\" # c\nB=1`, { A: "a\\", B: "1" }],
    ["a backslash and a dollar sign in single quotes", `A='\\d\${B} $C'`, { A: `\\d\${B} $C` }],
    ["a dollar sign without a name", `A=5$\nB="$ $"`, { A: "5$", B: "$ $" }],
    ["JSON in single quotes", `A='{"a": 1}'`, { A: '{"a": 1}' }],
    ["an apostrophe in a value", "A=it's\nB=it's", { A: "it's", B: "it's" }],
    ["an = in a value", "A=a=b==", { A: "a=b==" }],
    ["line ends CRLF and CR", "A=1\r\nB='2\r\n3'\rC=4", { A: "1", B: "2\n3", C: "4" }],
    ["an empty text", "", {}],
    ["dots and dashes in names", "a.b-c=1", { "a.b-c": "1" }],
  ])("%s", (_, text, values) => {
    expect(Object.fromEntries(parseDotenv(text))).toEqual(values);
  });

  test.each(inherited)("accepts %s as a name", (name) => {
    expect([...parseDotenv(`${name}=a\nB=2`)]).toEqual([
      [name, "a"],
      ["B", "2"],
    ]);
  });
});

describe("refuses with its line number what dotenv tools drop, cut or read differently", () => {
  test.each<[string, string, string]>([
    ["a line without =", `A=1\n${canary}\nB=2`, "line 2 is not of the form NAME=value"],
    ["a line without = after a value of many lines", `A="1\n2\n3"\n# c\n${canary}`, "line 5 is not of the form"],
    ["a name with other characters", `A=1\nB C=${canary}`, "line 2 is not of the form"],
    ["a missing name", `=${canary}`, "line 1 is not of the form"],
    ["a duplicate name", "A=1\n\nA=1", "line 3 sets a name that an earlier line sets"],
    ["an unclosed quote", `A="${canary}\nB=1`, "line 1 opens a quote that is not closed"],
    ["text after a quote on a later line", `A="a\nb" ${canary}`, "line 1 opens a quote that has text after its end"],
    ["a quote that closes in the next entry", `A='a\nB='b'`, "line 1 opens a quote that has text after its end"],
    ["a # in a value without quotes", `A=1\nPASSWORD=ab#${canary}`, "line 2 has a # in its value"],
    ["a # instead of a value", `A=#${canary}`, "line 1 has a # in its value"],
    ["a # after a closing quote", `A='it's #${canary}'`, "line 1 opens a quote that has text after its end"],
    ["text after a line separator", `A="1"\u2028${canary}`, "line 1 opens a quote that has text after its end"],
    ["a colon instead of =", `A: ${canary}`, "line 1 is not of the form NAME=value"],
    ["back quotes", `A=1\nB=\`${canary}\``, "line 2 has a value in back quotes"],
    ["the escape of a tab", `A="${canary}\\t"`, "line 1 has an escape in double quotes"],
    ["an escaped dollar sign", `A="${canary}\\$B"`, "line 1 has an escape in double quotes"],
    ["a numeric escape", `A="${canary}\\x41"`, "line 1 has an escape in double quotes"],
    ["a backslash without quotes", `A=C:\\${canary}`, "line 1 has a \\ in its value"],
    ["an escaped quote in single quotes", `A='it\\'${canary}'`, "line 1 has \\\\ or \\' in single quotes"],
    ["two backslashes in single quotes", `A='\\\\${canary}'`, "line 1 has \\\\ or \\' in single quotes"],
    ["a variable without quotes", `A=$HOME${canary}`, "line 1 has a $ that other tools take for a variable"],
    ["a variable in double quotes", `A=1\nB="\${HOME}${canary}"`, "line 2 has a $ that other tools take"],
    ["a command", `A=$(${canary})`, "line 1 has a $ that other tools take for a variable"],
    ["two dollar signs", `A=a$$${canary}`, "line 1 has a $ that other tools take for a variable"],
    ["JSON in double quotes", `A="{"a": "${canary}"}"`, "line 1 opens a quote that has text after its end"],
    ["a PEM block", `-----BEGIN KEY-----\n${canary}==\n`, "line 1 is not of the form NAME=value"],
  ])("%s", (_, text, message) => {
    const told = refusal(() => parseDotenv(text));
    expect(told).toContain(message);
    expect(told).not.toContain(canary);
  });
});

test.each(["A=\n", 'A="\n', "A='", "\n", " ", "\r", "export ", "A", "A=#", '\\"', "K: ", "\u2028A=1"])(
  "handles 1 MiB of %j quickly",
  (piece) => {
    within(300, () => outcome(() => parseDotenv(piece.repeat(1_048_576 / piece.length))));
    within(300, () => outcome(() => parseDotenv(`A="${piece.repeat(1_048_576 / piece.length)}"`)));
  },
);

test("reads 70,000 different lines in linear time", () => {
  const text = Array.from({ length: 70_000 }, (_, index) => `K${index}="v${index}"`).join("\n");
  expect(within(1_000, () => parseDotenv(text)).size).toBe(70_000);
});

test("reads any text or refuses it with a line number", () => {
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
      if (!(result instanceof Map)) expect(result.message).toMatch(/^line [0-9]+ /);
    }),
    { numRuns: 20_000 },
  );
});

test("reads back any values without quote characters unchanged", () => {
  const name = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/);
  const value = fc.string({ unit: "grapheme" }).filter((text) => !/["\\\r$]/.test(text));
  fc.assert(
    fc.property(fc.dictionary(name, value), (values) => {
      const text = Object.entries(values).map(([key, each]) => `${key}="${each}"`);
      expect(Object.fromEntries(parseDotenv(text.join("\n")))).toEqual({ ...values });
    }),
  );
});
