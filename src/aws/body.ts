import type { Readable } from "node:stream";

/** Bytes of one answer, at most: ten values of 8 KiB, each byte written as `\u0000`, are a quarter of it. */
export const bodyBytes = 2_097_152;

/** An answer was longer than any that AWS gives. */
export class BodyTooLarge extends Error {
  constructor() {
    super(`the answer has over ${bodyBytes} bytes`);
    this.name = "BodyTooLarge";
  }
}

/**
 * Reads an answer's body into memory: the SDK's `streamCollector`.
 *
 * @throws BodyTooLarge past `bodyBytes`; the connection is then cut
 */
export async function boundedBody(stream: Readable): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += (chunk as Uint8Array).length;
    if (size > bodyBytes) throw new BodyTooLarge();
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks);
}
