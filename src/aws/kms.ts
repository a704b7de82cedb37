import { DecryptCommand, DescribeKeyCommand, type EncryptionAlgorithmSpec } from "@aws-sdk/client-kms";
import { Sealed } from "../runtime/sealed.ts";
import type { SendCall } from "./calls.ts";
import { invalidAnswer, requestIdOf } from "./classify.ts";
import type { CallContext } from "./failure.ts";
import { parseKeyArn } from "./names.ts";

/** How a ciphertext was made (KMS API Reference, Decrypt). SM2 is for the regions of China, and not taken. */
export type Algorithm = "SYMMETRIC_DEFAULT" | "RSAES_OAEP_SHA_1" | "RSAES_OAEP_SHA_256";

/** One ciphertext for KMS. */
export interface DecryptRequest {
  /** As kms:Encrypt made it; at most 6,144 bytes. */
  ciphertext: Uint8Array;
  /** Pins the key: KMS refuses a ciphertext of another one. An ARN, an id or an alias. KMS requires it for RSA. */
  keyId?: string;
  /** SYMMETRIC_DEFAULT when left out. */
  algorithm?: Algorithm;
  /** As given to kms:Encrypt, to the letter; the order does not matter. RSA has none. */
  encryptionContext?: ReadonlyMap<string, string> | Readonly<Record<string, string>>;
  signal?: AbortSignal;
}

/** What KMS tells of a key, as far as it decides whether the key can be used, and for how long. */
export interface KeyDescription {
  arn: string;
  /** `Enabled`, `Disabled`, `PendingDeletion` and others (KMS API Reference, KeyMetadata). */
  state: string;
  /** `ENCRYPT_DECRYPT`, `SIGN_VERIFY` and others. */
  usage: string;
  /** `SYMMETRIC_DEFAULT`, `RSA_2048`, `ECC_NIST_P256` and others. */
  spec: string;
  /** Milliseconds since the epoch when it will be deleted; undefined where that is not scheduled. */
  deletionAt?: number;
  /** Milliseconds since the epoch when its imported material expires; undefined where it does not. */
  validTo?: number;
}

/** KMS, as one identity uses it. */
export interface KmsPort {
  /**
   * @returns the plaintext, the ARN of the key that KMS says it used, and AWS's id of the request
   * @throws AwsFailure and nothing else
   */
  decrypt(request: DecryptRequest): Promise<{ plaintext: Sealed; keyId: string; requestId?: string | undefined }>;
  /**
   * @param keyId an ARN, an id or an alias
   * @throws AwsFailure and nothing else
   */
  describeKey(keyId: string, signal?: AbortSignal): Promise<KeyDescription>;
}

/**
 * KMS by the SDK.
 *
 * @param call makes a call of the identity, measured and with its failures classed
 * @param region of the identity, for messages
 */
export function kmsPort(call: SendCall, region: string): KmsPort {
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

/** A word of AWS's that may stand in a message; undefined for everything else. */
function wordOf(text: unknown): string | undefined {
  return typeof text === "string" && /^[A-Za-z0-9_]{1,64}$/.test(text) ? text : undefined;
}

function timeOf(date: unknown): number | undefined {
  const time = date instanceof Date ? date.getTime() : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}
