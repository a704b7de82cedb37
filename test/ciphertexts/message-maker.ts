import { randomBytes } from "node:crypto";
import * as sdk from "@aws-crypto/client-node";
import { AwsFailure } from "../../src/aws/failure.ts";
import type { DecryptRequest } from "../../src/aws/kms.ts";
import { Sealed } from "../../src/runtime/sealed.ts";

export const keyArn = (id = "1234abcd-12ab-34cd-56ef-1234567890ab", region = "eu-west-1", account = "123456789012") =>
  `arn:aws:kms:${region}:${account}:key/${id}`;

export const mrk = "mrk-1234abcd12ab34cd56ef1234567890ab";

export interface MakeOptions {
  /** The first key generates the data key. */
  keys?: readonly string[];
  context?: Record<string, string>;
  suite?: number;
  frameLength?: number;
}

/** An in-memory KMS that makes data keys, decrypts them for any replica, and can be set to fail. */
export class FakeKms {
  readonly asked: DecryptRequest[] = [];
  /** By key ARN: the error to throw instead of an answer. */
  readonly failures = new Map<string, Error>();
  /** The key that KMS reports as used, instead of the requested key. */
  used: string | undefined;
  readonly #dataKeys = new Map<string, Uint8Array>();

  async decrypt(request: DecryptRequest): Promise<{ plaintext: Sealed; keyId: string }> {
    this.asked.push(request);
    const failure = this.failures.get(request.keyId!);
    if (failure) throw failure;
    const plain = this.#dataKeys.get(idOf(request.ciphertext, request.keyId!, request.encryptionContext!));
    if (!plain) {
      const message = `${request.keyId} does not open it`;
      throw new AwsFailure({ reason: "DecryptFailed", next: "stalled", code: "InvalidCiphertextException", message });
    }
    return { plaintext: new Sealed(Uint8Array.from(plain)), keyId: this.used ?? request.keyId! };
  }

  /** Encrypts a message with the library. */
  async message(plain: string | Uint8Array, options: MakeOptions = {}): Promise<Buffer> {
    const { keys = [keyArn()], context = {}, suite, frameLength } = options;
    const [generatorKeyId, ...keyIds] = keys;
    const client = {
      generateDataKey: async (request: { KeyId: string; NumberOfBytes?: number; EncryptionContext?: object }) =>
        this.#wrap(request, randomBytes(request.NumberOfBytes!)),
      encrypt: async (request: { KeyId: string; Plaintext: Uint8Array; EncryptionContext?: object }) =>
        this.#wrap(request, request.Plaintext),
      decrypt: () => Promise.reject(new Error("nothing is decrypted here")),
    };
    const keyring = sdk.buildAwsKmsMrkAwareStrictMultiKeyringNode({
      generatorKeyId: generatorKeyId!,
      keyIds,
      clientProvider: () => client as never,
    });
    const isCommitting = suite === undefined || suite === 0x0478 || suite === 0x0578;
    const { encrypt } = sdk.buildEncrypt({
      commitmentPolicy: isCommitting
        ? sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
        : sdk.CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
      maxEncryptedDataKeys: 100,
    });
    const { result } = await encrypt(keyring, plain, {
      encryptionContext: context,
      ...(suite === undefined ? {} : { suiteId: suite }),
      ...(frameLength === undefined ? {} : { frameLength }),
    });
    return result;
  }

  #wrap({ KeyId, EncryptionContext = {} }: { KeyId: string; EncryptionContext?: object }, plain: Uint8Array) {
    const blob = randomBytes(64);
    this.#dataKeys.set(idOf(blob, KeyId, EncryptionContext as Record<string, string>), Uint8Array.from(plain));
    return { KeyId, CiphertextBlob: blob, Plaintext: Uint8Array.from(plain) };
  }
}

function idOf(blob: Uint8Array, keyId: string, context: NonNullable<DecryptRequest["encryptionContext"]>): string {
  const pairs = context instanceof Map ? [...context] : Object.entries(context);
  const id = keyId.includes(":key/mrk-") ? keyId.split("/")[1] : keyId;
  return JSON.stringify([Buffer.from(blob).toString("hex"), id, pairs.sort()]);
}
