import { spawn } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { isAlive } from "../support/alive.ts";
import { whyNoNode } from "./requirements.ts";

const why = await whyNoNode();
if (why) process.stderr.write(`No sandbox: ${why}.\n`);

interface Opened {
  pid: number;
  dir: string;
  device: string;
  cgroup: string;
}

/** Opens a sandbox with a program in one of its control groups, which has another one below it. */
const OPEN = `
  import { globSync, mkdirSync, writeFileSync } from "node:fs";
  import { Sandbox } from "./sandbox.ts";
  const sandbox = await Sandbox.open();
  const { dir, device, cgroup } = sandbox;
  const logFile = dir + "/sleep.log";
  const { pid } = await sandbox.start({ name: "sleep", command: "sleep", args: ["600"], logFile });
  const [group] = globSync("/sys/fs/cgroup/{,pids/}" + cgroup);
  mkdirSync(group + "/pod");
  writeFileSync(group + "/pod/cgroup.procs", String(pid));
  console.log(JSON.stringify({ pid, dir, device, cgroup }));
`;

const ends: Record<string, { code: string; end?: (pid: number) => void }> = {
  "the runner is killed with SIGKILL": {
    code: "setInterval(() => {}, 1000);",
    end: (pid) => process.kill(pid, "SIGKILL"),
  },
  "Ctrl-C interrupts the runner's process group": {
    code: "setInterval(() => {}, 1000);",
    end: (pid) => process.kill(-pid, "SIGINT"),
  },
  "the runner stops it": { code: "await sandbox.stop();" },
};

describe.skipIf(why)("a sandbox leaves no process, device, control group or folder behind when", () => {
  test.each(Object.entries(ends))("%s", async (_, { code, end }) => {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", `${OPEN}${code}`], {
      cwd: import.meta.dirname,
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    const opened = await new Promise<Opened>((resolve, reject) => {
      createInterface({ input: child.stdout }).once("line", (line) => resolve(JSON.parse(line) as Opened));
      child.once("exit", () => reject(new Error("the runner ended early")));
    });
    const left = () => [
      ...(isAlive(opened.pid) ? [`process ${opened.pid}`] : []),
      ...(existsSync(`/sys/class/net/${opened.device}`) ? [opened.device] : []),
      ...globSync(`/sys/fs/cgroup/{,*/}${opened.cgroup}`),
      ...(existsSync(opened.dir) ? [opened.dir] : []),
    ];
    if (end) {
      expect(left().length).toBeGreaterThanOrEqual(4);
      end(child.pid!);
    }
    await exited;
    await expect.poll(left, { timeout: 20_000 }).toEqual([]);
  });
});
