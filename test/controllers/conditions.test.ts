import fc from "fast-check";
import { expect, it } from "vitest";
import { isSame } from "../../src/controllers/conditions.ts";

const data = fc.jsonValue({ maxDepth: 4 });

/** The same data with the key order of each object reversed. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}

it("data is equal regardless of key order and of undefined properties", () => {
  fc.assert(
    fc.property(data, (value) => {
      expect(isSame(value, reversed(JSON.parse(JSON.stringify(value))))).toBe(true);
      expect(isSame({ value, absent: undefined }, { value })).toBe(true);
    }),
  );
});

it("data is equal exactly if its JSON is equal", () => {
  // JSON has no minus zero.
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
  ["null and an empty object", null, {}],
  ["a list and the same list with another item", [1], [1, 2]],
  ["an additional key", { a: 1 }, { a: 1, b: 2 }],
  ["another key", { a: 1 }, { b: 1 }],
  ["a text and a number", "1", 1],
  ["an inherited property", { a: {} }, { a: [] }],
])("not the same: %s", (_, a, b) => {
  expect(isSame(a, b)).toBe(false);
  expect(isSame(b, a)).toBe(false);
});
