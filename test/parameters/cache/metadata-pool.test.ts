import { expect, it } from "vitest";
import { MetadataPool } from "../../../src/parameters/cache/metadata-pool.ts";

it("parameters with an equal key share one object, and at most 1,000 keys are kept", () => {
  const pool = new MetadataPool();
  const [first, none] = [pool.of("key-0"), pool.of(undefined)];
  expect(first).toEqual({ keyId: "key-0" });
  expect(none).toEqual({});
  for (let n = 1; n < 1_500; n++) {
    pool.of(`key-${n}`);
    // A key in use is never evicted.
    expect(pool.of(undefined)).toBe(none);
  }
  expect(pool.of("key-1499")).toBe(pool.of("key-1499"));
  expect(pool.of("key-0")).not.toBe(first);
  expect(pool.of("key-0")).toEqual(first);
});
