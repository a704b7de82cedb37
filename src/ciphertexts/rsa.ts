import { constants, createPublicKey, type KeyObject, publicEncrypt } from "node:crypto";
import type { Algorithm } from "../aws/kms.ts";
import type { Sealed } from "../runtime/sealed.ts";

export type RsaAlgorithm = Exclude<Algorithm, "SYMMETRIC_DEFAULT">;

/** The hash of each algorithm, for the label and for the mask as KMS has it, and its bytes. */
const hashes: Readonly<Record<RsaAlgorithm, { name: string; bytes: number }>> = {
  RSAES_OAEP_SHA_1: { name: "sha1", bytes: 20 },
  RSAES_OAEP_SHA_256: { name: "sha256", bytes: 32 },
};

/** Bits of the RSA keys of KMS (KMS Developer Guide, "Key spec reference"). */
export const rsaBits: readonly number[] = [2_048, 3_072, 4_096];

/** Bytes that an RSA key encrypts, at most (RFC 8017, section 7.1.1). */
export function rsaLimit(algorithm: RsaAlgorithm, bits: number): number {
  return bits / 8 - 2 * hashes[algorithm].bytes - 2;
}

/**
 * Reads a public key: PEM, DER, or DER in base64 as `aws kms get-public-key` prints it.
 *
 * @returns the key and its bits, or a clause that says what is wrong with it
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

function parsePublicKey(bytes: Buffer): KeyObject | string {
  const text = bytes.subarray(0, 16_384).toString("latin1").trim();
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return "is a private key: give the public one alone";
  const wrong = "is no public key: give what aws kms get-public-key --query PublicKey --output text prints, or its PEM";
  const isBase64 = /^[A-Za-z0-9+/\s]+={0,2}$/.test(text);
  try {
    if (text.startsWith("-----BEGIN ")) return createPublicKey(text);
    const der = isBase64 ? Buffer.from(text, "base64") : bytes;
    return createPublicKey({ key: der, format: "der", type: "spki" });
  } catch {
    return wrong;
  }
}

/**
 * Encrypts as KMS would with the private key's other half, without asking it.
 *
 * @param plaintext of `rsaLimit` bytes at most
 */
export function rsaEncrypt(key: KeyObject, algorithm: RsaAlgorithm, plaintext: Sealed): Uint8Array {
  const oaepHash = hashes[algorithm].name;
  return publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, plaintext.reveal());
}
