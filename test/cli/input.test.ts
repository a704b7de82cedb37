import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readValue } from "../../src/cli/input.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "keyferry-input-"));
});
afterAll(() => rm(directory, { recursive: true }));

const read = async (file: string, most = 1_000) => Buffer.from((await readValue(file, most)).reveal());

describe("the value", () => {
  it("of a file is read byte for byte, and of a longer file one byte above the limit", async () => {
    const file = join(directory, "value");
    await writeFile(file, Buffer.from([0, 1, 255, 10]));
    expect([...(await read(file))]).toEqual([0, 1, 255, 10]);
    expect(await read(file, 3)).toHaveLength(4);
    await writeFile(file, "");
    expect(await read(file)).toHaveLength(0);
  });

  it("of a file without a size is read whole", async () => {
    expect(await read("/proc/version")).toEqual(await readFile("/proc/version"));
  });

  it("of a named pipe, as from a shell's <(command), is read whole", async () => {
    const pipe = join(directory, "pipe");
    await promisify(execFile)("mkfifo", [pipe]);
    const [value] = await Promise.all([read(pipe), writeFile(pipe, "through a pipe")]);
    expect(value.toString()).toBe("through a pipe");
  });

  it("is refused for a directory or a missing file, without repeating the argument", async () => {
    await expect(read(directory)).rejects.toThrow(/^the argument is not a readable file/);
    await expect(read(join(directory, "absent"))).rejects.toThrow(/^the argument is not a readable file; a value/);
  });
});
