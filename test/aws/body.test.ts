import { PassThrough, Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { BodyTooLarge, boundedBody } from "../../src/aws/body.ts";

const read = boundedBody(10);

describe("the body of an answer", () => {
  test.each([
    ["in one chunk", ["0123456789"]],
    ["in several chunks", ["01234", "56789"]],
    ["that is empty", []],
  ])("is read %s", async (_, chunks) => {
    const stream = Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
    expect(Buffer.from(await read(stream)).toString()).toBe(chunks.join(""));
  });

  test("above its limit is an error, and closes the connection", async () => {
    const stream = new PassThrough();
    stream.write("01234");
    stream.write("567890");
    await expect(read(stream)).rejects.toBeInstanceOf(BodyTooLarge);
    expect(stream.destroyed).toBe(true);
  });

  test("that breaks off is an error", async () => {
    const [broken, gone] = [new PassThrough(), new PassThrough()];
    const reading = [read(broken), read(gone)];
    broken.write("01234");
    broken.destroy(new Error("reset"));
    gone.destroy();
    await expect(reading[0]).rejects.toThrow("reset");
    await expect(reading[1]).rejects.toThrow("closed");
  });

  test("whose connection was closed before is an error", async () => {
    const [broken, gone] = [new PassThrough(), new PassThrough()];
    broken.on("error", () => {}).destroy(new Error("reset"));
    gone.destroy();
    await expect(read(broken)).rejects.toThrow("reset");
    await expect(read(gone)).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  test("that was read before is empty", async () => {
    const stream = Readable.from([Buffer.from("01234")]);
    await read(stream);
    expect(await read(stream)).toHaveLength(0);
  });
});
