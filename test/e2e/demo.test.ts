import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const run = promisify(execFile);

/** Milliseconds: a machine that does other things too needs several times the half minute of an idle one. */
const demoMs = 300_000;

it(
  "make demo shows a sync, a change, a repair and a deletion, and every example is Ready",
  async () => {
    const { stdout } = await run(process.execPath, ["scripts/demo.ts"], { timeout: demoMs - 10_000 });
    expect(stdout).toMatch(/all are Ready/);
    expect(stdout).toMatch(/version 2 is in Secret first/);
    expect(stdout).toMatch(/put back after/);
    expect(stdout).toMatch(/gone after/);
    expect(stdout).toMatch(/done after/);
  },
  demoMs,
);
