import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A program to start. */
export interface Program {
  /** The name in messages. */
  name: string;
  /** A path, or a name to look up in PATH. */
  command: string;
  args: string[];
  /** Added to this process's environment. An undefined entry removes a variable. */
  env?: Record<string, string | undefined>;
  /** The working directory. Default: that of this process. */
  cwd?: string;
  /** The file to which standard output and error are appended. */
  logFile: string;
  /** Milliseconds between stop()'s SIGTERM and SIGKILL. Default 5,000; 0 for SIGKILL at once. */
  graceMs?: number;
}

/** A running program that ends no later than this process. */
export interface Supervised {
  pid: number;
  /** Resolves to the exit code, or to null if a signal ended the program. Does not keep this process alive. */
  exited: Promise<number | null>;
  /** Ends the program and its children. Resolves when it has ended. */
  stop(): Promise<void>;
}

/** A request to the supervisor, one line of JSON. */
export type Request =
  | { id: number; start: Pick<Program, "command" | "args" | "logFile"> & { env: NodeJS.ProcessEnv; cwd: string } }
  | { stop: number; graceMs: number }
  | { folder: string }
  | { atEnd: { command: string; args: string[] } };

/** An answer of the supervisor. */
export type Answer = { id: number; pid: number } | { id: number; error: string } | { id: number; exit: number | null };

interface Waiting {
  started: (pid: number) => void;
  failed: (why: string) => void;
  ended: (code: number | null) => void;
}

/** The supervisor process, started with the first program. */
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

  /** Keeps this process alive only while an answer is pending. */
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
    // The pipes of a child process are sockets, unlike their declared type.
    for (const pipe of [this.#process.stdin, this.#process.stdout]) (pipe as unknown as NodeJS.Timeout)[method]();
  }
}

let supervisor: Supervisor | undefined;

/**
 * Starts a program that cannot outlive this process: when this process ends, SIGKILL and crash included, the program
 * and everything in its process group are killed. Does not keep this process alive by itself.
 * Rejects with the program's name if it cannot be started (no such command, log file not writable).
 */
export async function startSupervised(program: Program): Promise<Supervised> {
  supervisor ??= new Supervisor();
  return supervisor.start(program);
}

/** Runs a program after this process and all supervised programs have ended, also after a crash; before removeAtEnd. */
export function runAtEnd(command: string, args: string[]): void {
  supervisor ??= new Supervisor();
  supervisor.send({ atEnd: { command, args } });
}

/** Removes a folder after this process and all supervised programs have ended, also after a crash. */
export function removeAtEnd(folder: string): void {
  supervisor ??= new Supervisor();
  supervisor.send({ folder });
}
