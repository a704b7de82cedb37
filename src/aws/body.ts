import type { Readable } from "node:stream";

/** Maximum bytes of a response: four times ten values of 8 KiB with each byte escaped as `\u0000`. */
export const bodyBytes = 2_097_152;

/**
 * Maximum bytes of an SQS response: one message of 1 MiB (SQS Developer Guide, "Message quotas") with every character
 * escaped. A larger batch is requested again one message at a time.
 */
export const queueBodyBytes = 4_194_304;

/** A response exceeded its size limit. */
export class BodyTooLarge extends Error {
  constructor(most: number) {
    super(`the answer has over ${most} bytes`);
    this.name = "BodyTooLarge";
  }
}

/**
 * Creates the SDK's `streamCollector`, which reads a response body into memory.
 *
 * @param most maximum bytes; above it, the collector rejects with BodyTooLarge and closes the connection
 */
export function boundedBody(most: number): (stream: Readable) => Promise<Uint8Array> {
  // Events: an iterator of the stream takes a tenth of the time of a call.
  return (stream) =>
    new Promise((resolve, reject) => {
      // A stream that has ended or was destroyed before emits no event any more.
      if (stream.readableEnded) return resolve(new Uint8Array());
      if (stream.destroyed) return reject(stream.errored ?? closed());
      const chunks: Uint8Array[] = [];
      let size = 0;
      stream.on("data", (chunk: Uint8Array) => {
        size += chunk.length;
        if (size > most) stream.destroy(new BodyTooLarge(most));
        else chunks.push(chunk);
      });
      stream.once("end", () => resolve(Buffer.concat(chunks)));
      stream.once("error", reject);
      stream.once("close", () => {
        if (!stream.readableEnded) reject(closed());
      });
    });
}

function closed(): Error {
  return Object.assign(new Error("the connection was closed within an answer"), { code: "ECONNRESET" });
}
