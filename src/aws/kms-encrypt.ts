import { EncryptCommand, GenerateDataKeyCommand, ReEncryptCommand } from "@aws-sdk/client-kms";
import { Sealed } from "../runtime/sealed.ts";
import type { SendCall } from "./calls.ts";
import { invalidAnswer } from "./classify.ts";
import { AwsFailure, type CallContext } from "./failure.ts";
import type { Algorithm } from "./kms.ts";
import { parseKeyArn } from "./names.ts";

type Context = ReadonlyMap<string, string>;

/** The ciphertext, and the ARN of its key. */
export interface Encrypted {
  ciphertext: Uint8Array;
  keyId: string;
}

/** KMS encryption by one identity: for the CLI, never for the operator. */
export interface KmsEncryptPort {
  /**
   * @param request.algorithm default SYMMETRIC_DEFAULT
   * @throws AwsFailure, and no other error; so do the other methods
   */
  encrypt(request: { keyId: string; plaintext: Sealed; algorithm?: Algorithm; context: Context }): Promise<Encrypted>;
  /** Generates a data key of the given number of bytes. */
  generateDataKey(request: {
    keyId: string;
    bytes: number;
    context: Context;
  }): Promise<Encrypted & { plaintext: Sealed }>;
  /** Decrypts and encrypts within KMS. @returns the new ciphertext, and the ARN of the old key */
  reEncrypt(request: {
    ciphertext: Uint8Array;
    from: { keyId?: string; algorithm?: Algorithm; context: Context };
    to: { keyId: string; context: Context };
  }): Promise<Encrypted & { from: string }>;
}

/** Implements the port with the SDK. @param region of the identity, for messages */
export function kmsEncryptPort(call: SendCall, region: string): KmsEncryptPort {
  const send = async <T extends { KeyId?: string | undefined; CiphertextBlob?: Uint8Array | undefined }>(
    operation: string,
    keyId: string,
    what: string,
    use: Parameters<typeof call<T>>[2],
  ): Promise<T & Required<Pick<T, "KeyId" | "CiphertextBlob">>> => {
    // ReEncrypt needs two IAM actions, on two keys.
    const action = operation === "ReEncrypt" ? { action: "ReEncrypt*" } : {};
    const about: CallContext = { service: "kms", operation, ...action, region, resource: keyId, pinnedKey: keyId };
    const answer = await call(about, undefined, use).catch((error: unknown) => {
      throw error instanceof AwsFailure ? reworded(error, keyId, what) : error;
    });
    if (typeof answer.KeyId !== "string" || !parseKeyArn(answer.KeyId) || !answer.CiphertextBlob) {
      throw invalidAnswer(about, "no ciphertext and key");
    }
    return answer as T & Required<Pick<T, "KeyId" | "CiphertextBlob">>;
  };
  return {
    async encrypt({ keyId, plaintext, algorithm = "SYMMETRIC_DEFAULT", context }) {
      const command = new EncryptCommand({
        KeyId: keyId,
        Plaintext: plaintext.reveal(),
        EncryptionAlgorithm: algorithm,
        ...contextOf("EncryptionContext", context),
      });
      const answer = await send("Encrypt", keyId, algorithm, ({ kms }, abortSignal) =>
        kms.send(command, { abortSignal }),
      );
      return { ciphertext: answer.CiphertextBlob!, keyId: answer.KeyId! };
    },

    async generateDataKey({ keyId, bytes, context }) {
      const pairs = contextOf("EncryptionContext", context);
      const command = new GenerateDataKeyCommand({ KeyId: keyId, NumberOfBytes: bytes, ...pairs });
      const answer = await send("GenerateDataKey", keyId, "data keys", ({ kms }, abortSignal) =>
        kms.send(command, { abortSignal }),
      );
      return {
        ciphertext: answer.CiphertextBlob!,
        keyId: answer.KeyId!,
        plaintext: new Sealed(answer.Plaintext ?? new Uint8Array()),
      };
    },

    async reEncrypt({ ciphertext, from, to }) {
      const command = new ReEncryptCommand({
        CiphertextBlob: ciphertext,
        DestinationKeyId: to.keyId,
        ...contextOf("SourceEncryptionContext", from.context),
        ...contextOf("DestinationEncryptionContext", to.context),
        ...(from.keyId === undefined ? {} : { SourceKeyId: from.keyId }),
        ...(from.algorithm === undefined ? {} : { SourceEncryptionAlgorithm: from.algorithm }),
      });
      const answer = await send("ReEncrypt", to.keyId, "SYMMETRIC_DEFAULT", ({ kms }, abortSignal) =>
        kms.send(command, { abortSignal }),
      );
      return { ciphertext: answer.CiphertextBlob!, keyId: answer.KeyId!, from: answer.SourceKeyId ?? "" };
    },
  };
}

function contextOf<Name extends string>(name: Name, context: Context): { [name in Name]?: Record<string, string> } {
  return context.size === 0
    ? {}
    : ({ [name]: Object.fromEntries(context) } as { [name in Name]: Record<string, string> });
}

/** Rewords the table's decryption messages for encryption. */
function reworded(failure: AwsFailure, keyId: string, what: string): AwsFailure {
  const { code, scope, requestId, reason, next } = failure;
  const made = (message: string) => new AwsFailure({ reason, next, code, scope, requestId, message });
  if (/^(InvalidKeyUsage|UnsupportedOperation)/.test(code)) {
    return made(`key ${keyId} does not make ${what}: use a key for encryption, of that kind`);
  }
  if (/^Validation/.test(code)) return made(`KMS does not take the key ${keyId}, or so many bytes with it`);
  return failure;
}
