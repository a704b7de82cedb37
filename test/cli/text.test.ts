import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { decodeText, encodeText } from "../../src/cli/text.ts";

const text = "kind: SyncedSecret\n# ä€😀\n";
const utf16 = Buffer.from(text, "utf16le");

describe("a text is decoded and encoded byte for byte", () => {
  it.each<[string, Uint8Array]>([
    ["UTF-8", Buffer.from(text)],
    ["UTF-8 with a byte order mark", Buffer.from(`\uFEFF${text}`)],
    ["UTF-16 LE", utf16],
    ["UTF-16 LE with a byte order mark", Buffer.from(`\uFEFF${text}`, "utf16le")],
    ["UTF-16 BE", Buffer.from(utf16).swap16()],
    ["UTF-16 BE with a byte order mark", Buffer.from(`\uFEFF${text}`, "utf16le").swap16()],
  ])("in %s", (_, bytes) => {
    const read = decodeText(bytes)!;
    expect(read.text).toBe(text);
    expect(Buffer.from(encodeText(read.text, read.encoding))).toEqual(Buffer.from(bytes));
  });
});

it.each<[string, Uint8Array]>([
  ["Latin-1", Buffer.from("# äö\n", "latin1")],
  ["UTF-32", Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0])],
  ["an incomplete character", Buffer.from([0xff, 0xfe, 0x61])],
  ["a binary file", Buffer.from([1, 2, 0, 0, 3])],
])("%s is refused, because it could not be written back", (_, bytes) => expect(decodeText(bytes)).toBeUndefined());

test("any decoded text is encoded to the same bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const read = decodeText(bytes);
      if (read) expect(Buffer.from(encodeText(read.text, read.encoding))).toEqual(Buffer.from(bytes));
    }),
  );
});
