import { readFile } from "node:fs/promises";
import { stringify } from "yaml";
import type { KmsEncryptPort } from "../aws/kms-encrypt.ts";
import { parseMessageHeader } from "../ciphertexts/message-header.ts";
import { encryptMessage } from "../ciphertexts/message-library.ts";
import { type RsaAlgorithm, readPublicKey, rsaBits, rsaEncrypt, rsaLimit } from "../ciphertexts/rsa.ts";
import { Failure } from "../runtime/failure.ts";
import type { Sealed } from "../runtime/sealed.ts";
import type { EncryptSettings } from "./encrypt-settings.ts";
import { whyUnreadable } from "./input.ts";

/** Maximum bytes: of kms:Encrypt (KMS API Reference), and of a message without its framing. */
export const limits = { symmetric: 4_096, message: 1_040_000 };

/** KMS in a region; undefined for the default region. */
type Kms = (region: string | undefined) => KmsEncryptPort;

/**
 * Rejects a value that is too large, before any call.
 *
 * @throws Failure with an alternative that takes larger values
 */
export function checkSize(size: number, { kind, algorithm }: EncryptSettings): void {
  if (size === 0) throw refused("there is nothing to encrypt: the value is empty");
  if (kind === "symmetric" && size > limits.symmetric) throw tooLong(`KMS encrypts ${limits.symmetric} bytes at most`);
  if (kind === "rsa") {
    const most = rsaLimit(algorithm as RsaAlgorithm, Math.max(...rsaBits));
    if (size > most) throw tooLong(`the largest RSA key encrypts ${most} bytes at most with ${algorithm}`);
  }
  if (kind === "message" && size > limits.message) {
    throw refused(`the value is longer than the ${limits.message} bytes that fit into a Secret with their message`);
  }
}

/**
 * Encrypts a value.
 *
 * @param region the key's region, if its ARN names one
 * @returns the source of an entry, in the format of a SyncedSecret
 * @throws Failure
 */
export async function encryptedSource(
  value: Sealed,
  settings: EncryptSettings,
  kms: Kms,
  region: string | undefined,
): Promise<object> {
  const { kind, keys, algorithm, bound } = settings;
  const context = new Map([...settings.context, ...bound]);
  const shown = settings.context.size === 0 ? {} : { encryptionContext: Object.fromEntries(settings.context) };
  if (kind === "message") {
    const message = await encryptMessage(value, keys, context, kms);
    const parsed = parseMessageHeader(message);
    const keyIds = "header" in parsed ? parsed.header.keys.map(({ name }) => name) : keys;
    return { encryptionSDK: { ciphertext: base64(message), keyIds, ...shown } };
  }
  if (kind === "offline") {
    const ciphertext = await offline(value, settings);
    return { kms: { ciphertext: base64(ciphertext), keyId: keys[0], algorithm } };
  }
  const made = await kms(region).encrypt({ keyId: keys[0]!, plaintext: value, algorithm, context });
  const rsa = kind === "rsa" ? { algorithm } : {};
  return { kms: { ciphertext: base64(made.ciphertext), keyId: made.keyId, ...rsa, ...shown } };
}

/** @throws Failure if the file holds no usable key, or the value is too long for it */
async function offline(value: Sealed, { publicKey, algorithm }: EncryptSettings): Promise<Uint8Array> {
  const bytes = await readFile(publicKey!).catch((error: unknown) => {
    throw refused(`--public-key is not a readable file: ${whyUnreadable(error)}`);
  });
  const read = readPublicKey(bytes);
  if ("problem" in read) throw refused(`the key of --public-key ${read.problem}`);
  const most = rsaLimit(algorithm as RsaAlgorithm, read.bits);
  if (value.size > most) {
    throw tooLong(`an RSA key of ${read.bits} bits encrypts ${most} bytes at most with ${algorithm}`);
  }
  return rsaEncrypt(read.key, algorithm as RsaAlgorithm, value);
}

/** Formats the entry as a list item, or as a whole SyncedSecret; base64 stays on one line. */
export function printed(source: object, { dataKey, manifest }: EncryptSettings): string {
  const data = [{ key: dataKey, ...source }];
  const whole = manifest && {
    apiVersion: "keyferry.io/v1alpha1",
    kind: "SyncedSecret",
    metadata: manifest,
    spec: { data },
  };
  return stringify(whole ?? data, { lineWidth: 0 });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function refused(message: string): Failure {
  return new Failure("InvalidData", "stalled", message);
}

function tooLong(what: string): Failure {
  return refused(`the value is too long: ${what}; use --encryption-sdk with a symmetric key, which takes any size`);
}
