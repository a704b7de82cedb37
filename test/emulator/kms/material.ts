import {
  constants,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  generateKeyPair,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from "node:crypto";
import { promisify } from "node:util";
import { ServiceError } from "../http.ts";

/** What a key encrypts with. Replicas of a multi-Region key hold the same object. */
export type Material =
  /**
   * One AES-256 key a rotation, oldest first; none while imported material is missing. Node takes many times longer to
   * decrypt with a Buffer as the key.
   */
  { kind: "symmetric"; keys: KeyObject[] } | { kind: "pair"; publicKey: KeyObject; privateKey: KeyObject };

/** The key specs that can be made, and what each is for. */
export const specs: ReadonlyMap<string, { usage: readonly string[]; bits?: number; curve?: string }> = new Map([
  ["SYMMETRIC_DEFAULT", { usage: ["ENCRYPT_DECRYPT"] }],
  ["RSA_2048", { usage: ["ENCRYPT_DECRYPT", "SIGN_VERIFY"], bits: 2048 }],
  ["RSA_3072", { usage: ["ENCRYPT_DECRYPT", "SIGN_VERIFY"], bits: 3072 }],
  ["RSA_4096", { usage: ["ENCRYPT_DECRYPT", "SIGN_VERIFY"], bits: 4096 }],
  ["ECC_NIST_P256", { usage: ["SIGN_VERIFY", "KEY_AGREEMENT"], curve: "P-256" }],
  ["ECC_NIST_P384", { usage: ["SIGN_VERIFY", "KEY_AGREEMENT"], curve: "P-384" }],
  ["ECC_NIST_P521", { usage: ["SIGN_VERIFY", "KEY_AGREEMENT"], curve: "P-521" }],
]);

/** Makes material for a spec of `specs`. */
export async function makeMaterial(spec: string): Promise<Material> {
  const { bits, curve } = specs.get(spec)!;
  if (bits) return { kind: "pair", ...(await promisify(generateKeyPair)("rsa", { modulusLength: bits })) };
  if (curve) return { kind: "pair", ...(await promisify(generateKeyPair)("ec", { namedCurve: curve })) };
  return { kind: "symmetric", keys: [makeKey()] };
}

/** Makes one AES-256 key. */
export function makeKey(): KeyObject {
  return createSecretKey(randomBytes(32));
}

/** Real blobs of symmetric keys begin with these bytes: base64 shows `AQICAH`. */
const magic = Buffer.from([0x01, 0x02, 0x02, 0x00, 0x78]);
const ivBytes = 12;
const tagBytes = 16;

/** AWS gives no reason: damage and a wrong context look alike. */
export function invalidCiphertext(): ServiceError {
  return new ServiceError("InvalidCiphertextException", "UnknownError");
}

/**
 * Encrypts under the newest key with AES-256-GCM. The blob carries the key's id and which of its keys was used; the
 * context is authenticated, not carried.
 */
export function seal(
  id: string,
  keys: readonly KeyObject[],
  plain: Buffer,
  context: ReadonlyMap<string, string>,
): Buffer {
  const index = keys.length - 1;
  const name = Buffer.from(id);
  const head = Buffer.concat([magic, Buffer.from([name.length]), name, Buffer.from([index >> 8, index & 0xff])]);
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv("aes-256-gcm", keys[index]!, iv);
  cipher.setAAD(Buffer.concat([head, canonical(context)]));
  const body = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([head, iv, cipher.getAuthTag(), body]);
}

/** A blob taken apart, not opened. */
export interface Blob {
  /** The id of the key that it was made with. */
  keyId: string;
  index: number;
  head: Buffer;
  sealed: Buffer;
}

/** @throws ServiceError InvalidCiphertextException for bytes that `seal` did not make */
export function parseBlob(blob: Buffer): Blob {
  const length = blob[magic.length] ?? 0;
  const headEnd = magic.length + 1 + length + 2;
  if (!blob.subarray(0, magic.length).equals(magic) || blob.length < headEnd + ivBytes + tagBytes) {
    throw invalidCiphertext();
  }
  const keyId = blob.subarray(magic.length + 1, headEnd - 2).toString();
  return {
    keyId,
    index: blob.readUInt16BE(headEnd - 2),
    head: blob.subarray(0, headEnd),
    sealed: blob.subarray(headEnd),
  };
}

/** Opens a blob. @throws ServiceError InvalidCiphertextException for damage and for a wrong context alike */
export function open(blob: Blob, keys: readonly KeyObject[], context: ReadonlyMap<string, string>): Buffer {
  const key = keys[blob.index];
  if (!key) throw invalidCiphertext();
  const tagStart = ivBytes;
  const bodyStart = ivBytes + tagBytes;
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, blob.sealed.subarray(0, ivBytes));
    decipher.setAuthTag(blob.sealed.subarray(tagStart, bodyStart));
    decipher.setAAD(Buffer.concat([blob.head, canonical(context)]));
    return Buffer.concat([decipher.update(blob.sealed.subarray(bodyStart)), decipher.final()]);
  } catch {
    throw invalidCiphertext();
  }
}

/** The context's pairs in the order of their keys: order does not matter, every byte does. */
function canonical(context: ReadonlyMap<string, string>): Buffer {
  const pairs = [...context].sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.from(JSON.stringify(pairs));
}

/** The hash of each RSA encryption algorithm. */
export const rsaHashes: ReadonlyMap<string, { hash: string; bytes: number }> = new Map([
  ["RSAES_OAEP_SHA_1", { hash: "sha1", bytes: 20 }],
  ["RSAES_OAEP_SHA_256", { hash: "sha256", bytes: 32 }],
]);

/** The longest plaintext, in bytes: the modulus less two hashes and two (RFC 8017, section 7.1.1). */
export function rsaLimit(spec: string, algorithm: string): number {
  return specs.get(spec)!.bits! / 8 - 2 * rsaHashes.get(algorithm)!.bytes - 2;
}

/** RSA-OAEP; the ciphertext is as long as the modulus. */
export function rsaEncrypt(publicKey: KeyObject, algorithm: string, plain: Buffer): Buffer {
  const oaepHash = rsaHashes.get(algorithm)!.hash;
  return publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, plain);
}

/** @throws ServiceError InvalidCiphertextException for damage, another key's and another algorithm's ciphertext */
export function rsaDecrypt(privateKey: KeyObject, algorithm: string, ciphertext: Buffer): Buffer {
  const oaepHash = rsaHashes.get(algorithm)!.hash;
  try {
    return privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, ciphertext);
  } catch {
    throw invalidCiphertext();
  }
}
