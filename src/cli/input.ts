import { open, readFile } from "node:fs/promises";
import { Failure } from "../runtime/failure.ts";
import { Sealed } from "../runtime/sealed.ts";
import { neverAnArgument, UsageError } from "./usage.ts";

/**
 * Reads what is to be encrypted, byte for byte.
 *
 * @param file undefined or `-` for standard input
 * @param most bytes that are read on to; one more says that it is longer
 * @throws UsageError where there is no such file, without repeating it: it may be the value
 */
export async function readValue(file: string | undefined, most: number): Promise<Sealed> {
  if (file === undefined || file === "-") {
    if (process.stdin.isTTY) {
      throw new UsageError("give the value on standard input (keyferry encrypt ... < FILE), or name its file");
    }
    return new Sealed(await take(process.stdin, most));
  }
  const handle = await open(file).catch(() => {
    throw new UsageError(`the argument is no file that can be read; ${neverAnArgument}`);
  });
  try {
    // To its end, since a pipe does not tell its size, and some file systems say 0.
    return new Sealed(await take(handle.createReadStream({ autoClose: false }), most));
  } catch {
    throw new UsageError("the argument is no file that can be read");
  } finally {
    await handle.close();
  }
}

/** Bytes of a text that is read whole, at most. */
const textBytes = 64 * 1_024 * 1_024;

/**
 * Reads manifests or metrics, whole.
 *
 * @param file `-` for standard input
 * @throws Failure where it cannot be read
 */
export async function readText(file: string): Promise<string> {
  const bytes = await (file === "-" ? take(process.stdin, textBytes) : readFile(file)).catch(() => {
    throw new Failure("InvalidData", "stalled", `${file} cannot be read`);
  });
  if (bytes.length > textBytes) throw new Failure("TooLarge", "stalled", `${file} is longer than ${textBytes} bytes`);
  return Buffer.from(bytes).toString("utf8");
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
