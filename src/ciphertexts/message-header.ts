/** An encrypted data key in a message header. */
export interface MessageKey {
  /** Key provider: `aws-kms` for KMS; empty if it is not text. */
  provider: string;
  /** For KMS, the key ARN, which may be forged. Omitted for other providers, whose value is binary. */
  name: string;
}

/** The unauthenticated header of an AWS Encryption SDK message. */
export interface MessageHeader {
  version: 1 | 2;
  /** The algorithm suite's id, such as 0x0578. */
  suite: number;
  /** The encryption context, in plaintext. */
  context: ReadonlyMap<string, string>;
  keys: readonly MessageKey[];
}

/** The header, or a clause that states why it is invalid. */
export type ParsedHeader = { header: MessageHeader } | { problem: string };

/** The key provider id of KMS (AWS Encryption SDK Developer Guide, "Message format reference"). */
export const kmsProvider = "aws-kms";

/** Maximum data keys of a message: each may need a KMS call. */
export const messageKeys = 10;

const truncated = "is cut off: it ends within its header";
const malformed = "is damaged: its header is not one of the AWS Encryption SDK";

/**
 * Parses the header of a message (AWS Encryption SDK Developer Guide, "Message format reference"), in one pass over at
 * most the bytes that the header counts.
 */
export function parseMessageHeader(bytes: Uint8Array): ParsedHeader {
  const [version, second] = bytes;
  if (bytes.length === 0) return { problem: "is empty" };
  if (version === 1 && (second === 1 || second === 2)) {
    return { problem: "is what kms:Encrypt makes, not a message of the AWS Encryption SDK: give it as kms.ciphertext" };
  }
  if (version !== 2 && !(version === 1 && second === 0x80)) {
    return { problem: "is not a message of the AWS Encryption SDK: give what aws-encryption-cli or an SDK makes" };
  }
  const reader = new Reader(bytes);
  try {
    return { header: readHeader(reader, version) };
  } catch (error) {
    if (error === ended) return { problem: truncated };
    if (error instanceof Malformed) return { problem: error.message };
    throw error;
  }
}

function readHeader(reader: Reader, version: 1 | 2): MessageHeader {
  reader.skip(version === 1 ? 2 : 1);
  const suite = reader.short();
  reader.skip(version === 1 ? 16 : 32);
  const context = readContext(new Reader(reader.field()));
  const count = reader.short();
  if (count === 0) throw new Malformed(malformed);
  if (count > messageKeys) {
    throw new Malformed(`has ${count} data keys: at most ${messageKeys} are taken, since each may cost a call to KMS`);
  }
  const keys: MessageKey[] = [];
  for (let index = 0; index < count; index++) {
    const provider = textOrNone(reader.field());
    const info = reader.field();
    reader.field();
    keys.push({ provider, name: provider === kmsProvider ? text(info) : "" });
  }
  return { version, suite, context, keys };
}

function readContext(reader: Reader): Map<string, string> {
  const context = new Map<string, string>();
  if (reader.left === 0) return context;
  try {
    for (let count = reader.short(); count > 0; count--) {
      const name = text(reader.field());
      if (context.has(name)) throw new Malformed(malformed);
      context.set(name, text(reader.field()));
    }
  } catch (error) {
    // The context ends by its length field.
    throw error === ended ? new Malformed(malformed) : error;
  }
  if (reader.left > 0) throw new Malformed(malformed);
  return context;
}

const ended = Symbol("ended");

class Malformed extends Error {}

/** Reads sequentially; throws `ended` at the end of the data. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Unread bytes. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  skip(count: number): void {
    this.take(count);
  }

  take(count: number): Uint8Array {
    if (this.left < count) throw ended;
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  /** A big-endian 16-bit integer. */
  short(): number {
    const [high, low] = this.take(2) as unknown as [number, number];
    return high * 256 + low;
  }

  /** Length-prefixed bytes. */
  field(): Uint8Array {
    return this.take(this.short());
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function text(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new Malformed(malformed);
  }
}

function textOrNone(bytes: Uint8Array): string {
  try {
    return text(bytes);
  } catch {
    return "";
  }
}
