import { expect, it } from "vitest";
import { Abouts } from "../../src/parameters/abouts.ts";

it("an object is shared by all that have an equal key, and no more than 1,000 keys are kept", () => {
  const abouts = new Abouts();
  const [first, none] = [abouts.of("key-0"), abouts.of(undefined)];
  expect(first).toEqual({ keyId: "key-0" });
  expect(none).toEqual({});
  for (let n = 1; n < 1_500; n++) {
    abouts.of(`key-${n}`);
    // One that is in use stays, however many come and go.
    expect(abouts.of(undefined)).toBe(none);
  }
  expect(abouts.of("key-1499")).toBe(abouts.of("key-1499"));
  expect(abouts.of("key-0")).not.toBe(first);
  expect(abouts.of("key-0")).toEqual(first);
});
