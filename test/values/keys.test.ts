import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isSecretKey, type KeyRules, keyOfMember, keyRules } from "../../src/values/keys.ts";
import { compilePattern, find } from "../../src/values/pattern.ts";
import { Work, workerUnits } from "../../src/values/work.ts";
import { outcome, refusal, within } from "./support.ts";

describe("a parameter below /shop/checkout makes a key", () => {
  test.each<[string, string, KeyRules | undefined, string]>([
    ["without the path", "/shop/checkout/db", undefined, "db"],
    ["with _ for each slash", "/shop/checkout/db/main/password", {}, "db_main_password"],
    ["without stripPrefix and the slash after it", "/shop/checkout/db", { stripPrefix: "/shop" }, "checkout_db"],
    ["without a stripPrefix that ends with a slash", "/shop/checkout/db", { stripPrefix: "/shop/" }, "checkout_db"],
    [
      "from its full name if stripPrefix is another path",
      "/shop/checkout/db",
      { stripPrefix: "/other/" },
      "shop_checkout_db",
    ],
    [
      "without a prefix that ends inside a segment",
      "/shop/checkout/dev-db",
      { stripPrefix: "/shop/checkout/dev-" },
      "db",
    ],
    ["with the separator", "/shop/checkout/db/user", { separator: "." }, "db.user"],
    ["with - as the separator", "/shop/checkout/a/b", { separator: "-" }, "a-b"],
    ["without a separator", "/shop/checkout/db/user", { separator: "" }, "dbuser"],
    ["in upper case", "/shop/checkout/Db-User", { case: "Upper" }, "DB-USER"],
    ["in lower case", "/shop/checkout/Db/User", { case: "Lower" }, "db_user"],
    [
      "rewritten before the separator and the case",
      "/shop/checkout/db/user",
      { rewrite: [{ pattern: "/u", replacement: "/v" }], case: "Upper" },
      "DB_VSER",
    ],
    [
      "rewritten by all rules in order, at every match",
      "/shop/checkout/a.a",
      {
        rewrite: [
          { pattern: "a", replacement: "b" },
          { pattern: "b", replacement: "cc" },
        ],
      },
      "cc.cc",
    ],
    [
      "rewritten with groups",
      "/shop/checkout/db-1",
      { rewrite: [{ pattern: "(?P<n>[a-z]+)-(\\d)", replacement: `$2_\${n}` }] },
      "1_db",
    ],
    [
      "with a match replaced by nothing",
      "/shop/checkout/x_db",
      { rewrite: [{ pattern: "^x_", replacement: "" }] },
      "db",
    ],
  ])("%s", (_, name, rules, key) => {
    expect(keyOfMember(name, { rules, path: "/shop/checkout" })).toBe(key);
    expect(keyOfMember(name, { rules, path: "/shop/checkout/" })).toBe(key);
  });

  test("without the leading slash if the path is /", () => {
    expect(keyOfMember("/db/user", { path: "/" })).toBe("db_user");
    expect(keyOfMember("db", { path: "/" })).toBe("db");
    expect(keyOfMember("/db", {})).toBe("db");
  });
});

describe("a property's name makes a key", () => {
  test.each<[string, string, KeyRules, string]>([
    ["unchanged", "tls.key", {}, "tls.key"],
    ["without stripPrefix", "APP_DB", { stripPrefix: "APP_" }, "DB"],
    ["unchanged if it does not begin with stripPrefix", "DB", { stripPrefix: "APP_" }, "DB"],
    ["with _ for a slash", "/a/b", {}, "_a_b"],
    [
      "made valid by a rewrite rule",
      "my key!",
      { rewrite: [{ pattern: "[^a-zA-Z0-9]+", replacement: "-" }] },
      "my-key-",
    ],
  ])("%s", (_, name, rules, key) => {
    expect(keyRules(rules)(name)).toBe(key);
  });
});

describe("refuses what is not a valid key of a Secret", () => {
  test.each<[string, string, KeyRules]>([
    ["an empty key", "a", { stripPrefix: "a" }],
    ["a dot", ".", {}],
    ["two leading dots", "..a", {}],
    ["a space", "a b", {}],
    ["a line break at the end", "a\n", {}],
    ["254 characters", "a".repeat(254), {}],
    ["over 253 characters after a rule", "aaaa", { rewrite: [{ pattern: "a", replacement: "b".repeat(100) }] }],
    [
      "a name that grows with every rule",
      "a".repeat(2_048),
      { rewrite: Array(3).fill({ pattern: ".", replacement: "b".repeat(512) }) },
    ],
    ["a separator that String.replaceAll would expand", "a/b", { separator: "$'" }],
    ["a name of 1 MiB", "a".repeat(1_048_576), { rewrite: [{ pattern: ".+", replacement: "a" }] }],
    ["a letter that is not ASCII", "é", { case: "Upper" }],
  ])("%s", (_, name, rules) => {
    expect(refusal(() => keyRules(rules)(name))).toContain("it does not come to a Secret's key");
  });

  test("names the parameter and the remedy", () => {
    expect(keyOfMember("/shop/..x", { path: "/shop" })).toEqual({
      reason: "InvalidData",
      message: expect.stringMatching(/^parameter \/shop\/\.\.x: .*rename\.rewrite$/),
    });
  });
});

describe("refuses an invalid rule by its number", () => {
  test.each<[string, string, string, string]>([
    ["an invalid pattern", "(", "", "rename.rewrite[1].pattern is not an RE2 pattern"],
    ["look-ahead, which RE2 does not support", "a(?=b)", "", "rename.rewrite[1].pattern is not an RE2 pattern"],
    ["a back reference, which RE2 does not support", "(a)\\1", "", "rename.rewrite[1].pattern is not an RE2 pattern"],
    ["repetitions that multiply", "((a{100}){100}){100}", "", "rename.rewrite[1].pattern is too large"],
    ["a large repetition", "a{1000}", "", "rename.rewrite[1].pattern is too large"],
    ["a group number that does not exist", "x", "$1", "rename.rewrite[1].replacement names a group"],
    ["a group name that does not exist", "x", `\${constructor}`, "rename.rewrite[1].replacement names a group"],
    ["a lone dollar sign", "x", "$", "rename.rewrite[1].replacement has a $ or \\ that stands for nothing"],
    ["a backslash at the end", "x", "\\", "rename.rewrite[1].replacement has a $ or \\ that stands for nothing"],
  ])("%s", (_, pattern, replacement, message) => {
    const rewrite = [
      { pattern: "z", replacement: "" },
      { pattern, replacement },
    ];
    expect(refusal(() => keyRules({ rewrite })("x"))).toContain(message);
  });
});

describe("patterns cost little", () => {
  test("^(a+)+$ on 50,000 characters", () => {
    const pattern = compilePattern("^(a+)+$", "pattern");
    expect(within(100, () => find(pattern, `${"a".repeat(50_000)}b`, 0, new Work()))).toBe(undefined);
  });

  test("the worst pattern on the longest name", () => {
    const rules = keyRules({ rewrite: [{ pattern: "(?:a?){190}a{190}", replacement: "b" }] });
    within(200, () => outcome(() => rules("a".repeat(2_048))));
  });

  test("refuses the pattern once too many names have used up its work", () => {
    const rewrite = [{ pattern: "(?:a?){190}a{190}", replacement: "b" }];
    const rules = keyRules({ rewrite }, undefined, new Work(workerUnits, "refused"));
    const results = Array.from({ length: 100 }, () => outcome(() => rules("a".repeat(2_048))));
    expect(results.at(-1)).toHaveProperty("message", expect.stringContaining("it takes more work than one Secret may"));
  });

  test("an ordinary pattern handles 10,000 names", () => {
    const rules = keyRules({ rewrite: [{ pattern: "^([a-z]+)-(\\d+)$", replacement: "$2_$1" }] });
    const keys = within(1_000, () => Array.from({ length: 10_000 }, (_, index) => rules(`name-${index}`)));
    expect(keys.at(-1)).toBe("9999_name");
  });
});

test("turns any name under any rules into a valid key, or refuses it", () => {
  const part = fc.oneof(
    fc.constantFrom("a", "/", ".", "..", "$1", "${", "\\", "(", ")", "[", "*", "_", "é", "\ud800", "\n"),
    fc.string({ maxLength: 3 }),
  );
  const text = fc.array(part, { maxLength: 6 }).map((parts) => parts.join(""));
  const rules = fc.record<KeyRules>(
    {
      stripPrefix: text,
      separator: text,
      case: fc.constantFrom("Upper" as const, "Lower" as const),
      rewrite: fc.array(fc.record({ pattern: text, replacement: text }), { maxLength: 3 }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(text, rules, fc.option(text, { nil: undefined }), (name, each, path) => {
      const key = outcome(() => keyRules(each, path)(name));
      if (typeof key === "string") expect(isSecretKey(key)).toBe(true);
      else expect(key.reason).toBe("InvalidData");
    }),
    { numRuns: 2_000 },
  );
});
