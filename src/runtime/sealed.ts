import { inspect } from "node:util";

const hidden = "[sealed]";

/**
 * Bytes that must not be seen: a secret's plaintext on its way from AWS to its Secret. Printing, logging,
 * serialising or interpolating one gives `[sealed]`; only `reveal` gives the bytes.
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

  /** The bytes themselves, not a copy: do not change them. */
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
