import { randomBytes } from "node:crypto";

/** A unique value with characters that encodings and parsers treat differently. */
export interface Canary {
  value: string;
  /** The letters and digits in the middle. */
  core: string;
}

/** Characters of the core that count as a leak. */
const enough = 8;

/** Returns a new canary. */
export function makeCanary(): Canary {
  const core = randomBytes(40).toString("base64").replaceAll(/[+/=]/g, "").slice(0, 32);
  return { value: `é"'\\<{[&%=+ ${core} ]}>:#\`$*|/ü`, core };
}

const reversed = (text: string) => [...text].reverse().join("");
const percent = (text: string) =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
const escaped = (text: string) =>
  Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`).join("");

/** The ways in which a value may be encoded within a longer text. */
export const encodings: Readonly<Record<string, (text: string) => string>> = {
  plain: (text) => text,
  reversed,
  base64: (text) => Buffer.from(text).toString("base64"),
  base64url: (text) => Buffer.from(text).toString("base64url"),
  hex: (text) => Buffer.from(text).toString("hex"),
  "URL-encoded": percent,
  "JSON-escaped": escaped,
};

/**
 * The encodings in which a text contains a canary, or eight characters of it.
 *
 * @returns names of encodings; empty if there is no leak
 */
export function traces(text: string, { core }: Canary): string[] {
  // JSON within JSON has repeatedly doubled backslashes.
  const lower = text.replaceAll(/\\+u/g, "\\u").toLowerCase();
  const found: string[] = [];
  for (const [name, encode] of Object.entries(encodings)) {
    const needles = name.startsWith("base64") ? aligned(core, encode) : windows(core, encode);
    const ignoresCase = name === "hex" || name.endsWith("ed");
    if (needles.some((needle) => (ignoresCase ? lower.includes(needle.toLowerCase()) : text.includes(needle)))) {
      found.push(name);
    }
  }
  return found;
}

function windows(core: string, encode: (text: string) => string): string[] {
  return Array.from({ length: core.length - enough + 1 }, (_, at) => encode(core.slice(at, at + enough)));
}

/** The base64 of nine characters of the core, for each alignment to the groups of three bytes. */
function aligned(core: string, encode: (text: string) => string): string[] {
  return Array.from({ length: core.length - enough }, (_, at) => encode(core.slice(at, at + enough + 1)));
}
