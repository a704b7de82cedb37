/*
 * The process that ends a test run's programs with the run. Its standard input is a pipe that only the
 * runner holds. When the runner ends, even by SIGKILL, the kernel closes the pipe. Then the supervisor kills every
 * program that it started, runs what is to run at the end, and removes the temporary folders. It runs in its own session, so Ctrl-C at
 * the terminal or a kill of the runner's process group does not reach it before that work is done.
 *
 * Requests are lines of JSON on standard input, answers lines of JSON on standard output: see supervise.ts.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, openSync, rmSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Answer, Request } from "./supervise.ts";

const children = new Map<number, ChildProcess>();
const folders = new Set<string>();
const atEnd: { command: string; args: string[] }[] = [];

function answer(message: Answer): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Signals the whole process group, including the children of programs such as go or a shell. */
function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, name);
  } catch {
    // ESRCH: the group has already ended.
  }
}

function start(id: number, { command, args, env, cwd, logFile }: Extract<Request, { start: unknown }>["start"]): void {
  const log = openSync(logFile, "a");
  const child = spawn(command, args, { env, cwd, stdio: ["ignore", log, log], detached: true });
  closeSync(log);
  children.set(id, child);
  child.once("spawn", () => answer({ id, pid: child.pid! }));
  child.once("error", (error) => {
    if (child.pid !== undefined) return;
    children.delete(id);
    answer({ id, error: error.message });
  });
  child.once("exit", (code) => {
    // Kill the children that the program left in its group.
    signal(child, "SIGKILL");
    children.delete(id);
    answer({ id, exit: code });
  });
}

function stop(id: number, graceMs: number): void {
  const child = children.get(id);
  if (!child) return;
  if (graceMs > 0) {
    signal(child, "SIGTERM");
    setTimeout(() => children.has(id) && signal(child, "SIGKILL"), graceMs).unref();
  } else {
    signal(child, "SIGKILL");
  }
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const request = JSON.parse(line) as Request;
  if ("folder" in request) folders.add(request.folder);
  else if ("atEnd" in request) atEnd.push(request.atEnd);
  else if ("stop" in request) stop(request.stop, request.graceMs);
  else {
    try {
      start(request.id, request.start);
    } catch (error) {
      answer({ id: request.id, error: (error as Error).message });
    }
  }
});
lines.on("close", async () => {
  const ended = [...children.values()].map((child) => new Promise((resolve) => child.once("exit", resolve)));
  for (const child of children.values()) signal(child, "SIGKILL");
  await Promise.all(ended);
  for (const { command, args } of atEnd) spawnSync(command, args, { stdio: "ignore" });
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  process.exit(0);
});
// The runner may end before it reads an answer.
process.stdout.on("error", () => {});
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => lines.close());
