import { describe, expect, it } from "vitest";
import { applyWarning, valueWarnings } from "../../src/cli/encrypt-warnings.ts";

const base64 = (value: string | Uint8Array) => Buffer.from(value).toString("base64");
const kmsBlob = Buffer.concat([Buffer.from("0102020078", "hex"), Buffer.alloc(140, 0xb7)]);

describe("a value that is probably a mistake", () => {
  it.each<[string, string | Uint8Array, RegExp]>([
    ["a line break", "value\n", /^the value ends with a line break, which is part of it/],
    ["a Windows line break", "value\r\n", /ends with a line break of Windows \(CR LF\)/],
    ["a carriage return", "value\r", /ends with a carriage return \(CR\)/],
    ["a UTF-8 byte order mark", "\uFEFFvalue", /begins with a byte order mark/],
    ["UTF-16 LE", Buffer.from("\uFEFFvalue", "utf16le"), /is UTF-16 with a byte order mark/],
    ["UTF-16 BE", Buffer.from("\uFEFFvalue", "utf16le").swap16(), /is UTF-16 with a byte order mark/],
    ["UTF-16 without a byte order mark", Buffer.from("value", "utf16le"), /has NUL bytes/],
    ["a text in base64", base64("a password"), /is a text in base64/],
    ["a text in base64 with a line break", `${base64("x".repeat(57))}\n${base64("y")}`, /is a text in base64/],
    ["base64 of base64", base64(base64("\x01\x02\x03\x04 binary")), /is base64 of base64/],
    ["a KMS blob in base64", base64(kmsBlob), /is a KMS ciphertext in base64 already/],
  ])("%s", (_, value, says) => {
    expect(valueWarnings(Buffer.from(value))).toEqual([expect.stringMatching(says)]);
  });

  it("several problems are all named, without the value", () => {
    const lines = valueWarnings(Buffer.from(`\uFEFF${base64("hunter2hunter2")}\0\r`));
    expect(lines).toHaveLength(3);
    expect(lines.join()).not.toMatch(/hunter2|aHVudGVy/);
  });

  it.each(["value", "hunter2hunter2hu", "correct horse battery staple", "deadbeefdeadbeef", "{}", "Zm9v"])(
    "%s gives no warning",
    (value) => expect(valueWarnings(Buffer.from(value))).toEqual([]),
  );
});

it("warns of an entry too large for the annotation of kubectl apply", () => {
  const entry = (bytes: number) => ({ encryptionSDK: { ciphertext: base64(Buffer.alloc(bytes)) } });
  expect(applyWarning(entry(120 * 1_024))).toBeUndefined();
  expect(applyWarning(entry(128 * 1_024))).toContain("use kubectl apply --server-side");
});
