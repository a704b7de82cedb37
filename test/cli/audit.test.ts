import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { auditSink } from "../../src/cli/audit.ts";
import { systemClock } from "../../src/runtime/clock.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "keyferry-audit-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("a file", () => {
  it("is made for its owner alone, and appended to", async () => {
    const path = join(folder, "audit.jsonl");
    const [first, second] = [auditSink(path, systemClock), auditSink(path, systemClock)];
    await first.write("1\n2\n");
    await first.close();
    await second.write("3\n");
    await second.close();
    expect(await readFile(path, "utf8")).toBe("1\n2\n3\n");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("that cannot be made is tried again with the next lines", async () => {
    const path = join(folder, "later", "audit.jsonl");
    const sink = auditSink(path, systemClock);
    await expect(sink.write("1\n")).rejects.toMatchObject({ code: "ENOENT" });
    await mkdir(join(folder, "later"));
    await sink.write("2\n");
    await sink.close();
    expect(await readFile(path, "utf8")).toBe("2\n");
  });

  it("on a disk that is full is an error, and no end", async () => {
    const sink = auditSink("/dev/full", systemClock);
    for (let i = 0; i < 3; i++) await expect(sink.write("1\n")).rejects.toMatchObject({ code: "ENOSPC" });
    await sink.close();
  });
});

describe("the standard output", () => {
  const run = (script: string) => {
    const sink = JSON.stringify(join(import.meta.dirname, "../../src/cli/audit.ts"));
    const clock = JSON.stringify(join(import.meta.dirname, "../../src/runtime/clock.ts"));
    const source = `import { auditSink } from ${sink}; import { systemClock } from ${clock};
      // As the log does at its start, which may leave a pipe that does not wait.
      process.stdout.isTTY;
      const alive = setInterval(() => {}, 1_000);
      const sink = auditSink("-", systemClock);
      ${script}
      clearInterval(alive);`;
    return spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: ["ignore", "pipe", "pipe"] });
  };

  it("has every line whole, also where its reader is slow", async () => {
    const child = run(
      `for (let i = 0; i < 200; i++) await sink.write(JSON.stringify({ i, x: "x".repeat(3_000) }) + "\\n");`,
    );
    child.stdout.pause();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const lines = (await text(child.stdout)).trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { i: number }).i)).toEqual(
      Array.from({ length: 200 }, (_, i) => i),
    );
  });

  it("that nobody reads any more is an error, and no end", async () => {
    const child = run(`
      const codes = [];
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        await sink.write("1\\n").catch(({ code }) => codes.push(code));
      }
      process.stderr.write(codes.join());`);
    child.stdout.destroy();
    expect(await text(child.stderr)).toContain("EPIPE,EPIPE");
    expect(child.exitCode ?? 0).toBe(0);
  });
});
