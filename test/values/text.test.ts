import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf, placeOf, textOf } from "../../src/values/text.ts";
import { outcome, refusal } from "./support.ts";

test("any text comes back from its bytes, less a byte order mark", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(textOf(bytesOf(`\ufeff${text}`))).toBe(text);
    }),
  );
});

test("half of a surrogate pair cannot be written", () => {
  expect(refusal(() => bytesOf("a\ud800"))).toContain("lone surrogate");
});

describe("bytes that are not UTF-8 are refused", () => {
  test.each<[string, number[]]>([
    ["a byte that never comes", [0xff]],
    ["a character that is cut", [0xc3]],
    ["a longer form than is needed", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
  ])("%s", (_, bytes) => {
    expect(refusal(() => textOf(Uint8Array.from(bytes)))).toContain("not text in UTF-8");
  });
});

test("1 MiB is read, and a byte more is too large", () => {
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
