import fc from "fast-check";
import { expect, it } from "vitest";
import { each, type OneOrMany, withOne, withoutOne } from "../../src/runtime/one-or-many.ts";
import { OneOrManyMap } from "../../src/runtime/one-or-many-map.ts";

const names = fc.constantFrom("a", "b", "c", "d");

it("OneOrMany behaves like a Set", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), names)), (steps) => {
      const set = new Set<string>();
      let few: OneOrMany<string>;
      for (const [adds, name] of steps) {
        if (adds) set.add(name);
        else set.delete(name);
        few = adds ? withOne(few, name) : withoutOne(few, name);
        expect([...each(few)]).toEqual([...set]);
        expect(few instanceof Set).toBe(set.size > 1);
      }
    }),
  );
});

it("OneOrManyMap behaves like a Map", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.option(fc.nat(9), { nil: undefined }), names)), (steps) => {
      const map = new Map<string, number>();
      const small = new OneOrManyMap<number>();
      for (const [value, name] of steps) {
        if (value === undefined) {
          map.delete(name);
          small.delete(name);
        } else {
          map.set(name, value);
          small.set(name, value);
        }
        expect(small.size).toBe(map.size);
        expect([...small.keys()]).toEqual([...map.keys()]);
        expect([...small.values()]).toEqual([...map.values()]);
        for (const key of ["a", "b", "c", "d"]) expect(small.get(key)).toBe(map.get(key));
      }
    }),
  );
});
