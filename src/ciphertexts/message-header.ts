/** A data key of a message, as its header has it encrypted. */
export interface MessageKey {
  /** Who encrypted it: `aws-kms` for KMS; empty where that is no text. */
  provider: string;
  /** With what, for KMS: the ARN of a key, or anything in a message that somebody made up. Others' is binary, and left out. */
  name: string;
}

/** What the header of a message of the AWS Encryption SDK tells before anything is decrypted. Nothing of it is proved. */
export interface MessageHeader {
  version: 1 | 2;
  /** The algorithm suite's id, such as 0x0578. */
  suite: number;
  /** The encryption context, in clear. */
  context: ReadonlyMap<string, string>;
  keys: readonly MessageKey[];
}

/** The header, or a clause that says why there is none. */
export type ParsedHeader = { header: MessageHeader } | { problem: string };

/** The provider of data keys that KMS encrypted (AWS Encryption SDK Developer Guide, "Message format reference"). */
export const kmsProvider = "aws-kms";

/** Data keys of a message, at most: each may cost a call to KMS. */
export const messageKeys = 10;

const truncated = "is cut off: it ends within its header";
const malformed = "is damaged: its header is not one of the AWS Encryption SDK";

/**
 * Reads the header of a message (AWS Encryption SDK Developer Guide, "Message format reference"), in one pass over at
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
    // The context's own length says where it ends.
    throw error === ended ? new Malformed(malformed) : error;
  }
  if (reader.left > 0) throw new Malformed(malformed);
  return context;
}

const ended = Symbol("ended");

class Malformed extends Error {}

/** Reads on from the start; throws `ended` where there is less than is asked for. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Bytes that have not been read. */
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

  /** Two bytes, the greater first. */
  short(): number {
    const [high, low] = this.take(2) as unknown as [number, number];
    return high * 256 + low;
  }

  /** Bytes after their count. */
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
