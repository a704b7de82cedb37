import { describe, expect, it } from "vitest";
import { keyRules } from "../../src/values/keys.ts";
import { compilePattern } from "../../src/values/pattern.ts";
import { parseReplacement, replaceAll } from "../../src/values/rewrite.ts";
import { Work } from "../../src/values/work.ts";
import rows from "./go-replace.json" with { type: "json" };

/** The whole match in brackets: the replacement that generated the table with Go 1.26. */
const whole = `<\${0}>`;

function replace(pattern: string, text: string, replacement: string): string {
  const compiled = compilePattern(pattern, "pattern");
  return replaceAll(text, compiled, parseReplacement(replacement, compiled, "rule"), new Work());
}

it("replaces what Go's ReplaceAllString replaces, in every pattern and text of the table", () => {
  const ours = rows.map(([pattern, text]) => [pattern, text, replace(pattern!, text!, whole)]);
  expect(ours).toEqual(rows);
});

describe("a replacement", () => {
  it.each([
    ["(.*)", "url", "$1_MONITOR", "url_MONITOR"],
    ["(.*)", "url", `\${1}_MONITOR`, "url_MONITOR"],
    ["(?P<name>.*)", "url", `\${name}_MONITOR`, "url_MONITOR"],
    ["(u)(r)(l)", "url", "$3$2$1$0", "lruurl"],
    ["(u)", "url", "$10", "u0rl"],
    ["(x)?u", "url", "[$1]", "[]rl"],
    ["u", "url", "\\$1", "$1rl"],
    ["u", "url", "$$1", "$1rl"],
    ["u", "url", "a\\\\b", "a\\brl"],
  ])("%s on %s by %s gives %s of %s", (pattern, text, replacement, replaced) => {
    expect(replace(pattern, text, replacement)).toBe(replaced);
  });
});

it("makes one key of a property if a pattern matches its whole name", () => {
  expect(keyRules({ rewrite: [{ pattern: "(.*)", replacement: "$1_MONITOR" }] })("url")).toBe("url_MONITOR");
});
