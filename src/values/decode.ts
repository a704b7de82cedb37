import { invalid } from "./refusal.ts";
import { textOf } from "./text.ts";

/**
 * Decodes Base64 or Base64URL text (RFC 4648 sections 4 and 5) strictly: only characters of the alphabet, white space
 * anywhere, full padding (optional in Base64URL), and no leftover bits.
 *
 * @throws Refusal if the text is not valid
 */
export function decode(bytes: Uint8Array, encoding: "Base64" | "Base64URL"): Uint8Array {
  const text = textOf(bytes).replace(/[ \t\r\n\f\v]+/g, "");
  const alphabet = encoding === "Base64" ? /^[A-Za-z0-9+/]*$/ : /^[A-Za-z0-9_-]*$/;
  const bare = text.endsWith("==") ? text.slice(0, -2) : text.endsWith("=") ? text.slice(0, -1) : text;
  const padding = text.length - bare.length;
  if (!alphabet.test(bare)) {
    throw invalid(`the value is not ${encoding}: it has a character in it that ${encoding} does not use`);
  }
  const isPadded = text.length % 4 === 0;
  const mayBeBare = encoding === "Base64URL" && padding === 0;
  if ((!isPadded && !mayBeBare) || bare.length % 4 === 1) {
    throw invalid(`the value is not ${encoding}: its length or padding is wrong, so it may have been cut`);
  }
  const name = encoding === "Base64" ? "base64" : "base64url";
  const decoded = Buffer.from(bare, name);
  if (decoded.toString(name).replace(/=+$/, "") !== bare) {
    throw invalid(`the value is not ${encoding}: its last character has bits left over, so it may have been cut`);
  }
  return decoded;
}
