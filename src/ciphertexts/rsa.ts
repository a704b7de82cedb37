import { constants, createPublicKey, type KeyObject, publicEncrypt } from "node:crypto";
import type { Algorithm } from "../aws/kms.ts";
import type { Sealed } from "../runtime/sealed.ts";

export type RsaAlgorithm = Exclude<Algorithm, "SYMMETRIC_DEFAULT">;

/** The hash of each algorithm, for the label and for the mask as KMS has it, and its bytes. */
const hashes: Readonly<Record<RsaAlgorithm, { name: string; bytes: number }>> = {
  RSAES_OAEP_SHA_1: { name: "sha1", bytes: 20 },
  RSAES_OAEP_SHA_256: { name: "sha256", bytes: 32 },
};

/** RSA key sizes of KMS in bits (KMS Developer Guide, "Key spec reference"). */
export const rsaBits: readonly number[] = [2_048, 3_072, 4_096];

/** Maximum plaintext bytes of an RSA key (RFC 8017, section 7.1.1). */
export function rsaLimit(algorithm: RsaAlgorithm, bits: number): number {
  return bits / 8 - 2 * hashes[algorithm].bytes - 2;
}

/**
 * Reads a public key: PEM, with text before it or a byte order mark; DER, or DER in base64; and what `aws kms
 * get-public-key` prints as JSON. SubjectPublicKeyInfo, as KMS gives it, and PKCS#1.
 *
 * @returns the key and its size in bits, or a clause that states why it is invalid
 */
export function readPublicKey(bytes: Uint8Array): { key: KeyObject; bits: number } | { problem: string } {
  const key = parsePublicKey(Buffer.from(bytes));
  if (typeof key === "string") return { problem: key };
  if (key.asymmetricKeyType !== "rsa") {
    return {
      problem: `is of the kind ${key.asymmetricKeyType}, which cannot encrypt: give the key of an RSA key in KMS`,
    };
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (!rsaBits.includes(bits)) {
    return { problem: `has ${bits} bits, and RSA keys of KMS have ${rsaBits.join(", ")}: it is none of KMS's` };
  }
  return { key, bits };
}

/** Maximum file bytes to parse for a public key: the largest key has 800 in PEM. */
const keyFileBytes = 16_384;

function parsePublicKey(bytes: Buffer): KeyObject | string {
  const text = inJson(textOf(bytes.subarray(0, keyFileBytes)).trim());
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return "is a private key: give the public one alone";
  const pem = /-----BEGIN [A-Z0-9 ]+-----[^-]+-----END [A-Z0-9 ]+-----/.exec(text)?.[0];
  if (pem !== undefined) return parsed(() => createPublicKey(pem)) ?? wrongKey;
  const isBase64 = /^[A-Za-z0-9+/\s]+={0,2}$/.test(text);
  const der = isBase64 ? Buffer.from(text, "base64") : bytes;
  const types = ["spki", "pkcs1"] as const;
  for (const type of types) {
    const key = parsed(() => createPublicKey({ key: der, format: "der", type }));
    if (key) return key;
  }
  return wrongKey;
}

const wrongKey =
  "is no public key: give what aws kms get-public-key --query PublicKey --output text prints, or its PEM";

function parsed(parse: () => KeyObject): KeyObject | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}

/** A text in UTF-8 or UTF-16, without its byte order mark; of DER, something that is no PEM and no base64. */
function textOf(bytes: Buffer): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return bytes.subarray(2).toString("utf16le");
  return bytes.toString("latin1").replace(/^\xef\xbb\xbf/, "");
}

/** The public key in the JSON that the AWS CLI prints; the text itself where it is none. */
function inJson(text: string): string {
  if (!text.startsWith("{") && !text.startsWith('"')) return text;
  try {
    const value = JSON.parse(text);
    const key = typeof value === "object" && Object.hasOwn(value, "PublicKey") ? value.PublicKey : value;
    return typeof key === "string" ? key : text;
  } catch {
    return text;
  }
}

/**
 * Encrypts locally, as KMS does with the same public key.
 *
 * @param plaintext at most `rsaLimit` bytes
 */
export function rsaEncrypt(key: KeyObject, algorithm: RsaAlgorithm, plaintext: Sealed): Uint8Array {
  const oaepHash = hashes[algorithm].name;
  return publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, plaintext.reveal());
}
