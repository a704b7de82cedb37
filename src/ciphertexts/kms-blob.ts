import { allowsKey, everyKey, noKeys } from "../aws/allow.ts";
import { AwsFailure } from "../aws/failure.ts";
import type { Algorithm, DecryptRequest, KmsCalls } from "../aws/kms.ts";
import { Failure } from "../runtime/failure.ts";
import type { Sealed } from "../runtime/sealed.ts";
import { parseBase64 } from "./base64.ts";
import { type Binding, type Owner, pairsFor, refuseReserved } from "./binding.ts";
import { explain, isRsa, rsaBytes } from "./explain.ts";
import { keyIn } from "./key-name.ts";

/** A ciphertext in a SyncedSecret, from kms:Encrypt or from RSA-OAEP with a KMS key's public key. */
export interface KmsBlob {
  /** Base64. */
  ciphertext: string;
  /** Pins the key. Must be an ARN if the connection lists keys. Required for RSA. */
  keyId?: string;
  /** Default SYMMETRIC_DEFAULT. */
  algorithm?: Algorithm;
  encryptionContext?: Readonly<Record<string, string>>;
  /** If false, decrypts without the binding's context pairs, if the connection permits it. */
  bound?: boolean;
}

/** The connection's rules for a blob, and the blob's SyncedSecret. */
export interface BlobRules {
  /** The connection's region, to which all calls go. */
  region: string;
  /** `allow.keyIds` of the connection; undefined allows every key, an empty list none. */
  allowKeyIds?: readonly string[] | undefined;
  binding?: Binding | undefined;
  owner: Owner;
  /** The blob's name in messages: `data[2] (LICENSE)`. */
  entry: string;
}

/** A blob that passed every check that needs no KMS call. */
export interface ReadyBlob {
  request: DecryptRequest;
  /** The context pairs that binding requires. */
  bound: ReadonlyMap<string, string>;
}

/** Maximum ciphertext bytes of kms:Decrypt (KMS API Reference, Decrypt). */
const ciphertextBytes = 6_144;

/** Base64 characters of that many bytes. */
const ciphertextLength = Math.ceil(ciphertextBytes / 3) * 4;

/**
 * Validates a blob's format, key and context without a KMS call. Pure.
 *
 * @returns the request to KMS
 * @throws Failure whose message begins with the entry
 */
export function checkBlob(blob: KmsBlob, rules: BlobRules): ReadyBlob {
  const { keyId, algorithm, encryptionContext = {}, bound } = blob;
  const { entry, binding, owner, allowKeyIds, region } = rules;
  const ciphertext = readCiphertext(blob, entry);
  refuseReserved(encryptionContext, entry);
  if (isRsa(algorithm)) checkRsa(blob, ciphertext, entry);
  checkKey(allowKeyIds, keyId, entry);
  const pairs = pairsFor(binding, bound, owner, entry);
  if (isRsa(algorithm) && pairs.size > 0) {
    const message = `${entry}: ${algorithm} has no encryption context, and binding of its connection asks for one: encrypt with a symmetric key`;
    throw new Failure("NotAllowed", "wait", message);
  }
  const context = new Map([...Object.entries(encryptionContext), ...pairs]);
  const request: DecryptRequest = {
    ciphertext,
    encryptionContext: context,
    ...(keyId === undefined ? {} : { keyId: keyHere(keyId, region, entry) }),
    ...(isRsa(algorithm) ? { algorithm: algorithm! } : {}),
  };
  return { request, bound: pairs };
}

/**
 * Decrypts a blob with kms:Decrypt. If the connection lists keys, checks the requested key before the call, and the key
 * that KMS used before it returns the plaintext.
 *
 * @returns the plaintext, and the ARN of the key that KMS used
 * @throws Failure whose message begins with the entry
 */
export async function openBlob(
  { kms }: { kms: KmsCalls },
  blob: KmsBlob,
  rules: BlobRules,
  signal?: AbortSignal,
): Promise<{ plaintext: Sealed; keyId: string }> {
  const { entry, allowKeyIds } = rules;
  const ready = checkBlob(blob, rules);
  const opened = await decrypt();
  const verdict = allowsKey(allowKeyIds, opened.keyId);
  if (!verdict.allowed) {
    const message = `${entry}: key ${opened.keyId}, which KMS used, is not allowed: ${verdict.rule}`;
    throw new Failure("NotAllowed", "wait", message);
  }
  return opened;

  async function decrypt() {
    try {
      return await kms.decrypt({ ...ready.request, ...(signal ? { signal } : {}) });
    } catch (error) {
      throw error instanceof AwsFailure ? await explain(error, ready, kms, entry) : error;
    }
  }
}

function readCiphertext({ ciphertext: text, algorithm }: KmsBlob, entry: string): Uint8Array {
  const invalid = (what: string) => new Failure("InvalidData", "stalled", `${entry}: kms.ciphertext ${what}`);
  if (text.length > ciphertextLength) {
    throw invalid(`is longer than the ${ciphertextBytes} bytes that KMS decrypts: keep the value in a parameter`);
  }
  const bytes = parseBase64(text);
  if (!bytes) throw invalid("is not base64: give the CiphertextBlob that aws kms encrypt prints, on one line");
  // An RSA ciphertext is random, and matches a message's prefix in one of 65,536 cases.
  const isOfRsa = isRsa(algorithm) && rsaBytes.includes(bytes.length);
  if (!isOfRsa && isEncryptionSdkMessage(bytes)) {
    throw invalid(
      "is a message of the AWS Encryption SDK, not what kms:Encrypt makes: give it as encryptionSDK.ciphertext",
    );
  }
  return bytes;
}

/**
 * Prefixes of AWS Encryption SDK messages: version 2 with the algorithm suites 0578 and 0478, version 1 with the
 * type 80 (AWS Encryption SDK Developer Guide, "Message format reference"). A ciphertext of KMS begins with 01 02.
 */
function isEncryptionSdkMessage(bytes: Uint8Array): boolean {
  const [first, second, third] = bytes;
  return (
    (first === 0x02 && (second === 0x05 || second === 0x04) && third === 0x78) || (first === 0x01 && second === 0x80)
  );
}

function checkKey(allowKeyIds: readonly string[] | undefined, keyId: string | undefined, entry: string): void {
  if (!allowKeyIds || allowKeyIds.includes(everyKey)) return;
  if (allowKeyIds.length === 0) throw new Failure("NotAllowed", "wait", `${entry}: ${noKeys}`);
  if (keyId === undefined) {
    const message = `${entry}: kms.keyId is required: allow.keyIds of its connection lists the keys that may be used`;
    throw new Failure("NotAllowed", "stalled", message);
  }
  const verdict = allowsKey(allowKeyIds, keyId);
  if (!verdict.allowed)
    throw new Failure("NotAllowed", "wait", `${entry}: key ${keyId} is not allowed: ${verdict.rule}`);
}

/** Validates the fields that only RSA needs (KMS API Reference, Decrypt). */
function checkRsa({ keyId, algorithm, encryptionContext = {} }: KmsBlob, ciphertext: Uint8Array, entry: string): void {
  const invalid = (what: string) => new Failure("InvalidData", "stalled", `${entry}: ${what}`);
  if (keyId === undefined) {
    throw invalid(`kms.keyId is required with algorithm ${algorithm}: the ciphertext does not say which key made it`);
  }
  if (Object.keys(encryptionContext).length > 0) {
    throw invalid(`kms.encryptionContext does not go with algorithm ${algorithm}, which has none: remove it`);
  }
  if (rsaBytes.includes(ciphertext.length)) return;
  const sizes = "256, 384 or 512 bytes, with keys of 2048, 3072 and 4096 bits";
  throw invalid(`kms.ciphertext has ${ciphertext.length} bytes, and what ${algorithm} makes has ${sizes}`);
}

function keyHere(keyId: string, region: string, entry: string): string {
  const here = keyIn(keyId, region);
  if ("keyId" in here) return here.keyId;
  throw new Failure("InvalidData", "wait", `${entry}: kms.keyId ${keyId} ${here.problem}`);
}
