import { constants, write as writeTo } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { Sink } from "../runtime/audit-writer.ts";
import { type Clock, sleep, type Timer } from "../runtime/clock.ts";

/** Milliseconds between retries while the reader of our output is behind. */
const againMs = 20;

/** Returns the sink for `--audit-log`: a file opened for appending, or standard output for `-`. */
export function auditSink(path: string, clock: Clock): Sink {
  return path === "-" ? outputSink(clock) : fileSink(path, clock);
}

/** Milliseconds between checks that the path still names the open file. */
const lookMs = 2_000;
/**
 * Nonblocking for a FIFO: opening one without a reader is an error, and waiting for a reader would outlive the process.
 */
const appending = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

/**
 * A file readable only by its owner. It is opened for the first line, after each failure, and when the path names
 * another file or none: log rotation sends no signal.
 */
function fileSink(path: string, clock: Clock): Sink {
  const cut = { isTorn: false };
  let opened: Opened | undefined;
  let looking: Timer | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work, work);
    last = done;
    return done;
  };
  const close = async () => {
    looking?.cancel();
    const { file } = opened ?? {};
    opened = undefined;
    await file?.close();
  };
  const reopen = async () => {
    if (opened && (await leadsTo(path, opened))) return;
    await close();
    const file = await open(path, appending, 0o600);
    const stats = await file.stat();
    opened = { file, dev: stats.dev, ino: stats.ino, isRegular: stats.isFile() };
    // An earlier process may have been killed within a line.
    if (opened.isRegular) cut.isTorn = !(await isWholeLines(path, stats.size));
    // A deleted file occupies disk space as long as it is open.
    looking = clock.setTimer(look, lookMs);
  };
  const look = () => {
    void alone(async () => {
      if (!opened) return;
      await reopen();
      looking?.cancel();
      looking = clock.setTimer(look, lookMs);
    }).catch(() => close().catch(() => {}));
  };
  const append = writerOf(async (bytes, offset) => (await opened!.file.write(bytes, offset)).bytesWritten, clock, cut);
  /** Lines count as written only if the file still existed afterwards. */
  const appendToFile: Sink["write"] = async (lines, wrote) => {
    let whole = 0;
    let failure: unknown;
    await append(lines, (more) => {
      whole += more;
    }).catch((error: unknown) => {
      failure = error;
    });
    const { nlink } = await opened!.file.stat();
    if (nlink === 0) throw Object.assign(new Error("the file was deleted"), { code: "ENOENT" });
    if (whole > 0) wrote(whole);
    if (failure) throw failure;
  };
  return {
    write: (lines, wrote) =>
      alone(async () => {
        try {
          await reopen();
          await (opened!.isRegular ? appendToFile : append)(lines, wrote);
        } catch (error) {
          await close().catch(() => {});
          throw error;
        }
      }),
    close: () => alone(close),
  };
}

interface Opened {
  file: FileHandle;
  dev: number;
  ino: number;
  isRegular: boolean;
}

async function leadsTo(path: string, { dev, ino }: Opened): Promise<boolean> {
  const there = await stat(path).catch(() => undefined);
  return there?.dev === dev && there.ino === ino;
}

/** Whether a file of this size ends with a whole line; false if it cannot be read. */
async function isWholeLines(path: string, size: number): Promise<boolean> {
  if (size === 0) return true;
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined);
  const { buffer, bytesRead } = (await file?.read(Buffer.alloc(1), 0, 1, size - 1).catch(() => undefined)) ?? {};
  await file?.close();
  return bytesRead === 1 && buffer![0] === lineFeed;
}

/**
 * Standard output, shared with the log. Lines are written one by one: a pipe takes up to 4 KiB atomically, so no log
 * line can split them.
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
 * Returns a line writer on top of a function that may write only some of the bytes. The writer continues where that
 * function stopped. After a failure within a line, the next write starts a new line.
 *
 * @param take writes bytes from an offset on, and returns how many it wrote
 * @param cut whether the last line is incomplete; the writer updates it
 */
export function writerOf(
  take: (bytes: Buffer, offset: number) => Promise<number>,
  clock: Clock,
  cut = { isTorn: false },
): Sink["write"] {
  return async (lines, wrote) => {
    const before = cut.isTorn ? "\n" : "";
    const bytes = Buffer.from(before + lines.join(""));
    const left = lines.map((line) => Buffer.byteLength(line));
    for (let [offset, end] = [0, before.length]; offset < bytes.length; ) {
      const taken = await take(bytes, offset).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "EAGAIN") throw error;
        return 0;
      });
      if (taken === 0) await sleep(clock, againMs);
      offset += taken;
      if (offset > 0) cut.isTorn = bytes[offset - 1] !== lineFeed;
      let whole = 0;
      for (; left.length > 0 && end + left[0]! <= offset; whole++) end += left.shift()!;
      if (whole > 0) wrote(whole);
    }
  };
}

const lineFeed = 10;
