import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseMessageHeader } from "../../src/ciphertexts/message-header.ts";
import { FakeKms, keyArn } from "./message-maker.ts";

const other = keyArn("99999999-12ab-34cd-56ef-1234567890ab");

/** A header written by hand, for what no library would write. */
function header(parts: {
  suite?: number;
  context?: readonly (readonly [string | Uint8Array, string])[];
  keys?: readonly (readonly [string | Uint8Array, string | Uint8Array])[];
  /** In place of the true number of data keys. */
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
  test.each([0x0478, 0x0578, 0x0178, 0x0378])("of suite %i tells what the message was made with", async (suite) => {
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

  test("that is cut off anywhere says so, and nothing else", async () => {
    const message = await new FakeKms().message("value", { context: { team: "shop" }, suite: 0x0478 });
    const written = header({ context: [["team", "shop"]] });
    for (let length = 1; length < written.length; length++) {
      expect(parseMessageHeader(written.subarray(0, length))).toEqual({
        problem: expect.stringContaining("is cut off"),
      });
      expect(parseMessageHeader(message.subarray(0, length))).not.toHaveProperty("header.keys.1");
    }
  });

  test("tells nothing of data keys of other providers, whose names and infos may be no text", () => {
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

  test("with the name of a prototype in its context holds it as any other", () => {
    const parsed = parseMessageHeader(header({ context: [["__proto__", "x"]] }));
    expect("header" in parsed && [...parsed.header.context]).toEqual([["__proto__", "x"]]);
  });
});

describe("bytes that are no header", () => {
  // The context's two pairs, counted as one.
  const overfull = header({
    context: [
      ["a", "1"],
      ["b", "2"],
    ],
  });
  overfull[38] = 1;

  test.each<[string, Uint8Array, RegExp]>([
    ["none", Buffer.alloc(0), /is empty/],
    ["a blob of kms:Encrypt", Buffer.from([1, 2, 2, 0, 120, 9]), /give it as kms\.ciphertext/],
    ["an older blob of kms:Encrypt", Buffer.from([1, 1, 2, 0, 120, 9]), /give it as kms\.ciphertext/],
    ["text", Buffer.from("password"), /is not a message of the AWS Encryption SDK/],
    ["an RSA blob", Buffer.alloc(256, 7), /is not a message of the AWS Encryption SDK/],
    ["a message without data keys", header({ keys: [] }), /is damaged/],
    ["a message with eleven", header({ keys: Array(11).fill(["aws-kms", keyArn()]) }), /has 11 data keys: at most 10/],
    ["a message that counts 65,535", header({ count: 65_535 }), /has 65535 data keys/],
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
    ["a message with more than its context counts", overfull, /is damaged/],
    ["a message with a name that is no text", header({ context: [[Buffer.from([0xff]), "1"]] }), /is damaged/],
  ])("%s", (_, bytes, problem) => {
    expect(parseMessageHeader(bytes)).toEqual({ problem: expect.stringMatching(problem) });
  });

  test("are never more than a problem, whatever they are", () => {
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
