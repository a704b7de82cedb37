import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Failure } from "../../src/runtime/failure.ts";
import { type AssembleInput, assemble, prepareSelection, selectMembers } from "../../src/values/assemble.ts";
import type { Format } from "../../src/values/many.ts";
import { Exhausted, inlineUnits, Work } from "../../src/values/work.ts";
import { yamlIndicators } from "./support.ts";

/** COST_RUNS overrides the number of inputs. */
const runs = Number(process.env.COST_RUNS ?? 100_000);
/** Maximum milliseconds of this thread's CPU time for one input on the event loop. */
const boundMs = 50;
const bytes = (text: string) => Buffer.from(text, "utf8");
const value = (text: string) => ({ state: "value", bytes: bytes(text) }) as const;

// Liquid reads the stack of each of its errors. In the program the engine formats it; the test runner's source maps cost
// more than a template.
const { prepareStackTrace } = Error;
beforeAll(() => {
  Reflect.deleteProperty(Error, "prepareStackTrace");
});
afterAll(() => {
  Error.prepareStackTrace = prepareStackTrace;
});

/** Runs the event loop's part of an assembly. @returns the lowest CPU time of this thread in three runs, in ms */
function costOf(input: AssembleInput): number {
  let lowest = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 3 && lowest > boundMs; tries++) {
    const before = process.threadCpuUsage();
    inline(input);
    const { user, system } = process.threadCpuUsage(before);
    lowest = Math.min(lowest, (user + system) / 1_000);
  }
  return lowest;
}

function inline(input: AssembleInput): void {
  try {
    assemble(input, new Work(inlineUnits));
  } catch (error) {
    // The worker takes over.
    if (!(error instanceof Exhausted)) throw error;
  }
}

const one = (json: string, jmesPath: string): AssembleInput => ({
  data: [{ key: "K", entry: "data[0] (K)", source: value(json), jmesPath }],
  dataFrom: [],
});
const document = (text: string, format: Format): AssembleInput => ({
  data: [],
  dataFrom: [{ kind: "document", entry: "dataFrom[0]", source: value(text), format }],
});
const template = (text: string, source = "x"): AssembleInput => ({
  data: [{ key: "A", entry: "data[0] (A)", source: value(source) }],
  dataFrom: [],
  template: { data: { t: text } },
});
const renamed = (pattern: string, replacement: string, names: readonly string[]): AssembleInput => ({
  data: [],
  dataFrom: [
    {
      kind: "path",
      entry: "dataFrom[0]",
      path: "/",
      members: names.map((name) => ({ name: `/${name}`, bytes: bytes("v") })),
      rename: { rewrite: [{ pattern, replacement }] },
    },
  ],
});

/** Generates texts of a few repeated pieces: mostly short ones, and sometimes ones of the maximum length. */
function repeated(pieces: readonly string[], longest: number): fc.Arbitrary<string> {
  const part = fc.tuple(
    fc.constantFrom(...pieces),
    fc.oneof({ weight: 60, arbitrary: fc.nat(6) }, { weight: 1, arbitrary: fc.nat(longest) }),
  );
  return fc.array(part, { maxLength: 5 }).map((parts) =>
    parts
      .map(([piece, times]) => piece.repeat(times))
      .join("")
      .slice(0, longest),
  );
}

const json = repeated(
  ["{", "}", "[", "]", '"a"', ":", ",", "1", "null", '{"a":1},', '["b"],', '"\\u0041"', "1e9", "-0.5", " "],
  8_192,
);
const good = fc.constantFrom(
  '{"a": [1, 2, {"b": "x"}], "o": {"p": 1, "q": [true, null]}}',
  JSON.stringify({
    o: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, i])),
    l: Array.from({ length: 120 }, (_, i) => i),
  }),
  JSON.stringify({ l: Array(80).fill("a text that is long enough") }),
);
const path = repeated(
  [
    "l",
    "o",
    "a",
    "[]",
    "[*]",
    ".",
    "*",
    "[?",
    "]",
    "$",
    "@",
    "==",
    "|",
    "sort(",
    "keys(",
    "values(",
    "to_string(",
    "join(',', ",
    "contains(",
    ")",
    "&",
    "`1`",
    "max_by(",
    ", &a)",
    "merge($, ",
    "[::-1]",
    "{x: @}",
    "l[?$.o]",
  ],
  1_024,
);
const yaml = repeated(
  ["a: ", "- ", "? ", "[", "]", "{", "}", "&a ", "*a", "\n", "  ", ...yamlIndicators, "!", "---\n", "x", ": "],
  65_536,
);
const dotenv = repeated(["A", "=", '"', "'", "\\", "\n", " ", "#", "$", "export ", "x", "\r"], 8_192);
const list = repeated(["a=b", ",", "=", " ", "a"], 8_192);
const liquid = repeated(
  [
    "{{ A }}",
    "{{ A | ",
    "upcase",
    " }}",
    "{% if A %}",
    "{% endif %}",
    "{% for x in data %}",
    "{% endfor %}",
    "{% assign A = A | append: A %}",
    "| replace: 'x', A ",
    "| split: '' ",
    "{{",
    "}}",
    "x",
    "data[",
    "]",
    "'",
    ":",
  ],
  32_768,
);
const pattern = repeated(
  ["a", "(", ")", "*", "+", "?", "{1,30}", "{10}", "|", "[ab]", "[^a]", ".", "\\pL", "(?i)", "^", "$", "(a|b)*a"],
  512,
);
const name = repeated(["a", "b", "/", "ab"], 1_000);

describe("no input blocks the event loop for over 50 ms", () => {
  const engines: [string, fc.Arbitrary<AssembleInput>][] = [
    ["JSON", json.map((text) => document(text, "JSON"))],
    ["JMESPath", fc.tuple(fc.oneof(good, json), path).map(([text, expression]) => one(text, expression))],
    ["YAML", yaml.map((text) => document(text, "YAML"))],
    ["dotenv", dotenv.map((text) => document(text, "Dotenv"))],
    ["StringList", list.map((text) => document(text, "StringList"))],
    ["Liquid", fc.tuple(liquid, repeated(["x", "a,"], 8_192)).map(([text, source]) => template(text, source))],
    [
      "RE2 of rewrite",
      fc
        .tuple(pattern, repeated(["$1", "$0", "b", "\\"], 512), fc.array(name, { maxLength: 20 }))
        .map((parts) => renamed(...parts)),
    ],
  ];
  it.each(engines)("%s", { timeout: 900_000 }, (_, inputs) => {
    fc.assert(
      fc.property(inputs, (input) => costOf(input) <= boundMs),
      { numRuns: runs },
    );
  });

  it("RE2 of include and exclude", { timeout: 900_000 }, () => {
    fc.assert(
      fc.property(
        fc.array(pattern, { minLength: 1, maxLength: 3 }),
        fc.array(name, { maxLength: 20 }),
        (include, names) => {
          let lowest = Number.POSITIVE_INFINITY;
          for (let tries = 0; tries < 3 && lowest > boundMs; tries++) {
            const before = process.threadCpuUsage();
            try {
              // Use new names each time: cached verdicts cost nothing.
              selectMembers(
                names.map((each) => `${each}${tries}`),
                { include },
              );
            } catch (error) {
              if (!(error instanceof Failure)) throw error;
            }
            const { user, system } = process.threadCpuUsage(before);
            lowest = Math.min(lowest, (user + system) / 1_000);
          }
          return lowest <= boundMs;
        },
      ),
      { numRuns: runs },
    );
  });
});

describe("the worst inputs of the maximum size do not block the event loop for longer", () => {
  const object = (members: number) => Object.fromEntries(Array.from({ length: members }, (_, i) => [`k${i}`, i]));
  const big = JSON.stringify({
    o: object(10_000),
    l: Array.from({ length: 5_000 }, (_, i) => i),
    s: "ab".repeat(50_000),
  });
  const many = Array.from({ length: 2_000 }, (_, i) => `name-${"ab".repeat(100)}${i}`);
  it.each<[string, AssembleInput]>([
    ["a filter that reads an object for each item of a list", one(big, "l[?$.o]")],
    ["objects compared for each item of a list", one(big, "l[?$.o == merge($.o, `{}`)]")],
    ["a long text searched in itself", one(big, "l[?contains($.s, $.s)]")],
    ["names sorted for each item", one(big, "l[].[sort(keys($.o))]")],
    ["an object serialized for each item", one(big, "l[].to_string($.o)")],
    [
      "200 keys of one large document",
      {
        dataFrom: [],
        data: Array.from({ length: 200 }, (_, i) => ({
          key: `K${i}`,
          entry: `data[${i}]`,
          source: value(big),
          jmesPath: "o",
        })),
      },
    ],
    ["JSON of 1 MiB", document(`[${"1,".repeat(520_000)}1]`, "JSON")],
    ["JSON with 100,000 names", document(JSON.stringify(object(80_000)), "JSON")],
    ["YAML of 64 KiB of brackets", document("[".repeat(65_000), "YAML")],
    ["YAML of 64 KiB of directives", document("%A\n".repeat(21_000), "YAML")],
    ["dotenv of 1 MiB", document('A="\n'.repeat(260_000), "Dotenv")],
    ["a StringList of 1 MiB", document("a=b,".repeat(260_000), "StringList")],
    ["a pattern that would have an automaton of 2^100 states", renamed("(a|b)*a(a|b){100}[^ab]", "x", many)],
    ["a pattern that matches everywhere and scans to the end", renamed("a.*c|a", "x", many)],
    ["a class of all letters, repeated many times", renamed("(?i)(\\pL\\pL){60}", "x", many)],
    ["a template of loops inside loops", template(`${"{% for a in data %}".repeat(30)}x${"{% endfor %}".repeat(30)}`)],
    [
      "a template that doubles a text",
      template(`${"{% assign A = A | append: A %}".repeat(2_000)}{{ A }}`, "x".repeat(8_000)),
    ],
    [
      "a template that prints everything in every iteration",
      template("{% assign l = A | split: '' %}{% for x in l %}{{ data | json }}{% endfor %}", "x".repeat(8_000)),
    ],
    [
      "Base64 of 1 MiB with white space in it, six times",
      {
        dataFrom: [],
        data: Array.from({ length: 6 }, (_, i) => ({
          ...{ key: `K${i}`, entry: `data[${i}]`, decode: "Base64" as const },
          source: value("AA ".repeat(349_000)),
        })),
      },
    ],
    ["a template of 64 KiB", template("{{ A }}".repeat(9_000))],
  ])("%s", (_, input) => {
    expect(costOf(input)).toBeLessThanOrEqual(boundMs);
  });

  it.each([
    ["a pattern that is expensive to match", 300, ["(a|b)*a(a|b){51}[^ab]"]],
    [
      "20 patterns that are expensive to compile",
      10,
      Array.from({ length: 20 }, (_, i) => `(?i)${"\\pL".repeat(160)}${i}`),
    ],
  ])("%s on many names, a slice at a time", async (_, length, include) => {
    const names = Array.from({ length }, (_, i) => `/${"ab".repeat(200)}${i}`);
    let [longest, at] = [0, process.threadCpuUsage()];
    const ticking = setInterval(() => {
      const { user, system } = process.threadCpuUsage(at);
      longest = Math.max(longest, (user + system) / 1_000);
      at = process.threadCpuUsage();
    }, 0);
    await prepareSelection(names, { include });
    clearInterval(ticking);
    expect(longest).toBeLessThanOrEqual(2 * boundMs);
    expect(() => selectMembers(names, { include })).not.toThrow();
  });
});
