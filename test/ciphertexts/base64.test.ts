import fc from "fast-check";
import { expect, test } from "vitest";
import { parseBase64 } from "../../src/ciphertexts/base64.ts";

test.each([
  ["an empty text", ""],
  ["missing padding", "eA"],
  ["too much padding", "eA==="],
  ["padding in the middle", "eA==eA=="],
  ["a line feed", "eHh4\n"],
  ["a space", "eHh4 Hg="],
  ["the Base64URL alphabet", "-_-_"],
  ["bits left over after the last byte", "eB=="],
  ["a letter that is not ASCII", "eHh\u00e9"],
])("refuses %s", (_, text) => {
  expect(parseBase64(text)).toBeUndefined();
});

test("decodes any encoded bytes unchanged, and encodes any accepted text unchanged", () => {
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
