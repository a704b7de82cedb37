/**
 * Reads base64 as RFC 4648 section 4 writes it: padded, no line breaks, no other alphabet, and no bits left over after
 * the last byte, so that there is one text for the same bytes.
 *
 * @returns the bytes, or undefined where the text is anything else or empty
 */
export function parseBase64(text: string): Uint8Array | undefined {
  if (text.length === 0 || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}
