import { writeSync } from "node:fs";
import { Failure } from "../runtime/failure.ts";

/** File descriptors of the standard streams. */
const streams = { out: 1, error: 2 };
/** Milliseconds between two tries while the reader of a pipe is behind. */
const retryMs = 10;

/** What the errors of a write mean to the person. */
const causes: ReadonlyMap<string, string> = new Map([
  ["EPIPE", "its reader has closed it"],
  ["EBADF", "it is closed"],
  ["ENOSPC", "no space is left on the device"],
  ["EDQUOT", "the disk quota is exceeded"],
  ["EFBIG", "the file is too large"],
  ["EIO", "the device reports an I/O error"],
]);

/**
 * Writes a result to standard output, whole. Synchronous, so that a failure reaches the command and its exit code, and
 * not an event that nobody handles.
 *
 * @throws Failure where standard output is closed or full
 */
export function print(content: string | Uint8Array): void {
  try {
    writeAll(streams.out, typeof content === "string" ? Buffer.from(content) : content);
  } catch (error) {
    const cause = causeOf((error as NodeJS.ErrnoException).code);
    throw new Failure("InvalidData", "stalled", `standard output cannot be written: ${cause}`);
  }
}

/** Why a stream cannot be written, as a clause. @param code of the system's error */
export function causeOf(code = "unknown"): string {
  return causes.get(code) ?? `error ${code}`;
}

/** Writes a line for the person to standard error. Where standard error is closed or full, the line is dropped. */
export function say(line: string): void {
  try {
    writeAll(streams.error, Buffer.from(`${line}\n`));
  } catch {
    // The exit code tells what the line would have.
  }
}

function writeAll(stream: number, bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(stream, bytes, offset);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs);
    }
  }
}
