import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A program to start. */
export interface Program {
  /** What messages call it. */
  name: string;
  /** A path, or a name that is looked up in PATH. */
  command: string;
  args: string[];
  /** Added to this process's own environment; an entry that is undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  /** The working folder; this process's own when left out. */
  cwd?: string;
  /** Where its standard output and error are appended. */
  logFile: string;
  /** Milliseconds between stop()'s SIGTERM and SIGKILL; 5,000 when left out, 0 for SIGKILL at once. */
  graceMs?: number;
}

/** A program that runs, and ends no later than this process. */
export interface Supervised {
  pid: number;
  /** Resolves with the exit code when the program has ended, null when a signal ended it. Holds no process open. */
  exited: Promise<number | null>;
  /** Ends the program and what it started; resolves when it is gone, at once when it already is. */
  stop(): Promise<void>;
}

/** What goes to the supervisor, a line of JSON each. */
export type Request =
  | { id: number; start: Pick<Program, "command" | "args" | "logFile"> & { env: NodeJS.ProcessEnv; cwd: string } }
  | { stop: number; graceMs: number }
  | { folder: string };

/** What comes back. */
export type Answer = { id: number; pid: number } | { id: number; error: string } | { id: number; exit: number | null };

interface Waiting {
  started: (pid: number) => void;
  failed: (why: string) => void;
  ended: (code: number | null) => void;
}

/** The one supervisor process of this process, made when the first program is started. */
class Supervisor {
  #process: ChildProcess;
  #nextId = 1;
  #waiting = new Map<number, Waiting>();
  #held = 0;

  constructor() {
    this.#process = spawn(process.execPath, [fileURLToPath(new URL("./supervisor.ts", import.meta.url))], {
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    this.#process.unref();
    this.#process.once("exit", () => this.#lost());
    this.#process.stdin!.on("error", () => {});
    createInterface({ input: this.#process.stdout! }).on("line", (line) => this.#take(JSON.parse(line) as Answer));
    this.#hold(0);
  }

  async start(program: Program): Promise<Supervised> {
    const id = this.#nextId++;
    const { name, command, args, logFile, cwd = process.cwd(), graceMs = 5_000 } = program;
    const env = { ...process.env, ...program.env };
    const exited = Promise.withResolvers<number | null>();
    const pid = await this.#whileHeld(
      new Promise<number>((resolve, reject) => {
        const failed = (why: string) => reject(new Error(`${name} could not be started: ${why}`));
        this.#waiting.set(id, { started: resolve, failed, ended: exited.resolve });
        this.send({ id, start: { command, args, env, cwd, logFile } });
      }),
    );
    const stop = async () => {
      if (this.#waiting.has(id)) this.send({ stop: id, graceMs });
      await this.#whileHeld(exited.promise);
    };
    return { pid, exited: exited.promise, stop };
  }

  send(request: Request): void {
    this.#process.stdin!.write(`${JSON.stringify(request)}\n`);
  }

  #take(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    if (!waiting) return;
    if ("pid" in answer) waiting.started(answer.pid);
    else {
      this.#waiting.delete(answer.id);
      if ("error" in answer) waiting.failed(answer.error);
      else waiting.ended(answer.exit);
    }
  }

  #lost(): void {
    for (const waiting of this.#waiting.values()) {
      waiting.failed("its supervisor has ended");
      waiting.ended(null);
    }
    this.#waiting.clear();
  }

  /** Keeps this process alive only while somebody waits for an answer. */
  async #whileHeld<T>(answer: Promise<T>): Promise<T> {
    this.#hold(1);
    try {
      return await answer;
    } finally {
      this.#hold(-1);
    }
  }

  #hold(by: number): void {
    this.#held += by;
    const method = this.#held > 0 ? "ref" : "unref";
    // Pipes of a child are sockets, which their declared type does not say.
    for (const pipe of [this.#process.stdin, this.#process.stdout]) (pipe as unknown as NodeJS.Timeout)[method]();
  }
}

let supervisor: Supervisor | undefined;

/**
 * Starts a program that cannot outlive this process: when this process ends, SIGKILL and crash included, the program
 * and everything in its process group are killed. Does not keep this process alive by itself.
 * Rejects, naming the program, when it cannot be started (no such command, log file not writable).
 */
export async function startSupervised(program: Program): Promise<Supervised> {
  supervisor ??= new Supervisor();
  return supervisor.start(program);
}

/** Has a folder removed after this process and all of its supervised programs have ended, in whatever way. */
export function removeAtEnd(folder: string): void {
  supervisor ??= new Supervisor();
  supervisor.send({ folder });
}
