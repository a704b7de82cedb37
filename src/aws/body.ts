import type { Readable } from "node:stream";

/** Bytes of one answer, at most: ten values of 8 KiB, each byte written as `\u0000`, are a quarter of it. */
export const bodyBytes = 2_097_152;

/**
 * Bytes of one answer of SQS, at most: one message of 1 MiB (SQS Developer Guide, "Message quotas"), every character of
 * it escaped. Ten of them are more, and are then asked for one by one.
 */
export const queueBodyBytes = 4_194_304;

/** An answer was longer than any that is read. */
export class BodyTooLarge extends Error {
  constructor(most: number) {
    super(`the answer has over ${most} bytes`);
    this.name = "BodyTooLarge";
  }
}

/**
 * Makes the SDK's `streamCollector`, which reads an answer's body into memory.
 *
 * @param most bytes; past them it rejects with BodyTooLarge, and the connection is cut
 */
export function boundedBody(most: number): (stream: Readable) => Promise<Uint8Array> {
  return async (stream) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of stream) {
      size += (chunk as Uint8Array).length;
      if (size > most) throw new BodyTooLarge(most);
      chunks.push(chunk as Uint8Array);
    }
    return Buffer.concat(chunks);
  };
}
