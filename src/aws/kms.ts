import { DecryptCommand } from "@aws-sdk/client-kms";
import { Sealed } from "../runtime/sealed.ts";
import type { SendCall } from "./calls.ts";
import { AwsFailure, type CallContext } from "./failure.ts";
import { parseKeyArn } from "./names.ts";

/** One ciphertext for KMS. */
export interface DecryptRequest {
  /** As kms:Encrypt made it; at most 6,144 bytes. */
  ciphertext: Uint8Array;
  /** Pins the key: KMS refuses a ciphertext of another one. An ARN or an id. */
  keyId?: string;
  /** As given to kms:Encrypt, to the letter; the order does not matter. */
  encryptionContext?: ReadonlyMap<string, string> | Readonly<Record<string, string>>;
  signal?: AbortSignal;
}

/** The decryption of KMS, of one identity. */
export interface KmsPort {
  /**
   * @returns the plaintext, and the ARN of the key that KMS says it used
   * @throws AwsFailure and nothing else
   */
  decrypt(request: DecryptRequest): Promise<{ plaintext: Sealed; keyId: string }>;
}

/**
 * Decrypts by the SDK, with symmetric keys.
 *
 * @param call makes a call of the identity, measured and with its failures classed
 * @param region of the identity, for messages
 */
export function kmsPort(call: SendCall, region: string): KmsPort {
  return {
    async decrypt({ ciphertext, keyId, encryptionContext, signal }) {
      const about: CallContext = {
        service: "kms",
        operation: "Decrypt",
        region,
        ...(keyId === undefined ? {} : { resource: keyId, pinnedKey: keyId }),
      };
      const context = encryptionContext instanceof Map ? encryptionContext : Object.entries(encryptionContext ?? {});
      const pairs = Object.fromEntries(context);
      const command = new DecryptCommand({
        CiphertextBlob: ciphertext,
        ...(keyId === undefined ? {} : { KeyId: keyId }),
        ...(Object.keys(pairs).length === 0 ? {} : { EncryptionContext: pairs }),
      });
      const answer = await call(about, signal, ({ kms }, abortSignal) => kms.send(command, { abortSignal }));
      const { Plaintext: plaintext, KeyId: used } = answer;
      if (!(plaintext instanceof Uint8Array) || typeof used !== "string" || !parseKeyArn(used)) {
        const message = `AWS KMS in ${region} answered kms:Decrypt with something that is no plaintext and key`;
        throw new AwsFailure({ reason: "Unreachable", next: "retry", code: "InvalidAnswer", message });
      }
      return { plaintext: new Sealed(plaintext), keyId: used };
    },
  };
}
