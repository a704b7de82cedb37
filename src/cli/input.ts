import { open, readFile } from "node:fs/promises";
import { Failure } from "../runtime/failure.ts";
import { Sealed } from "../runtime/sealed.ts";
import { decodeText, type Encoding } from "./text.ts";
import { neverAnArgument, UsageError } from "./usage.ts";

/**
 * Reads the value to encrypt, byte for byte.
 *
 * @param file undefined or `-` for standard input
 * @param most maximum bytes; one more byte is read to detect a longer value
 * @throws UsageError if there is no such file, without repeating its name: it may be the value
 */
export async function readValue(file: string | undefined, most: number): Promise<Sealed> {
  if (file === undefined || file === "-") {
    if (process.stdin.isTTY) {
      throw new UsageError("give the value on standard input (keyferry encrypt ... < FILE), or name its file");
    }
    return new Sealed(
      await take(process.stdin, most).catch((error: unknown) => {
        throw new UsageError(`standard input cannot be read: ${whyUnreadable(error)}`);
      }),
    );
  }
  const handle = await open(file).catch((error: unknown) => {
    throw new UsageError(`the argument is not a readable file; ${neverAnArgument} (${whyUnreadable(error)})`);
  });
  try {
    // Read to the end: a pipe does not tell its size, and some file systems report 0.
    return new Sealed(await take(handle.createReadStream({ autoClose: false }), most));
  } catch (error) {
    throw new UsageError(`the argument is not a readable file: ${whyUnreadable(error)}`);
  } finally {
    await handle.close();
  }
}

/** Maximum bytes of a text file. */
const textBytes = 64 * 1_024 * 1_024;

/** A text and the encoding of its file. */
export interface TextFile {
  text: string;
  encoding: Encoding;
}

/**
 * Reads a whole file of manifests or metrics.
 *
 * @param file `-` for standard input
 * @throws Failure if it cannot be read, or is not text in UTF-8 or UTF-16
 */
export async function readTextFile(file: string): Promise<TextFile> {
  const refused = (what: string) => new Failure("InvalidData", "stalled", `${file} ${what}`);
  const bytes = await (file === "-" ? take(process.stdin, textBytes) : readFile(file)).catch((error: unknown) => {
    throw refused(`cannot be read: ${whyUnreadable(error)}`);
  });
  if (bytes.length > textBytes) throw new Failure("TooLarge", "stalled", `${file} is longer than ${textBytes} bytes`);
  const read = decodeText(bytes);
  if (!read) throw refused("is not UTF-8 or UTF-16 text");
  return read;
}

/** Reads a text when its encoding does not matter. @throws Failure as `readTextFile` */
export async function readText(file: string): Promise<string> {
  return (await readTextFile(file)).text;
}

const causes: ReadonlyMap<unknown, string> = new Map([
  ["ENOENT", "no such file"],
  ["EISDIR", "it is a directory"],
  ["ENOTDIR", "a part of its path is not a directory"],
  ["EACCES", "permission denied"],
  ["EPERM", "permission denied"],
  ["ELOOP", "too many symbolic links"],
  ["ENAMETOOLONG", "its name is too long"],
  ["EMFILE", "too many open files"],
  ["EIO", "the device reports an I/O error"],
  ["ERR_FS_FILE_TOO_LARGE", "it is too large"],
]);

/** Why a file cannot be read: a clause without the file's name. */
export function whyUnreadable(error: unknown): string {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return causes.get(code) ?? `error ${code ?? "unknown"}`;
}

async function take(stream: AsyncIterable<Buffer>, most: number): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stream) {
    pieces.push(piece);
    size += piece.length;
    if (size > most) break;
  }
  return Buffer.concat(pieces).subarray(0, most + 1);
}
