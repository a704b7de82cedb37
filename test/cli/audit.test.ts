import { execFile, spawn } from "node:child_process";
import { constants } from "node:fs";
import { mkdir, mkdtemp, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { auditSink, writerOf } from "../../src/cli/audit.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { FakeClock, settle } from "../support/clock.ts";

let folder: string;
let written: number;
const wrote = (lines: number) => {
  written += lines;
};

beforeEach(() => {
  written = 0;
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "keyferry-audit-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("lines to a sink that takes some bytes at a time", () => {
  /** Writes to a text that answers each attempt as given: a number of bytes, or a failure. */
  const rig = (...takes: (number | string)[]) => {
    const clock = new FakeClock();
    const state = { text: "" };
    const write = writerOf(async (bytes, offset) => {
      const take = takes.shift() ?? bytes.length;
      if (typeof take === "string") throw Object.assign(new Error(), { code: take });
      const some = bytes.subarray(offset, offset + take);
      state.text += some.toString("latin1");
      return some.length;
    }, clock);
    return { clock, state, write: (...lines: string[]) => write(lines, wrote) };
  };

  it("are each written once, wherever one was cut", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 20 }), async (takes) => {
        written = 0;
        const { state, write } = rig(...takes);
        await write("ab\n", "cde\n", "f\n");
        expect(state.text).toBe("ab\ncde\nf\n");
        expect(written).toBe(3);
      }),
    );
  });

  it("wait while the sink is behind, and are confirmed one by one", async () => {
    const { clock, state, write } = rig(4, ...Array<string>(1_000).fill("EAGAIN"));
    let isOver = false;
    const writing = write("ab\n", "cde\n").then(() => (isOver = true));
    await clock.advance(10_000);
    expect({ written, isOver }).toEqual({ written: 1, isOver: false });
    await clock.advance(11_000);
    await writing;
    expect(state.text).toBe("ab\ncde\n");
    expect(written).toBe(2);
  });

  it("start a new line after a line cut off by a failure, but not after a whole one", async () => {
    const { state, write } = rig(4, "ENOSPC", 100, 3, "ENOSPC");
    await expect(write("ab\n", "cde\n")).rejects.toMatchObject({ code: "ENOSPC" });
    expect(written).toBe(1);
    await write("cde\n");
    await expect(write("fg\n", "h\n")).rejects.toMatchObject({ code: "ENOSPC" });
    await write("h\n");
    await settle();
    expect(state.text).toBe("ab\nc\ncde\nfg\nh\n");
    expect(written).toBe(4);
  });
});

describe("an audit file", () => {
  it("is created for its owner only, and appended to", async () => {
    const path = join(folder, "audit.jsonl");
    const [first, second] = [auditSink(path, systemClock), auditSink(path, systemClock)];
    await first.write(["1\n", "2\n"], wrote);
    await first.close();
    await second.write(["3\n"], wrote);
    await second.close();
    expect(await readFile(path, "utf8")).toBe("1\n2\n3\n");
    expect(written).toBe(3);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("that cannot be created is retried with the next lines", async () => {
    const path = join(folder, "later", "audit.jsonl");
    const sink = auditSink(path, systemClock);
    await expect(sink.write(["1\n"], wrote)).rejects.toMatchObject({ code: "ENOENT" });
    await mkdir(join(folder, "later"));
    await sink.write(["2\n"], wrote);
    await sink.close();
    expect(await readFile(path, "utf8")).toBe("2\n");
  });

  it("that is renamed or deleted is recreated, with or without a next line", async () => {
    const path = join(folder, "rotated.jsonl");
    const clock = new FakeClock();
    const sink = auditSink(path, clock);
    await sink.write(["1\n"], wrote);
    await rename(path, `${path}.1`);
    await sink.write(["2\n"], wrote);
    await rm(path);
    await sink.write(["3\n"], wrote);
    expect(await readFile(`${path}.1`, "utf8")).toBe("1\n");
    expect(await readFile(path, "utf8")).toBe("3\n");
    await rename(path, `${path}.2`);
    await clock.advance(2_000);
    await expect.poll(() => readFile(path, "utf8").catch(() => undefined)).toBe("");
    await rm(path);
    await clock.advance(2_000);
    await expect.poll(() => readFile(path, "utf8").catch(() => undefined)).toBe("");
    await sink.close();
    expect(clock.pending).toBe(0);
    expect(written).toBe(3);
  });

  it("that is deleted during a write confirms no line, and the next file has all of them", async () => {
    const path = join(folder, "deleted.jsonl");
    const sink = auditSink(path, systemClock);
    await sink.write(["1\n"], wrote);
    const lines = Array.from({ length: 20_000 }, (_, index) => `${index}${"x".repeat(1_000)}\n`);
    const writing = sink.write(lines, wrote);
    await rm(path);
    // It was deleted before the first byte or before the last; otherwise all lines were written.
    const failure = await writing.catch((error: unknown) => error);
    if (failure) {
      expect(failure).toMatchObject({ code: "ENOENT" });
      expect(written).toBe(1);
      await sink.write(lines, wrote);
    }
    expect(await readFile(path, "utf8")).toBe(lines.join(""));
    expect(written).toBe(1 + lines.length);
    await sink.close();
  });

  it("that ends within a line continues with a new line", async () => {
    const path = join(folder, "torn.jsonl");
    await writeFile(path, '{"audit":1,"ti');
    const sink = auditSink(path, systemClock);
    await sink.write(["2\n"], wrote);
    await sink.close();
    expect(await readFile(path, "utf8")).toBe('{"audit":1,"ti\n2\n');
    expect(written).toBe(1);
  });

  it("that is a FIFO without a reader fails at once, and is written when it has a reader", async () => {
    const path = join(folder, "fifo");
    await promisify(execFile)("mkfifo", [path]);
    const sink = auditSink(path, systemClock);
    await expect(sink.write(["1\n"], wrote)).rejects.toMatchObject({ code: "ENXIO" });
    const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    await sink.write(["2\n"], wrote);
    expect((await reader.read(Buffer.alloc(9))).buffer.toString("latin1", 0, 2)).toBe("2\n");
    await reader.close();
    await expect(sink.write(["3\n"], wrote)).rejects.toMatchObject({ code: "EPIPE" });
    await expect(sink.write(["3\n"], wrote)).rejects.toMatchObject({ code: "ENXIO" });
    expect(written).toBe(1);
    await sink.close();
  });

  it("on a full disk is an error, without an end of the process", async () => {
    const sink = auditSink("/dev/full", systemClock);
    for (let i = 0; i < 3; i++) await expect(sink.write(["1\n"], wrote)).rejects.toMatchObject({ code: "ENOSPC" });
    expect(written).toBe(0);
    await sink.close();
  });
});

describe("standard output", () => {
  const run = (script: string) => {
    const sink = JSON.stringify(join(import.meta.dirname, "../../src/cli/audit.ts"));
    const clock = JSON.stringify(join(import.meta.dirname, "../../src/runtime/clock.ts"));
    const source = `import { auditSink } from ${sink}; import { systemClock } from ${clock};
      // As the log does at its start, which may leave the pipe nonblocking.
      process.stdout.isTTY;
      const alive = setInterval(() => {}, 1_000);
      const sink = auditSink("-", systemClock);
      ${script}
      clearInterval(alive);`;
    return spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: ["ignore", "pipe", "pipe"] });
  };

  it("gets every line whole, also with a slow reader", async () => {
    const child = run(
      `for (let i = 0; i < 200; i++) await sink.write([JSON.stringify({ i, x: "x".repeat(3_000) }) + "\\n"], () => {});`,
    );
    child.stdout.pause();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const lines = (await text(child.stdout)).trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { i: number }).i)).toEqual(
      Array.from({ length: 200 }, (_, i) => i),
    );
  });

  it("without a reader is an error, without an end of the process", async () => {
    const child = run(`
      const codes = [];
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        await sink.write(["1\\n"], () => {}).catch(({ code }) => codes.push(code));
      }
      process.stderr.write(codes.join());`);
    child.stdout.destroy();
    expect(await text(child.stderr)).toContain("EPIPE,EPIPE");
    expect(child.exitCode ?? 0).toBe(0);
  });
});
