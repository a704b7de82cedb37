import type { Readable } from "node:stream";

/** A body was longer than what was allowed. */
export class BodyTooLong extends Error {}

/**
 * Reads a whole body.
 *
 * @param mostBytes past which the rest is not read, and the connection is given up
 * @throws BodyTooLong, or what the stream fails with
 */
export async function readBody(body: Readable, mostBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > mostBytes) throw new BodyTooLong();
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size);
}

/** Parses JSON; undefined where it is none. The parser's message, which quotes the text, goes no further. */
export function parseJSON(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}
