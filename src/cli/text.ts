/** The encoding of a file's text, and whether it begins with a byte order mark. */
export interface Encoding {
  name: "utf-8" | "utf-16le" | "utf-16be";
  hasMark: boolean;
}

const marks: readonly { name: Encoding["name"]; bytes: readonly number[] }[] = [
  { name: "utf-8", bytes: [0xef, 0xbb, 0xbf] },
  { name: "utf-16le", bytes: [0xff, 0xfe] },
  { name: "utf-16be", bytes: [0xfe, 0xff] },
];

/**
 * Decodes UTF-8 or UTF-16, as YAML 1.2.2 (section 5.2) and Windows editors write it. Pure.
 *
 * @returns the text without its byte order mark; undefined if it could not be written back byte for byte
 */
export function decodeText(bytes: Uint8Array): { text: string; encoding: Encoding } | undefined {
  const mark = marks.find((one) => one.bytes.every((byte, index) => bytes[index] === byte));
  const encoding = { name: mark?.name ?? unmarked(bytes), hasMark: mark !== undefined };
  let text: string;
  try {
    text = new TextDecoder(encoding.name, { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
  // UTF-32 or a binary file: no manifest contains a NUL.
  return text.includes("\0") ? undefined : { text, encoding };
}

/** Encodes a text in the encoding that `decodeText` found. */
export function encodeText(text: string, { name, hasMark }: Encoding): Uint8Array {
  const marked = hasMark ? `\uFEFF${text}` : text;
  if (name === "utf-8") return Buffer.from(marked, "utf8");
  const bytes = Buffer.from(marked, "utf16le");
  return name === "utf-16be" ? bytes.swap16() : bytes;
}

/** A manifest begins with an ASCII character, so UTF-16 without a mark has a NUL beside it. */
function unmarked([first, second]: Uint8Array): Encoding["name"] {
  if (second === 0 && first !== 0) return "utf-16le";
  return first === 0 && second !== undefined && second !== 0 ? "utf-16be" : "utf-8";
}
