import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseMessageHeader } from "../../src/ciphertexts/message-header.ts";
import { FakeKms, keyArn } from "./message-maker.ts";

const other = keyArn("99999999-12ab-34cd-56ef-1234567890ab");

/** Builds a header by hand, for cases that no library writes. */
function header(parts: {
  suite?: number;
  context?: readonly (readonly [string | Uint8Array, string])[];
  keys?: readonly (readonly [string | Uint8Array, string | Uint8Array])[];
  /** Overrides the true number of data keys. */
  count?: number;
}): Buffer {
  const { suite = 0x0578, context = [], keys = [["aws-kms", keyArn()]], count = keys.length } = parts;
  const short = (value: number) => Buffer.from([value >> 8, value & 0xff]);
  const field = (value: string | Uint8Array) => Buffer.concat([short(Buffer.from(value).length), Buffer.from(value)]);
  const pairs = Buffer.concat(context.flatMap(([name, value]) => [field(name), field(value)]));
  const section = context.length === 0 ? Buffer.alloc(0) : Buffer.concat([short(context.length), pairs]);
  const dataKeys = keys.flatMap(([provider, name]) => [field(provider), field(name), field("encrypted")]);
  return Buffer.concat([Buffer.from([2]), short(suite), Buffer.alloc(32), field(section), short(count), ...dataKeys]);
}

describe("a header", () => {
  test.each([0x0478, 0x0578, 0x0178, 0x0378])("of suite %i describes how the message was encrypted", async (suite) => {
    const context = { team: "shop", "": "", ключ: "значение" };
    const message = await new FakeKms().message("value", { keys: [keyArn(), other], context, suite });
    const parsed = parseMessageHeader(message);
    if (!("header" in parsed)) throw new Error(parsed.problem);
    expect(parsed.header).toMatchObject({
      version: suite === 0x0478 || suite === 0x0578 ? 2 : 1,
      suite,
      keys: [
        { provider: "aws-kms", name: keyArn() },
        { provider: "aws-kms", name: other },
      ],
    });
    const { "aws-crypto-public-key": _, ...pairs } = Object.fromEntries(parsed.header.context);
    expect(pairs).toEqual(context);
  });

  test("that is truncated anywhere is reported as truncated", async () => {
    const message = await new FakeKms().message("value", { context: { team: "shop" }, suite: 0x0478 });
    const written = header({ context: [["team", "shop"]] });
    for (let length = 1; length < written.length; length++) {
      expect(parseMessageHeader(written.subarray(0, length))).toEqual({
        problem: expect.stringContaining("is cut off"),
      });
      expect(parseMessageHeader(message.subarray(0, length))).not.toHaveProperty("header.keys.1");
    }
  });

  test("omits the names and infos of other providers' data keys, which need not be text", () => {
    const binary = Buffer.from([0xff, 0xfe, 0x00, 0x80]);
    const keys = [["raw", binary] as const, [binary, binary] as const, ["aws-kms", keyArn()] as const];
    expect(parseMessageHeader(header({ keys }))).toMatchObject({
      header: {
        keys: [
          { provider: "raw", name: "" },
          { provider: "", name: "" },
          { provider: "aws-kms", name: keyArn() },
        ],
      },
    });
  });

  test("with a name of Object.prototype in its context keeps it as an ordinary name", () => {
    const parsed = parseMessageHeader(header({ context: [["__proto__", "x"]] }));
    expect("header" in parsed && [...parsed.header.context]).toEqual([["__proto__", "x"]]);
  });
});

describe("bytes that are not a header", () => {
  // The context has two pairs but a count of one.
  const overfull = header({
    context: [
      ["a", "1"],
      ["b", "2"],
    ],
  });
  overfull[38] = 1;

  test.each<[string, Uint8Array, RegExp]>([
    ["no bytes", Buffer.alloc(0), /is empty/],
    ["a blob of kms:Encrypt", Buffer.from([1, 2, 2, 0, 120, 9]), /give it as kms\.ciphertext/],
    ["an older blob of kms:Encrypt", Buffer.from([1, 1, 2, 0, 120, 9]), /give it as kms\.ciphertext/],
    ["text", Buffer.from("password"), /is not a message of the AWS Encryption SDK/],
    ["an RSA blob", Buffer.alloc(256, 7), /is not a message of the AWS Encryption SDK/],
    ["a message without data keys", header({ keys: [] }), /is damaged/],
    [
      "a message with eleven data keys",
      header({ keys: Array(11).fill(["aws-kms", keyArn()]) }),
      /has 11 data keys: at most 10/,
    ],
    ["a message that claims 65,535 data keys", header({ count: 65_535 }), /has 65535 data keys/],
    [
      "a message with a pair twice",
      header({
        context: [
          ["a", "1"],
          ["a", "2"],
        ],
      }),
      /is damaged/,
    ],
    ["a message with more context than its count", overfull, /is damaged/],
    ["a message with a context name that is not text", header({ context: [[Buffer.from([0xff]), "1"]] }), /is damaged/],
  ])("%s", (_, bytes, problem) => {
    expect(parseMessageHeader(bytes)).toEqual({ problem: expect.stringMatching(problem) });
  });

  test("cause a problem and never an exception", () => {
    const written = header({
      context: [["team", "shop"]],
      keys: [
        ["aws-kms", keyArn()],
        ["x", "y"],
      ],
    });
    const damaged = fc
      .tuple(fc.nat(written.length - 1), fc.nat(255), fc.nat(written.length))
      .map(([at, byte, length]) => {
        const bytes = Buffer.from(written);
        bytes[at] = byte;
        return bytes.subarray(0, length);
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), damaged), (bytes) => {
        const parsed = parseMessageHeader(bytes);
        if ("header" in parsed) {
          expect(parsed.header.keys.length).toBeGreaterThan(0);
          expect(parsed.header.keys.length).toBeLessThanOrEqual(10);
        } else expect(parsed.problem).toMatch(/^(is|has) [a-zA-Z]|^has [0-9]+ data keys/);
      }),
      { numRuns: 2_000 },
    );
  });
});
