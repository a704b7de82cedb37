import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { allowsKey, allowsParameter, allowsPath } from "../../src/aws/allow.ts";

const arn = "arn:aws:ssm:eu-west-1:123456789012:parameter";
const other = "arn:aws:ssm:eu-west-1:210987654321:parameter";
const secret = "/aws/reference/secretsmanager/prod";

describe("a parameter", () => {
  test.each<[string, string[] | undefined, string, boolean]>([
    ["is covered by its own name", ["/shop/db"], "/shop/db", true],
    ["is not covered by a name that is only a prefix of its name", ["/shop/db"], "/shop/db2", false],
    ["is not covered by a name in different case", ["/shop/db"], "/Shop/db", false],
    ["is covered by the pattern of its namespace", ["/{namespace}/*"], "/shop/a/b", true],
    ["is not covered by the pattern of another namespace", ["/{namespace}/*"], "/stock/db", false],
    ["is not covered if the namespace is only a prefix of its first level", ["/{namespace}/*"], "/shop2/db", false],
    ["is not covered by the pattern of its directory", ["/shop/*"], "/shop", false],
    ["is covered by a pattern that ends within a level", ["/shop/db*"], "/shop/db-user", true],
    ["is covered by any of several patterns", ["/a/*", "/shop/*"], "/shop/db", true],
    ["is covered by the pattern of everything", ["/*"], "/shop/db", true],
    ["is covered by a single star", ["*"], "db", true],
    ["is covered by its name with a slash, if requested without", ["/db"], "db", true],
    ["is covered by its name without a slash, if requested with one", ["db"], "/db", true],
    ["of an own connection without patterns is covered", undefined, "/anything", true],
    ["of a cluster connection without patterns is not covered", [], "/anything", false],
    ["is not covered by a star in the middle", ["/shop/*/db"], "/shop/x/db", false],
    ["is not covered by two stars", ["/shop/**"], "/shop/x", false],
    ["is not covered by a placeholder within a level", ["/team-{namespace}/*"], "/team-shop/x", false],
    ["is not covered by a placeholder before a star", ["/{namespace}*"], "/shop/x", false],
    ["is not covered by another placeholder", ["/{name}/*"], "/shop/x", false],
    ["with a version is refused", ["/*"], "/shop/db:3", false],
    ["with a version is refused without patterns", undefined, "/shop/db:3", false],
    ["with two dots is refused", ["/shop/*"], "/shop/../stock/db", false],
    ["with two slashes is refused", ["/shop/*"], "/shop//db", false],
    ["with an encoded slash is refused", ["/*"], "/shop%2fdb", false],
    ["by ARN is not covered by a name's pattern", ["/*"], `${arn}/shop/db`, false],
    ["by ARN is covered by an ARN's pattern", [`${arn}/{namespace}/*`], `${arn}/shop/db`, true],
    ["by ARN is not covered by another account's pattern", [`${other}/*`], `${arn}/shop/db`, false],
    ["by name is not covered by an ARN's pattern", [`${arn}/*`], "/shop/db", false],
    ["by ARN is not covered by a pattern with a star for the account", ["arn:aws:ssm:eu-west-1:*"], `${arn}/a`, false],
    ["of Secrets Manager is not covered by the pattern of everything", ["/*"], secret, false],
    ["of Secrets Manager is not covered by a single star", ["*"], secret, false],
    ["of Secrets Manager without its leading slash is not covered", ["*"], secret.slice(1), false],
    ["of Secrets Manager in different case is not covered", ["/*"], secret.replace("aws", "AWS"), false],
    ["of Secrets Manager is not covered by the pattern of all names of AWS", ["/aws/*"], secret, false],
    ["of Secrets Manager is not covered by a part of its prefix", ["/aws/ref*"], secret, false],
    ["of Secrets Manager is not covered by the pattern of public parameters", ["/aws/service/*"], secret, false],
    ["of Secrets Manager is covered by a pattern with its prefix", ["/aws/reference/secretsmanager/*"], secret, true],
    ["of Secrets Manager is covered by the whole prefix", ["/aws/reference/*"], secret, true],
    ["that AWS publishes is covered by a pattern with its prefix", ["/aws/service/*"], "/aws/service/eks/x", true],
    ["that AWS publishes is not covered by the pattern of everything", ["/*"], "/aws/service/eks/x", false],
    ["of Secrets Manager by ARN is not covered by the pattern of its account", [`${arn}/*`], `${arn}${secret}`, false],
  ])("%s", (_, patterns, name, allowed) => {
    expect(allowsParameter(patterns, name, "shop").allowed).toBe(allowed);
  });

  test("of Secrets Manager is not covered for a namespace named aws or reference", () => {
    expect(allowsParameter(["/{namespace}/*", "/{namespace}/reference/*"], secret, "aws").allowed).toBe(false);
    expect(allowsParameter(["/aws/{namespace}/*"], secret, "reference").allowed).toBe(false);
  });

  test("is not covered by a placeholder if the namespace name is invalid", () => {
    expect(allowsParameter(["/{namespace}/*"], "/a/b/c", "a/b").allowed).toBe(false);
    expect(allowsParameter(["/{namespace}/*"], "/a/b", "").allowed).toBe(false);
  });

  test("that is refused gets a message with the first five patterns of its namespace", () => {
    const patterns = ["a", "b", "c", "d", "e", "f"].map((name) => `/${name}/{namespace}/*`);
    const verdict = allowsParameter(patterns, "/stock/db", "shop");
    const rule =
      'allow.parameters of its connection does not cover it; by its own name namespace shop has "/a/shop/*", "/b/shop/*", "/c/shop/*", "/d/shop/*", "/e/shop/*" and 1 more';
    expect(verdict).toEqual({ allowed: false, rule });
    expect(allowsParameter([], "/a", "shop")).toEqual({
      allowed: false,
      rule: "its connection has no allow.parameters",
    });
  });
});

describe("a refusal quotes no pattern that may belong to another namespace:", () => {
  const not = "allow.parameters of its connection does not cover it";
  test.each<[string, string[], string]>([
    ["of another team", ["/team-b/*"], not],
    ["of another account", [`${other}/team-b/*`], not],
    ["with an invalid placeholder", ["/team-{namespace}/*", "/{namespace}*"], not],
    [
      "next to a pattern of its namespace",
      ["/team-b/*", "/{namespace}/*"],
      `${not}; by its own name namespace shop has "/shop/*"`,
    ],
  ])("%s", (_, patterns, rule) => {
    expect(allowsParameter(patterns, "/stock/db", "shop")).toEqual({ allowed: false, rule });
    expect(allowsPath(patterns, "/stock", "shop")).toEqual({ allowed: false, rule });
  });
});

describe("a path", () => {
  test.each<[string, string[] | undefined, string, boolean]>([
    ["is covered by the pattern of everything below it", ["/shop/*"], "/shop", true],
    ["is covered with a trailing slash", ["/shop/*"], "/shop/", true],
    ["is covered by the pattern of a path above it", ["/shop/*"], "/shop/db/x", true],
    ["is covered by the pattern of its namespace", ["/{namespace}/*"], "/shop/", true],
    ["is not covered by a narrower pattern", ["/shop/db*"], "/shop", false],
    ["is not covered by several patterns together", ["/shop/a*", "/shop/b*"], "/shop", false],
    ["is not covered by a name", ["/shop"], "/shop", false],
    ["is not covered by an ARN's pattern", [`${arn}/*`], "/shop", false],
    ["is not covered by the pattern of another path with the same prefix", ["/shop/*"], "/shop2", false],
    ["above every pattern is not covered", ["/shop/*"], "/", false],
    ["of everything is covered by the pattern of everything", ["/*"], "/", true],
    ["of an own connection without patterns is covered", undefined, "/", true],
    ["with two dots is refused", ["/shop/*"], "/shop/../stock", false],
    ["with two dots is refused without patterns", undefined, "/shop/..", false],
    ["with two slashes is refused", ["/shop/*"], "/shop//", false],
    ["that is an ARN is refused", [`${arn}/*`], `${arn}/shop`, false],
    ["of public parameters is not covered by the pattern of everything", ["/*"], "/aws/service/eks", false],
    ["above /aws/service is never covered", ["/aws/*", "/aws/service/*"], "/aws", false],
    ["of public parameters is covered by a pattern with its prefix", ["/aws/service/*"], "/aws/service/eks", true],
  ])("%s", (_, patterns, path, allowed) => {
    expect(allowsPath(patterns, path, "shop").allowed).toBe(allowed);
  });
});

describe("a key", () => {
  const key = "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab";
  test.each<[string, string[] | undefined, string, boolean]>([
    ["is allowed by its ARN", [key], key, true],
    ["is allowed if no list of keys is set", undefined, "alias/x", true],
    ["is not allowed by an empty list", [], key, false],
    ["with a multi-Region id is allowed in another region", [key], key.replace("eu-west-1", "eu-west-2"), true],
    [
      "with a multi-Region id is not allowed in another partition",
      [key],
      key.replace("arn:aws:", "arn:aws-cn:"),
      false,
    ],
    [
      "with a multi-Region id is not allowed in another account",
      [key],
      key.replace("123456789012", "999999999999"),
      false,
    ],
    [
      "with a single-Region id is not allowed in another region",
      [key.replace("mrk-", "")],
      key.replace("mrk-", "").replace("eu-west-1", "eu-west-2"),
      false,
    ],
    ["by its id is not allowed", [key], "mrk-1234abcd12ab34cd56ef1234567890ab", false],
    ["by an alias is not allowed, even if the alias is listed", ["alias/x"], "alias/x", false],
    ["by an alias's ARN is not allowed, even if the ARN is listed", [`${key}x:alias/x`], `${key}x:alias/x`, false],
    ["in different case is not allowed", [key], key.toUpperCase(), false],
  ])("%s", (_, keyIds, id, allowed) => {
    expect(allowsKey(keyIds, id).allowed).toBe(allowed);
  });
});

describe("for any input", () => {
  const part = fc.constantFrom("shop", "shop2", "Shop", "stock", "aws", "AWS", "reference", "..", ".", "", "*", "a");
  const joint = fc.constantFrom("/", "//", "%2f", "/../", ":", "\\", "/./");
  const nasty = fc
    .tuple(fc.constantFrom("/", "", `${arn}/`), fc.array(fc.tuple(part, joint), { maxLength: 5 }), part)
    .map(([start, middle, end]) => start + middle.flat().join("") + end);

  test("a namespace's pattern allows nothing outside the namespace's directory", () => {
    fc.assert(
      fc.property(nasty, (name) => {
        if (allowsParameter(["/{namespace}/*"], name, "shop").allowed) {
          expect(name).toMatch(/^\/?shop\/[a-zA-Z0-9_.\-/]+$/);
          expect(name).not.toMatch(/\.\.|\/\/|:/);
        }
        if (allowsPath(["/{namespace}/*"], name, "shop").allowed) {
          expect(name).toMatch(/^\/?shop(\/[a-zA-Z0-9_.\-/]*)?$/);
          expect(name).not.toMatch(/\.\.|\/\/|:/);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("every name below an allowed path is allowed, except for names of AWS", () => {
    const pattern = fc.constantFrom("/*", "/shop/*", "/sh*", "/{namespace}/*", "/aws/service/*", "/shop", "*");
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 3 }), nasty, part, (patterns, path, member) => {
        if (!/^[a-z]+$/.test(member) || !allowsPath(patterns, path, "shop").allowed) return;
        const name = `${path.replace(/\/$/, "")}/${member}`;
        const isAws = /^\/aws(\/|$)/i.test(name);
        if (!isAws && name.split("/").length <= 16) expect(allowsParameter(patterns, name, "shop").allowed).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test("the check takes time linear in the length of the input", () => {
    const long = `/${"a/".repeat(500_000)}`;
    const start = performance.now();
    allowsParameter([long, `${long}*`], long, "shop");
    allowsPath([`${long}*`], long, "shop");
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});
