import { write as writeTo } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { Sink } from "../runtime/audit-writer.ts";
import { type Clock, sleep } from "../runtime/clock.ts";

/** Milliseconds between two tries while what reads our output is behind. */
const againMs = 20;

/** Makes the sink that `--audit-log` names: a file that is appended to, or the standard output for `-`. */
export function auditSink(path: string, clock: Clock): Sink {
  return path === "-" ? outputSink(clock) : fileSink(path, clock);
}

/** A file, readable by its owner only. It is opened at the first line, and anew after each failure. */
function fileSink(path: string, clock: Clock): Sink {
  let file: FileHandle | undefined;
  const close = async () => {
    const opened = file;
    file = undefined;
    await opened?.close();
  };
  const write = writerOf(async (bytes, offset) => (await file!.write(bytes, offset)).bytesWritten, clock);
  return {
    async write(lines, wrote) {
      try {
        file ??= await open(path, "a", 0o600);
        await write(lines, wrote);
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
  const write = writerOf(
    (bytes, offset) =>
      new Promise((resolve, reject) =>
        writeTo(1, bytes, offset, (error, written) => (error ? reject(error) : resolve(written))),
      ),
    clock,
  );
  return {
    async write(lines, wrote) {
      for (const line of lines) await write([line], wrote);
    },
    async close() {},
  };
}

/**
 * Makes what writes lines by something that takes some bytes at a time. It goes on where that left off, for as long as it
 * takes; of a line that was cut off by a failure it remembers that the next one has to begin anew.
 *
 * @param take takes bytes from an offset on, and gives how many it took
 */
export function writerOf(take: (bytes: Buffer, offset: number) => Promise<number>, clock: Clock): Sink["write"] {
  let isTorn = false;
  return async (lines, wrote) => {
    const before = isTorn ? "\n" : "";
    const bytes = Buffer.from(before + lines.join(""));
    const left = lines.map((line) => Buffer.byteLength(line));
    for (let [offset, end] = [0, before.length]; offset < bytes.length; ) {
      const taken = await take(bytes, offset).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "EAGAIN") throw error;
        return 0;
      });
      if (taken === 0) await sleep(clock, againMs);
      offset += taken;
      if (offset > 0) isTorn = bytes[offset - 1] !== lineFeed;
      let whole = 0;
      for (; left.length > 0 && end + left[0]! <= offset; whole++) end += left.shift()!;
      if (whole > 0) wrote(whole);
    }
  };
}

const lineFeed = 10;
