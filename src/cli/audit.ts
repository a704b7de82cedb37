import { write as writeTo } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { Sink } from "../runtime/audit-writer.ts";
import { type Clock, sleep } from "../runtime/clock.ts";

/** Milliseconds between two tries, and tries, while what reads our output is behind. */
const againMs = 20;
const tries = 250;

/** Makes the sink that `--audit-log` names: a file that is appended to, or the standard output for `-`. */
export function auditSink(path: string, clock: Clock): Sink {
  return path === "-" ? outputSink(clock) : fileSink(path);
}

/** A file, readable by its owner only. It is opened at the first line, and anew after each failure. */
function fileSink(path: string): Sink {
  let file: FileHandle | undefined;
  const close = async () => {
    const opened = file;
    file = undefined;
    await opened?.close();
  };
  return {
    async write(lines) {
      try {
        file ??= await open(path, "a", 0o600);
        await file.appendFile(lines);
      } catch (error) {
        await close().catch(() => {});
        throw error;
      }
    },
    close,
  };
}

/**
 * The standard output, which the log goes to as well. Written line by line: what is shorter than 4 KiB goes into a pipe
 * whole, so that no line of the log comes to stand within it.
 */
function outputSink(clock: Clock): Sink {
  return {
    async write(lines) {
      for (const line of lines.split(/(?<=\n)/)) await writeAll(Buffer.from(line), clock);
    },
    async close() {},
  };
}

async function writeAll(bytes: Buffer, clock: Clock): Promise<void> {
  let offset = 0;
  for (let left = tries; offset < bytes.length; ) {
    try {
      offset += await new Promise<number>((resolve, reject) =>
        writeTo(1, bytes, offset, (error, written) => (error ? reject(error) : resolve(written))),
      );
    } catch (error) {
      const isBehind = (error as NodeJS.ErrnoException).code === "EAGAIN";
      if (!isBehind || --left === 0) throw error;
      await sleep(clock, againMs);
    }
  }
}
