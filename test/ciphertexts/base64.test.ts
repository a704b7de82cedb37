import fc from "fast-check";
import { expect, test } from "vitest";
import { parseBase64 } from "../../src/ciphertexts/base64.ts";

test.each([
  ["nothing", ""],
  ["no padding", "eA"],
  ["too much padding", "eA==="],
  ["padding in the middle", "eA==eA=="],
  ["a line feed", "eHh4\n"],
  ["a space", "eHh4 Hg="],
  ["the alphabet of URLs", "-_-_"],
  ["bits left over after the last byte", "eB=="],
  ["another letter", "eHh\u00e9"],
])("refuses %s", (_, text) => {
  expect(parseBase64(text)).toBeUndefined();
});

test("reads back whatever bytes were written, and writes back whatever text it took", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
      expect(Buffer.from(parseBase64(Buffer.from(bytes).toString("base64"))!)).toEqual(Buffer.from(bytes));
    }),
  );
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9+/=]{0,12}$/), (text) => {
      const bytes = parseBase64(text);
      if (bytes) expect(Buffer.from(bytes).toString("base64")).toBe(text);
    }),
  );
});
