import { randomBytes } from "node:crypto";
import type { Call } from "../call.ts";
import type { Denials } from "../denials.ts";
import { type Json, ServiceError } from "../http.ts";
import { invalid, optionalString, requiredBytes, requiredString, stringMap, wholeNumber } from "../input.ts";
import type { Key, Keys } from "./keys.ts";
import { invalidCiphertext, open, parseBlob, rsaDecrypt, rsaEncrypt, rsaHashes, rsaLimit, seal } from "./material.ts";

/** The largest plaintext of Encrypt and ciphertext of Decrypt, in bytes (KMS API Reference). */
const longestPlaintext = 4096;
const longestCiphertext = 6144;

/** What KMS answers for a blob whose key the caller cannot see. */
const unseen =
  "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.";

type Context = ReadonlyMap<string, string>;

/** Encryption and decryption: for callers of KMS, and for SSM in a caller's name. */
export class KeyUse {
  #keys: Keys;
  #denials: Denials;

  constructor(keys: Keys, denials: Denials) {
    this.#keys = keys;
    this.#denials = denials;
  }

  encrypt(call: Call): Json {
    const plain = requiredBytes(call.input, "Plaintext", longestPlaintext);
    const key = this.#keys.find(call, requiredString(call.input, "KeyId"));
    this.#denials.check(call, key.arn);
    const algorithm = optionalString(call.input, "EncryptionAlgorithm") ?? "SYMMETRIC_DEFAULT";
    this.#ready(call, key);
    const blob = this.#lock(key, algorithm, plain, contextOf(call.input, "EncryptionContext", algorithm));
    return { CiphertextBlob: blob.toString("base64"), KeyId: key.arn, EncryptionAlgorithm: algorithm };
  }

  decrypt(call: Call): Json {
    const blob = requiredBytes(call.input, "CiphertextBlob", longestCiphertext);
    const algorithm = optionalString(call.input, "EncryptionAlgorithm") ?? "SYMMETRIC_DEFAULT";
    const key = this.#keyOf(call, blob, algorithm, optionalString(call.input, "KeyId"));
    const context = contextOf(call.input, "EncryptionContext", algorithm);
    this.#denials.check(call, key.arn, undefined, context);
    this.#ready(call, key);
    const plain = this.#unlock(key, algorithm, blob, context);
    return { KeyId: key.arn, Plaintext: plain.toString("base64"), EncryptionAlgorithm: algorithm };
  }

  reEncrypt(call: Call): Json {
    const { input } = call;
    const blob = requiredBytes(input, "CiphertextBlob", longestCiphertext);
    const from = optionalString(input, "SourceEncryptionAlgorithm") ?? "SYMMETRIC_DEFAULT";
    const to = optionalString(input, "DestinationEncryptionAlgorithm") ?? "SYMMETRIC_DEFAULT";
    const source = this.#keyOf(call, blob, from, optionalString(input, "SourceKeyId"));
    const target = this.#keys.find(call, requiredString(input, "DestinationKeyId"));
    this.#denials.check(call, source.arn, "kms:ReEncryptFrom");
    this.#denials.check(call, target.arn, "kms:ReEncryptTo");
    this.#keys.usable(source);
    this.#ready(call, target);
    const plain = this.#unlock(source, from, blob, contextOf(input, "SourceEncryptionContext", from));
    const again = this.#lock(target, to, plain, contextOf(input, "DestinationEncryptionContext", to));
    return {
      CiphertextBlob: again.toString("base64"),
      SourceKeyId: source.arn,
      KeyId: target.arn,
      SourceEncryptionAlgorithm: from,
      DestinationEncryptionAlgorithm: to,
    };
  }

  generateDataKey(call: Call, withPlaintext: boolean): Json {
    const { input } = call;
    const key = this.#keys.find(call, requiredString(input, "KeyId"));
    this.#denials.check(call, key.arn);
    const spec = optionalString(input, "KeySpec");
    const ofSpec = spec === "AES_256" ? 32 : spec === "AES_128" ? 16 : 0;
    const bytes = ofSpec || wholeNumber(input, "NumberOfBytes", 1, 1024, 0);
    this.#ready(call, key);
    const plain = randomBytes(bytes);
    const blob = this.#lock(key, "SYMMETRIC_DEFAULT", plain, stringMap(input, "EncryptionContext"));
    const answer = { CiphertextBlob: blob.toString("base64"), KeyId: key.arn };
    return withPlaintext ? { ...answer, Plaintext: plain.toString("base64") } : answer;
  }

  /** Encrypts for another service in the caller's name. Any length: what is longer than Encrypt takes is an envelope. */
  encryptFor(call: Call, keyId: string, plain: Buffer, context: Context): Buffer {
    const key = this.#keys.find(call, keyId);
    this.#denials.check(call, key.arn, "kms:Encrypt");
    this.#keys.usable(key);
    return this.#lock(key, "SYMMETRIC_DEFAULT", plain, context);
  }

  /** The reverse of `encryptFor`. */
  decryptFor(call: Call, blob: Buffer, context: Context): Buffer {
    const key = this.#keyOf(call, blob, "SYMMETRIC_DEFAULT", undefined);
    this.#denials.check(call, key.arn, "kms:Decrypt", context);
    this.#keys.usable(key);
    return this.#unlock(key, "SYMMETRIC_DEFAULT", blob, context);
  }

  /** The key that a ciphertext is to be opened with. */
  #keyOf(call: Call, blob: Buffer, algorithm: string, keyId: string | undefined): Key {
    if (keyId === undefined && algorithm !== "SYMMETRIC_DEFAULT") throw invalid("keyId", "Member must not be null");
    const named = keyId === undefined ? undefined : this.#keys.find(call, keyId);
    // An RSA ciphertext says nothing of its key, and one that is no symmetric key's is told by the key itself.
    if (named && (algorithm !== "SYMMETRIC_DEFAULT" || named.material.kind !== "symmetric")) return named;
    const maker = this.#keys.maker(call, parseBlob(blob).keyId);
    if (named && named !== maker) {
      throw new ServiceError(
        "IncorrectKeyException",
        "The key ID in the request does not identify a CMK that can perform this operation.",
      );
    }
    if (!maker) throw new ServiceError("AccessDeniedException", unseen);
    return maker;
  }

  /** Ends a dry run, which goes no further than saying that the call would be allowed. */
  #ready(call: Call, key: Key): void {
    this.#keys.usable(key);
    if (call.input.DryRun === true) {
      throw new ServiceError(
        "DryRunOperationException",
        "The request would have succeeded, but the DryRun option is set.",
        412,
      );
    }
  }

  #lock(key: Key, algorithm: string, plain: Buffer, context: Context): Buffer {
    fits(key, algorithm);
    if (key.material.kind === "symmetric") return seal(key.id, key.material.keys, plain, context);
    if (plain.length > rsaLimit(key.spec, algorithm)) {
      throw new ServiceError("ValidationException", `Plaintext is longer than ${rsaLimit(key.spec, algorithm)} bytes`);
    }
    return rsaEncrypt(key.material.publicKey, algorithm, plain);
  }

  #unlock(key: Key, algorithm: string, blob: Buffer, context: Context): Buffer {
    fits(key, algorithm);
    if (key.material.kind === "symmetric") return open(parseBlob(blob), key.material.keys, context);
    if (blob.length !== rsaLimit(key.spec, "RSAES_OAEP_SHA_1") + 42) throw invalidCiphertext();
    return rsaDecrypt(key.material.privateKey, algorithm, blob);
  }
}

/** @throws ServiceError InvalidKeyUsageException where the key is not for encryption, or not by this algorithm */
function fits(key: Key, algorithm: string): void {
  if (algorithm !== "SYMMETRIC_DEFAULT" && !rsaHashes.has(algorithm)) {
    throw invalid(
      "encryptionAlgorithm",
      "Member must satisfy enum value set: [SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256]",
    );
  }
  const symmetric = key.material.kind === "symmetric";
  if (key.usage === "ENCRYPT_DECRYPT" && symmetric === (algorithm === "SYMMETRIC_DEFAULT")) return;
  throw new ServiceError(
    "InvalidKeyUsageException",
    `${key.arn} key usage is ${key.usage} and its spec ${key.spec}, which is not valid for ${algorithm}.`,
  );
}

/** The encryption context, which only symmetric keys take. */
function contextOf(input: Json, member: string, algorithm: string): Context {
  const context = stringMap(input, member);
  if (context.size > 0 && algorithm !== "SYMMETRIC_DEFAULT") {
    throw new ServiceError("ValidationException", `An encryption context is not valid with ${algorithm}`);
  }
  return context;
}
