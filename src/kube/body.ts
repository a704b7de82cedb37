import type { Readable } from "node:stream";

/** Reads a body as far as it comes, and no further than `mostBytes`: undefined where it is longer, or breaks off. */
export async function readBody(body: Readable, mostBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > mostBytes) return undefined;
      chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks, size);
}

/** Parses JSON; undefined where it is none. The parser's message, which quotes the text, goes no further. */
export function parseJSON(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}
