import fc from "fast-check";
import { expect, it } from "vitest";
import { isSame } from "../../src/controllers/conditions.ts";

const data = fc.jsonValue({ maxDepth: 4 });

/** The same data with the keys of each object the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}

it("data is the same whatever the order of its keys, and with keys that hold nothing", () => {
  fc.assert(
    fc.property(data, (value) => {
      expect(isSame(value, reversed(JSON.parse(JSON.stringify(value))))).toBe(true);
      expect(isSame({ value, absent: undefined }, { value })).toBe(true);
    }),
  );
});

it("data is the same where JSON says the same of it, and nowhere else", () => {
  // JSON knows no minus zero.
  const plain = fc.object({ key: fc.constantFrom("a", "b"), values: [fc.constantFrom(1, 2, "", null, [], {}, [1])] });
  const canonical = (value: object) => JSON.stringify(value, Object.keys(value).sort());
  fc.assert(
    fc.property(plain, plain, (a, b) => {
      const isFlat = [a, b].every((one) => Object.values(one).every((inner) => typeof inner !== "object"));
      fc.pre(isFlat);
      expect(isSame(a, b)).toBe(canonical(a) === canonical(b));
    }),
  );
});

it.each([
  ["an array and an object", [], {}],
  ["nothing and an empty object", null, {}],
  ["a list and the same with one more", [1], [1, 2]],
  ["a key more", { a: 1 }, { a: 1, b: 2 }],
  ["another key", { a: 1 }, { b: 1 }],
  ["a text and a number", "1", 1],
  ["what an object inherits", { a: {} }, { a: [] }],
])("not the same: %s", (_, a, b) => {
  expect(isSame(a, b)).toBe(false);
  expect(isSame(b, a)).toBe(false);
});
