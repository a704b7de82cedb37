import { inspect } from "node:util";

const hidden = "[sealed]";

/**
 * A secret's plaintext on its way from AWS to its Secret. Printing, logging, serializing or interpolating it yields
 * `[sealed]`; only `reveal` returns the bytes.
 */
export class Sealed {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Seals the UTF-8 bytes of `text`. */
  static text(text: string): Sealed {
    return new Sealed(Buffer.from(text, "utf8"));
  }

  /** The bytes, not a copy: do not modify them. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  /** Number of bytes. */
  get size(): number {
    return this.#bytes.length;
  }

  toJSON(): string {
    return hidden;
  }

  toString(): string {
    return hidden;
  }

  [Symbol.toPrimitive](): string {
    return hidden;
  }

  [inspect.custom](): string {
    return hidden;
  }
}
