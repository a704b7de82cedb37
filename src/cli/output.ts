import { writeSync } from "node:fs";
import { Failure } from "../runtime/failure.ts";

/** File descriptors of the standard streams. */
const streams = { out: 1, error: 2 };
/** Milliseconds between retries while the reader of a pipe is behind. */
const retryMs = 10;

/** Write errors in words for a person. */
const causes: ReadonlyMap<string, string> = new Map([
  ["EPIPE", "its reader has closed it"],
  ["EBADF", "it is closed"],
  ["ENOSPC", "no space is left on the device"],
  ["EDQUOT", "the disk quota is exceeded"],
  ["EFBIG", "the file is too large"],
  ["EIO", "the device reports an I/O error"],
]);

/**
 * Writes a whole result to standard output. Synchronous: a failure reaches the command and its exit code instead of an
 * unhandled event.
 *
 * @throws Failure if standard output is closed or full
 */
export function print(content: string | Uint8Array): void {
  try {
    writeAll(streams.out, typeof content === "string" ? Buffer.from(content) : content);
  } catch (error) {
    const cause = causeOf((error as NodeJS.ErrnoException).code);
    throw new Failure("InvalidData", "stalled", `standard output cannot be written: ${cause}`);
  }
}

/** Why a stream cannot be written: a clause. @param code the system's error code */
export function causeOf(code = "unknown"): string {
  return causes.get(code) ?? `error ${code}`;
}

/** Writes a line to standard error. If standard error is closed or full, the line is dropped. */
export function say(line: string): void {
  try {
    writeAll(streams.error, Buffer.from(`${line}\n`));
  } catch {
    // The exit code still reports the failure.
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
