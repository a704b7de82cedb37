/**
 * Decodes canonical base64 (RFC 4648 section 4): padded, without line breaks, other alphabets or trailing bits.
 *
 * @returns the bytes, or undefined if the text is empty or not canonical
 */
export function parseBase64(text: string): Uint8Array | undefined {
  if (text.length === 0 || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}
