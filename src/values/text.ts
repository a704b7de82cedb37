import { maxBytes } from "./limits.ts";
import { invalid, Refusal } from "./refusal.ts";

/**
 * Reads a source's bytes as text: UTF-8, strictly, less a byte order mark.
 *
 * @throws Refusal where the bytes are over 1 MiB or are not UTF-8
 */
export function textOf(bytes: Uint8Array): string {
  if (bytes.length > maxBytes) {
    throw new Refusal("TooLarge", `the value has ${bytes.length} bytes, and at most ${maxBytes} can be read`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw invalid("the value is not text in UTF-8; a binary value can only be taken as it is or with decode");
  }
}

/**
 * Gives the UTF-8 bytes of `text`.
 *
 * @throws Refusal where it has half of a surrogate pair, such as the JSON string "\ud800", which UTF-8 cannot write
 */
export function bytesOf(text: string): Uint8Array {
  if (!text.isWellFormed()) throw invalid("it has a lone surrogate in it, which cannot be written in UTF-8");
  return Buffer.from(text, "utf8");
}

/** Says where in a text an offset of UTF-16 units is: `line 3, column 7`, both from one. */
export function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset);
  let line = 1;
  for (let at = before.indexOf("\n"); at !== -1; at = before.indexOf("\n", at + 1)) line++;
  return `line ${line}, column ${offset - before.lastIndexOf("\n")}`;
}
