import { AwsFailure } from "../aws/failure.ts";
import type { DecryptRequest, KeyDescription, KmsCalls } from "../aws/kms.ts";
import { Failure, type Next } from "../runtime/failure.ts";
import { pairsText } from "./binding.ts";
import { isAlias } from "./key-name.ts";

/** A decryption that failed in KMS. */
export interface Refused {
  /** The request to KMS. */
  request: DecryptRequest;
  /** The pairs of the context that the connection's binding requires. */
  bound: ReadonlyMap<string, string>;
}

/** An addition to a KMS failure. */
interface More {
  message: string;
  next?: Next;
}

/**
 * Adds likely causes to a failure of kms:Decrypt: a moved alias, the wrong kind of key, or binding. Calls
 * kms:DescribeKey for details of the key, and omits them without that permission.
 *
 * @param entry begins every message
 */
export async function explain(
  failure: AwsFailure,
  { request, bound }: Refused,
  kms: Pick<KmsCalls, "describeKey">,
  entry: string,
): Promise<AwsFailure> {
  const { code, scope, requestId, reason } = failure;
  const { message, next = failure.next } = (await moreOf(failure, { request, bound }, kms)) ?? failure;
  return new AwsFailure({ reason, next, code, scope, requestId, message: `${entry}: ${message}` });
}

async function moreOf(
  failure: AwsFailure,
  { request, bound }: Refused,
  kms: Pick<KmsCalls, "describeKey">,
): Promise<More | undefined> {
  const { keyId, algorithm } = request;
  const told = () => (keyId === undefined ? undefined : describe(kms, keyId));
  switch (failure.code) {
    case "IncorrectKeyException":
      return isNamedByAlias(keyId) ? moved(failure, keyId, await told()) : undefined;
    case "InvalidKeyUsageException":
    case "UnsupportedOperationException":
      return otherKind(failure, request, await told());
    case "InvalidCiphertextException":
      if (isRsa(algorithm)) return isNamedByAlias(keyId) ? moved(failure, keyId, await told()) : undefined;
      return { message: `${failure.message}${bindingHint(bound)}${rsaHint(request)}` };
    default:
      return undefined;
  }
}

/** The alias may point to another key. Moving it back makes the ciphertext usable without a change of the spec. */
function moved({ message }: AwsFailure, alias: string, now: KeyDescription | undefined): More {
  const leads = now ? `it leads to ${now.arn} now` : "kms:DescribeKey, where it is allowed, tells where it leads now";
  return {
    message: `${message}; ${alias} is an alias, which may have moved to another key since: ${leads}; name the key by its ARN, or encrypt anew`,
    next: "wait",
  };
}

function otherKind(failure: AwsFailure, { keyId = "the key", algorithm }: DecryptRequest, key?: KeyDescription): More {
  // The alias can be moved to a suitable key.
  const next: Next = isNamedByAlias(keyId) ? "wait" : failure.next;
  if (!key) return { message: failure.message, next };
  const what = key.arn === keyId ? keyId : `${keyId} (${key.arn})`;
  const says = (text: string) => ({ message: `the KMS key ${what} ${text}`, next });
  if (key.usage !== "ENCRYPT_DECRYPT") {
    return says(
      `is for ${key.usage} (${key.spec}) and decrypts nothing: encrypt with a symmetric or an RSA key for ENCRYPT_DECRYPT`,
    );
  }
  if (key.spec === "SYMMETRIC_DEFAULT" && isRsa(algorithm)) return says("is a symmetric key: leave algorithm out");
  if (key.spec.startsWith("RSA_") && !isRsa(algorithm)) {
    return says("is an RSA key: set algorithm to what it was encrypted with, RSAES_OAEP_SHA_256 or RSAES_OAEP_SHA_1");
  }
  return says(`is of the kind ${key.spec}, which does not decrypt by ${algorithm ?? "SYMMETRIC_DEFAULT"}`);
}

function bindingHint(bound: ReadonlyMap<string, string>): string {
  if (bound.size === 0) return "; what keyferry encrypt --bind made opens only with spec.binding of its connection";
  return `; its connection's binding is on and adds the encryption context ${pairsText(bound)}: what was encrypted for another cluster, namespace or name, or without it, does not open here`;
}

/** A symmetric ciphertext begins with byte 1; an RSA ciphertext is random and as long as the modulus. */
function rsaHint({ ciphertext }: DecryptRequest): string {
  if (ciphertext[0] === 1 || !rsaBytes.includes(ciphertext.length)) return "";
  return "; if an RSA key made it, give its keyId and algorithm";
}

/** Ciphertext bytes of RSA keys with 2048, 3072 and 4096 bits. */
export const rsaBytes: readonly number[] = [256, 384, 512];

export function isRsa(algorithm: DecryptRequest["algorithm"]): boolean {
  return algorithm !== undefined && algorithm !== "SYMMETRIC_DEFAULT";
}

function isNamedByAlias(keyId: string | undefined): keyId is string {
  return keyId !== undefined && isAlias(keyId);
}

async function describe(kms: Pick<KmsCalls, "describeKey">, keyId: string): Promise<KeyDescription | undefined> {
  try {
    return await kms.describeKey(keyId);
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}
