import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Failure } from "../../src/runtime/failure.ts";
import { prepareSelection, selectMembers } from "../../src/values/select.ts";
import { within } from "./support.ts";

const names = ["/shop/db", "/shop/db/user", "/shop/cache", "/shop/old/db"];

describe("selects from the parameters of a path", () => {
  test.each<[string, { include?: string[]; exclude?: string[] }, string[]]>([
    ["all names without patterns", {}, names],
    ["all names with empty lists", { include: [], exclude: [] }, names],
    [
      "names with a match anywhere in the full name",
      { include: ["db"] },
      ["/shop/db", "/shop/db/user", "/shop/old/db"],
    ],
    ["names that match an anchored pattern", { include: ["^/shop/[^/]+$"] }, ["/shop/db", "/shop/cache"]],
    ["names that match any include pattern", { include: ["cache", "user$"] }, ["/shop/db/user", "/shop/cache"]],
    ["names that match no exclude pattern", { exclude: ["/old/", "user"] }, ["/shop/db", "/shop/cache"]],
    [
      "no name that matches both include and exclude",
      { include: ["db"], exclude: ["user"] },
      ["/shop/db", "/shop/old/db"],
    ],
    ["names in any case with (?i)", { include: ["(?i)CACHE"] }, ["/shop/cache"]],
  ])("%s", (_, patterns, taken) => {
    expect(selectMembers(names, patterns)).toEqual(taken);
  });
});

test.each([
  [{ include: ["a", "(?=b)"] }, "path.include[1] is not an RE2 pattern"],
  [{ exclude: ["["] }, "path.exclude[0] is not an RE2 pattern"],
  [{ exclude: ["a{1000}"] }, "path.exclude[0] is too large"],
])("reports an invalid pattern as a failure of the spec: %j", (patterns, message) => {
  try {
    selectMembers([], patterns);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(Failure);
    expect(error).toMatchObject({ reason: "InvalidData", next: "stalled", message: expect.stringContaining(message) });
  }
});

test("prepares 10,000 names and 20 patterns in short slices", async () => {
  const many = Array.from({ length: 10_000 }, (_, index) => `/shop/checkout/parameter-${index}`);
  const include = Array.from({ length: 20 }, (_, index) => `-${index}$`);
  expect(() => selectMembers(many, { include })).toThrow("have not been tried on all names yet");
  await prepareSelection(many, { include });
  expect(within(50, () => selectMembers(many, { include }))).toHaveLength(20);
});

test("include and exclude of the same patterns split all names", () => {
  const name = fc.stringMatching(/^[ab/]{0,6}$/);
  const pattern = fc.constantFrom("a", "b", "^a", "/$", "a.b", "[^a]");
  fc.assert(
    fc.property(fc.uniqueArray(name), fc.array(pattern, { minLength: 1 }), (all, patterns) => {
      const taken = selectMembers(all, { include: patterns });
      expect(selectMembers(all, { exclude: patterns })).toEqual(all.filter((each) => !taken.includes(each)));
    }),
  );
});
