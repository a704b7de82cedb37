import { DecryptCommand, DescribeKeyCommand, type EncryptionAlgorithmSpec } from "@aws-sdk/client-kms";
import { Sealed } from "../runtime/sealed.ts";
import type { SendCall } from "./calls.ts";
import { invalidAnswer, requestIdOf } from "./classify.ts";
import type { CallContext } from "./failure.ts";
import { parseKeyArn } from "./names.ts";
import type { Permit } from "./ratelimit/limiter.ts";

/** How a ciphertext was made (KMS API Reference, Decrypt). SM2, for the regions of China, is not supported. */
export type Algorithm = "SYMMETRIC_DEFAULT" | "RSAES_OAEP_SHA_1" | "RSAES_OAEP_SHA_256";

/** One ciphertext to decrypt. */
export interface DecryptRequest {
  /** From kms:Encrypt; at most 6,144 bytes. */
  ciphertext: Uint8Array;
  /** Pins the key: KMS rejects a ciphertext of another key. An ARN, an id or an alias. KMS requires it for RSA. */
  keyId?: string;
  /** Default SYMMETRIC_DEFAULT. */
  algorithm?: Algorithm;
  /** Exactly as passed to kms:Encrypt, in any order. RSA has none. */
  encryptionContext?: ReadonlyMap<string, string> | Readonly<Record<string, string>>;
  signal?: AbortSignal;
}

/** The fields of DescribeKey that decide whether, and for how long, the key is usable. */
export interface KeyDescription {
  arn: string;
  /** `Enabled`, `Disabled`, `PendingDeletion` and others (KMS API Reference, KeyMetadata). */
  state: string;
  /** `ENCRYPT_DECRYPT`, `SIGN_VERIFY` and others. */
  usage: string;
  /** `SYMMETRIC_DEFAULT`, `RSA_2048`, `ECC_NIST_P256` and others. */
  spec: string;
  /** Deletion time in milliseconds since the epoch; undefined if none is scheduled. */
  deletionAt?: number;
  /** When imported material expires, in milliseconds since the epoch; undefined if it does not. */
  validTo?: number;
}

/** What KMS answers to Decrypt. */
export interface Decrypted {
  plaintext: Sealed;
  /** ARN of the key that KMS used. */
  keyId: string;
  /** AWS request id. */
  requestId?: string | undefined;
}

/** KMS calls by one identity, without a permit in the arguments: of `limitedKms`, or of `kmsCalls` for `kmsPort`. */
export interface KmsCalls {
  /** @throws AwsFailure or Canceled */
  decrypt(request: DecryptRequest): Promise<Decrypted>;
  /**
   * @param keyId an ARN, an id or an alias
   * @throws AwsFailure or Canceled
   */
  describeKey(keyId: string, signal?: AbortSignal): Promise<KeyDescription>;
}

/**
 * KMS calls by one identity: the methods of KmsCalls, each with the permit of a rate limiter. They also reject with what
 * `Permit.use` rejects with.
 */
export interface KmsPort {
  decrypt(permit: Permit<"kms">, request: DecryptRequest): Promise<Decrypted>;
  describeKey(permit: Permit<"kms">, keyId: string, signal?: AbortSignal): Promise<KeyDescription>;
}

/** Makes calls need a permit. */
export function kmsPort(calls: KmsCalls): KmsPort {
  return {
    decrypt: (permit, request) => permit.use(() => calls.decrypt(request)),
    describeKey: (permit, keyId, signal) => permit.use(() => calls.describeKey(keyId, signal)),
  };
}

/**
 * Makes calls that acquire their permits.
 *
 * @param acquire called once for each call
 */
export function limitedKms(port: KmsPort, acquire: () => Promise<Permit<"kms">>): KmsCalls {
  return {
    decrypt: async (request) => port.decrypt(await acquire(), request),
    describeKey: async (keyId, signal) => port.describeKey(await acquire(), keyId, signal),
  };
}

/**
 * Implements KmsCalls with the SDK, without a quota: only `kmsPort` may use them.
 *
 * @param call makes a call as the identity, with metrics and classified failures
 * @param region of the identity, for messages
 */
export function kmsCalls(call: SendCall, region: string): KmsCalls {
  return {
    async decrypt({ ciphertext, keyId, algorithm, encryptionContext, signal }) {
      const about: CallContext = {
        service: "kms",
        operation: "Decrypt",
        region,
        ...(keyId === undefined ? {} : { resource: keyId, pinnedKey: keyId }),
        ...(algorithm === undefined ? {} : { algorithm }),
      };
      const context = encryptionContext instanceof Map ? encryptionContext : Object.entries(encryptionContext ?? {});
      const pairs = Object.fromEntries(context);
      const command = new DecryptCommand({
        CiphertextBlob: ciphertext,
        ...(keyId === undefined ? {} : { KeyId: keyId }),
        ...(algorithm === undefined ? {} : { EncryptionAlgorithm: algorithm satisfies EncryptionAlgorithmSpec }),
        ...(Object.keys(pairs).length === 0 ? {} : { EncryptionContext: pairs }),
      });
      const answer = await call(about, signal, ({ kms }, abortSignal) => kms.send(command, { abortSignal }));
      const { Plaintext: plaintext, KeyId: used } = answer;
      if (!(plaintext instanceof Uint8Array) || typeof used !== "string" || !parseKeyArn(used)) {
        throw invalidAnswer(about, "no plaintext and key");
      }
      return { plaintext: new Sealed(plaintext), keyId: used, requestId: requestIdOf(answer) };
    },

    async describeKey(keyId, signal) {
      const about: CallContext = {
        service: "kms",
        operation: "DescribeKey",
        region,
        resource: keyId,
        pinnedKey: keyId,
      };
      const command = new DescribeKeyCommand({ KeyId: keyId });
      const answer = await call(about, signal, ({ kms }, abortSignal) => kms.send(command, { abortSignal }));
      const { Arn, KeyState, KeyUsage, KeySpec, DeletionDate, ValidTo } = answer.KeyMetadata ?? {};
      const [state, usage, spec] = [wordOf(KeyState), wordOf(KeyUsage), wordOf(KeySpec)];
      if (typeof Arn !== "string" || !parseKeyArn(Arn) || !state || !usage || !spec) {
        throw invalidAnswer(about, "no key");
      }
      const [deletionAt, validTo] = [timeOf(DeletionDate), timeOf(ValidTo)];
      return {
        arn: Arn,
        state,
        usage,
        spec,
        ...(deletionAt === undefined ? {} : { deletionAt }),
        ...(validTo === undefined ? {} : { validTo }),
      };
    },
  };
}

/** Returns an AWS identifier that is safe to show in a message; undefined for any other text. */
function wordOf(text: unknown): string | undefined {
  return typeof text === "string" && /^[A-Za-z0-9_]{1,64}$/.test(text) ? text : undefined;
}

function timeOf(date: unknown): number | undefined {
  const time = date instanceof Date ? date.getTime() : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}
