import { hash } from "node:crypto";

/** The digest of a Secret's key names for `keyferry.io/key-digest`, which shows a removed key without any value. */
export function keysDigest(keys: Iterable<string>): string {
  return digest([...keys].sort().join("\n"));
}

/** The first 128 bits of the SHA-256 of a text, in hexadecimal. */
export function digest(text: string): string {
  return hash("sha256", text, "hex").slice(0, 32);
}
