import { allowsKey } from "../aws/allow.ts";
import { AwsFailure } from "../aws/failure.ts";
import type { Identity } from "../aws/identity.ts";
import { Failure } from "../runtime/failure.ts";
import type { Sealed } from "../runtime/sealed.ts";
import { parseBase64 } from "./base64.ts";

/** A ciphertext of kms:Encrypt under a symmetric key, as a SyncedSecret holds it. */
export interface KmsBlob {
  /** Base64. */
  ciphertext: string;
  /** Pins the key. An ARN, where the connection lists keys. */
  keyId?: string;
  encryptionContext?: Readonly<Record<string, string>>;
}

export interface OpenOptions {
  /** `allow.keyIds` of the connection; undefined allows every key. */
  allowKeyIds?: readonly string[];
  /** How messages call the blob: `data[2] (LICENSE)`. */
  entry: string;
  signal?: AbortSignal;
}

/** Bytes that kms:Decrypt takes, at most (KMS API Reference, Decrypt). */
const ciphertextBytes = 6_144;

/** Characters of base64 that make so many bytes. */
const ciphertextLength = Math.ceil(ciphertextBytes / 3) * 4;

/** Names of a context that begin so are the operator's own. */
const reserved = "keyferry.io/";

/**
 * Opens a blob by kms:Decrypt. Where the connection lists keys, the key is checked before the call by its name, and
 * after it by what KMS says it used, before the plaintext is given out.
 *
 * @returns the plaintext, and the ARN of the key that KMS says it used
 * @throws Failure whose message begins with the entry
 */
export async function openBlob(
  identity: Pick<Identity, "kms">,
  blob: KmsBlob,
  { allowKeyIds, entry, signal }: OpenOptions,
): Promise<{ plaintext: Sealed; keyId: string }> {
  const { keyId, encryptionContext = {} } = blob;
  const ciphertext = readCiphertext(blob.ciphertext, entry);
  const taken = Object.keys(encryptionContext).find((name) => name.startsWith(reserved));
  if (taken !== undefined) {
    throw new Failure(
      "NotAllowed",
      "stalled",
      `${entry}: encryptionContext names below ${reserved} are the operator's`,
    );
  }
  checkKey(allowKeyIds, keyId, entry);
  const opened = await decrypt();
  const verdict = allowsKey(allowKeyIds, opened.keyId);
  if (!verdict.allowed) {
    throw new Failure(
      "NotAllowed",
      "wait",
      `${entry}: key ${opened.keyId}, which KMS used, is not allowed: ${verdict.rule}`,
    );
  }
  return opened;

  async function decrypt() {
    try {
      return await identity.kms.decrypt({
        ciphertext,
        encryptionContext: new Map(Object.entries(encryptionContext)),
        ...(keyId === undefined ? {} : { keyId }),
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      throw error instanceof AwsFailure ? inEntry(error, entry) : error;
    }
  }
}

function readCiphertext(text: string, entry: string): Uint8Array {
  const invalid = (what: string) => new Failure("InvalidData", "stalled", `${entry}: kms.ciphertext ${what}`);
  if (text.length > ciphertextLength) {
    throw invalid(`is longer than the ${ciphertextBytes} bytes that KMS decrypts: keep the value in a parameter`);
  }
  const bytes = parseBase64(text);
  if (!bytes) throw invalid("is not base64: give the CiphertextBlob that aws kms encrypt prints, on one line");
  if (isEncryptionSdkMessage(bytes)) {
    throw invalid("is a message of the AWS Encryption SDK, not what kms:Encrypt makes: encrypt with aws kms encrypt");
  }
  return bytes;
}

/**
 * How messages of the AWS Encryption SDK begin: version 2 with the algorithm suites 0578 and 0478, version 1 with the
 * type 80 (AWS Encryption SDK Developer Guide, "Message format reference"). A ciphertext of KMS begins with 01 02.
 */
function isEncryptionSdkMessage(bytes: Uint8Array): boolean {
  const [first, second, third] = bytes;
  return (
    (first === 0x02 && (second === 0x05 || second === 0x04) && third === 0x78) || (first === 0x01 && second === 0x80)
  );
}

function checkKey(allowKeyIds: readonly string[] | undefined, keyId: string | undefined, entry: string): void {
  if (!allowKeyIds) return;
  if (keyId === undefined) {
    const message = `${entry}: kms.keyId is required: allow.keyIds of its connection lists the keys that may be used`;
    throw new Failure("NotAllowed", "stalled", message);
  }
  const verdict = allowsKey(allowKeyIds, keyId);
  if (!verdict.allowed)
    throw new Failure("NotAllowed", "wait", `${entry}: key ${keyId} is not allowed: ${verdict.rule}`);
}

function inEntry({ reason, next, code, scope, requestId, message }: AwsFailure, entry: string): AwsFailure {
  return new AwsFailure({ reason, next, code, scope, requestId, message: `${entry}: ${message}` });
}
