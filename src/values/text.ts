import { maxBytes } from "./limits.ts";
import { invalid, Refusal } from "./refusal.ts";

/**
 * Decodes a source's bytes as strict UTF-8, without a byte order mark.
 *
 * @throws Refusal if there are over 1 MiB of bytes, or they are not UTF-8
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
 * Returns the UTF-8 bytes of `text`.
 *
 * @throws Refusal if it contains a lone surrogate, such as the JSON string "\ud800", which UTF-8 cannot encode
 */
export function bytesOf(text: string): Uint8Array {
  if (!text.isWellFormed()) throw invalid("it has a lone surrogate in it, which cannot be written in UTF-8");
  return Buffer.from(text, "utf8");
}

/** Returns the position of a UTF-16 offset in a text: `line 3, column 7`, both counted from 1. */
export function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset);
  let line = 1;
  for (let at = before.indexOf("\n"); at !== -1; at = before.indexOf("\n", at + 1)) line++;
  return `line ${line}, column ${offset - before.lastIndexOf("\n")}`;
}
