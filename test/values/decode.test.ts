import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decode } from "../../src/values/decode.ts";
import { bytesOf } from "../../src/values/text.ts";
import { canary, outcome, refusal, within } from "./support.ts";

const decoded = (text: string, encoding: "Base64" | "Base64URL") =>
  Buffer.from(decode(Buffer.from(text), encoding)).toString("latin1");

describe("decodes text", () => {
  test.each<[string, string, "Base64" | "Base64URL", string]>([
    ["in Base64", "+/8=", "Base64", "\u00fb\u00ff"],
    ["in Base64URL", "-_8", "Base64URL", "\u00fb\u00ff"],
    ["in Base64URL with padding", "-_8=", "Base64URL", "\u00fb\u00ff"],
    ["in lines, as openssl and PEM write it", "YWJj\r\nZGVm\n", "Base64", "abcdef"],
    ["with spaces around it", " YQ== ", "Base64", "a"],
    ["that is empty", "", "Base64", ""],
    ["with a byte order mark before it", "\ufeffYQ==", "Base64", "a"],
  ])("%s", (_, text, encoding, bytes) => {
    expect(decoded(text, encoding)).toBe(bytes);
  });
});

describe("refuses invalid text without quoting it", () => {
  test.each<[string, string, "Base64" | "Base64URL", string]>([
    ["characters of Base64URL in Base64", "-_8=", "Base64", "has a character in it"],
    ["characters of Base64 in Base64URL", "+/8=", "Base64URL", "has a character in it"],
    ["a character of neither alphabet", canary, "Base64", "has a character in it"],
    ["padding in the middle", "YQ==YQ==", "Base64", "has a character in it"],
    ["three characters of padding", "YQ===", "Base64", "has a character in it"],
    ["padding alone", "=", "Base64", "length or padding is wrong"],
    ["missing padding in Base64", "YQ", "Base64", "length or padding is wrong"],
    ["too little padding", "YQ=", "Base64", "length or padding is wrong"],
    ["too little padding in Base64URL", "YQ=", "Base64URL", "length or padding is wrong"],
    ["a single character left over", "YWJjZ", "Base64URL", "length or padding is wrong"],
    ["bits left over", "YR==", "Base64", "has bits left over"],
    ["bits left over in Base64URL", "YR", "Base64URL", "has bits left over"],
  ])("%s", (_, text, encoding, message) => {
    const told = refusal(() => decode(Buffer.from(text), encoding));
    expect(told).toContain(message);
    expect(told).not.toContain(canary);
  });

  test("refuses bytes that are not text", () => {
    expect(refusal(() => decode(Uint8Array.of(0xff), "Base64"))).toContain("not text in UTF-8");
  });

  test("refuses over 1 MiB", () => {
    expect(outcome(() => decode(new Uint8Array(1_048_577), "Base64"))).toHaveProperty("reason", "TooLarge");
  });
});

test("decodes any encoded bytes to the same bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom("base64" as const, "base64url" as const), (bytes, name) => {
      const text = bytesOf(Buffer.from(bytes).toString(name));
      expect([...decode(text, name === "base64" ? "Base64" : "Base64URL")]).toEqual([...bytes]);
    }),
  );
});

test.each(["=", "A", " ", "\n", "é"])("handles 1 MiB of %j quickly", (piece) => {
  within(100, () => outcome(() => decode(bytesOf(piece.repeat(1_048_576 / Buffer.byteLength(piece))), "Base64")));
});
