import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isAlive } from "../support/alive.ts";
import { startSupervised } from "../support/supervise.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "keyferry-runner-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** A runner, leading a process group as one does that a shell started, and the JSON that it prints when it is set up. */
async function runner<T>(code: string): Promise<{ process: ChildProcess; said: T }> {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", code], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  });
  const said = await new Promise<T>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once("line", (line) => resolve(JSON.parse(line) as T));
    child.once("exit", (status) => reject(new Error(`the runner ended early, with ${status}`)));
  });
  return { process: child, said };
}

const alive = (pids: number[]) => pids.filter(isAlive);

/** Starts a shell with a child of its own, and a folder that goes with the run. */
const shellRunner = (waits: string) => `
  import { mkdtempSync, existsSync, readFileSync } from "node:fs";
  import { setTimeout as sleep } from "node:timers/promises";
  import { removeAtEnd, startSupervised } from "../support/supervise.ts";
  const folder = mkdtempSync(${JSON.stringify(`${scratch}/run-`)});
  removeAtEnd(folder);
  const args = ["-c", 'trap "" TERM; sleep 600 & echo $! > child; wait'];
  const shell = await startSupervised({ name: "shell", command: "sh", args, cwd: folder, logFile: folder + "/log" });
  while (!existsSync(folder + "/child") || readFileSync(folder + "/child").length === 0) await sleep(10);
  console.log(JSON.stringify({ pids: [shell.pid, Number(readFileSync(folder + "/child", "utf8"))], folder }));
  ${waits}
`;

describe("supervised programs end", () => {
  const ends: Record<string, { waits: string; end?: (pid: number) => void }> = {
    "when the runner is killed with SIGKILL": {
      waits: "setInterval(() => {}, 1000);",
      end: (pid) => process.kill(pid, "SIGKILL"),
    },
    "when Ctrl-C interrupts the runner's process group": {
      waits: "setInterval(() => {}, 1000);",
      end: (pid) => process.kill(-pid, "SIGINT"),
    },
    "when the runner's whole process group is killed": {
      waits: "setInterval(() => {}, 1000);",
      end: (pid) => process.kill(-pid, "SIGKILL"),
    },
    "when the runner crashes": { waits: "await sleep(500); throw new Error('a crash');" },
    "when the runner exits without stopping them": { waits: "await sleep(500);" },
  };
  test.each(Object.entries(ends))("%s", async (_, { waits, end }) => {
    const { process: child, said } = await runner<{ pids: number[]; folder: string }>(shellRunner(waits));
    expect(alive(said.pids)).toEqual(said.pids);
    end?.(child.pid!);
    await expect.poll(() => alive(said.pids), { timeout: 10_000 }).toEqual([]);
    await expect.poll(() => existsSync(said.folder), { timeout: 10_000 }).toBe(false);
  });

  test("and a cluster's folder is removed, when the runner is killed with SIGKILL", async () => {
    const { process: child, said } = await runner<{ pids: Record<string, number>; dir: string }>(`
      import { startCluster } from "./cluster.ts";
      const cluster = await startCluster();
      console.log(JSON.stringify({ pids: cluster.pids, dir: cluster.dir }));
      setInterval(() => {}, 1000);
    `);
    const pids = Object.values(said.pids);
    expect(alive(pids)).toHaveLength(3);
    child.kill("SIGKILL");
    await expect.poll(() => alive(pids), { timeout: 10_000 }).toEqual([]);
    await expect.poll(() => existsSync(said.dir), { timeout: 10_000 }).toBe(false);
  });
});

describe("a supervised program", () => {
  const shell = (script: string) => ({
    name: "shell",
    command: "sh",
    args: ["-c", script],
    logFile: join(scratch, "log"),
  });

  test("reports its exit code, after which stop() does nothing", async () => {
    const program = await startSupervised(shell("exit 7"));
    expect(await program.exited).toBe(7);
    await program.stop();
  });

  test("has a grace period after SIGTERM", async () => {
    const program = await startSupervised(shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"));
    await untilLogged("ready");
    await program.stop();
    expect(await program.exited).toBe(3);
  });

  test("is killed if it does not exit after SIGTERM in time", async () => {
    const script = "trap '' TERM; echo deaf; while :; do sleep 0.05; done";
    const program = await startSupervised({ ...shell(script), graceMs: 200 });
    await untilLogged("deaf");
    await program.stop();
    expect(await program.exited).toBeNull();
    expect(isAlive(program.pid)).toBe(false);
  });

  test("sees added environment variables, and no removed ones", async () => {
    process.env.TAKEN = "still there";
    const program = await startSupervised({
      ...shell('echo "[$GIVEN][$TAKEN]"'),
      env: { GIVEN: "yes", TAKEN: undefined },
    });
    await program.exited;
    await untilLogged("[yes][]");
  });

  test("that cannot be started causes an error with its name", async () => {
    const start = startSupervised({ ...shell(""), name: "the door", command: join(scratch, "absent") });
    await expect(start).rejects.toThrow(/^the door could not be started: .*ENOENT/);
    const noLog = startSupervised({ ...shell("true"), logFile: join(scratch, "no/such/folder/log") });
    await expect(noLog).rejects.toThrow(/^shell could not be started: .*ENOENT/);
  });

  async function untilLogged(line: string): Promise<void> {
    await expect
      .poll(async () => (await readFile(join(scratch, "log"), "utf8")).split("\n"), { timeout: 15_000 })
      .toContain(line);
  }
});
