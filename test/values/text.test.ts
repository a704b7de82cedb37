import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf, placeOf, textOf } from "../../src/values/text.ts";
import { outcome, refusal } from "./support.ts";

test("decodes any encoded text unchanged, without a byte order mark", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(textOf(bytesOf(`\ufeff${text}`))).toBe(text);
    }),
  );
});

test("refuses to encode a lone surrogate", () => {
  expect(refusal(() => bytesOf("a\ud800"))).toContain("lone surrogate");
});

describe("refuses bytes that are not UTF-8", () => {
  test.each<[string, number[]]>([
    ["a byte that UTF-8 never uses", [0xff]],
    ["an incomplete character", [0xc3]],
    ["an overlong form", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
  ])("%s", (_, bytes) => {
    expect(refusal(() => textOf(Uint8Array.from(bytes)))).toContain("not text in UTF-8");
  });
});

test("reads 1 MiB and refuses one byte more", () => {
  expect(textOf(Buffer.alloc(1_048_576, "a"))).toHaveLength(1_048_576);
  expect(outcome(() => textOf(Buffer.alloc(1_048_577, "a")))).toEqual({
    reason: "TooLarge",
    message: "the value has 1048577 bytes, and at most 1048576 can be read",
  });
});

test.each([
  ["abc", 0, "line 1, column 1"],
  ["abc", 3, "line 1, column 4"],
  ["a\nbc", 1, "line 1, column 2"],
  ["a\nbc", 2, "line 2, column 1"],
  ["\n\n", 2, "line 3, column 1"],
])("in %j, offset %i is %s", (text, offset, place) => {
  expect(placeOf(text, offset)).toBe(place);
});
