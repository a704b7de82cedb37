import type { KmsPort } from "../aws/kms.ts";
import { Sealed } from "../runtime/sealed.ts";
import { messageKeys } from "./message-header.ts";

/**
 * The AWS Encryption SDK, read in with the first message: whoever has none does not pay for it. `scripts/build.ts` leaves
 * out what is not used of it.
 */
const library = () => import("@aws-crypto/client-node");

/** What the library asks KMS for, of the aggregated client that it expects. */
interface Request {
  KeyId?: string;
  CiphertextBlob: Uint8Array;
  EncryptionContext?: Readonly<Record<string, string>>;
}

/**
 * Decrypts a message and proves what it is: its key commitment, its header, its signature where it has one. It goes
 * through the message frame by frame, each in a turn of its own.
 *
 * @param keyIds the keys that may open it, by their ARNs in the region where `decrypt` asks, in the order in which they
 *   are tried; one at least
 * @param decrypt opens a data key; what it throws is not thrown from here
 * @returns the plaintext, and the encryption context that is proved
 * @throws whatever the library throws: its words are for nobody
 */
export async function decryptMessage(
  message: Uint8Array,
  keyIds: readonly string[],
  decrypt: KmsPort["decrypt"],
): Promise<{ plaintext: Sealed; context: ReadonlyMap<string, string> }> {
  const sdk = await library();
  const client = {
    async decrypt({ CiphertextBlob, KeyId, EncryptionContext = {} }: Request) {
      const encryptionContext = new Map(Object.entries(EncryptionContext));
      const opened = await decrypt({ ciphertext: CiphertextBlob, keyId: KeyId!, encryptionContext });
      // The library wipes what it is given.
      return { KeyId: opened.keyId, Plaintext: Uint8Array.from(opened.plaintext.reveal()) };
    },
    encrypt: notHere,
    generateDataKey: notHere,
  };
  const children = keyIds.map((keyId) => new sdk.AwsKmsMrkAwareSymmetricKeyringNode({ client, keyId }));
  const { decrypt: open } = sdk.buildDecrypt({
    commitmentPolicy: sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    maxEncryptedDataKeys: messageKeys,
  });

  const opened = await open(new sdk.MultiKeyringNode({ children }), message, { maxBodySize: message.length });
  const { encryptionContext } = opened.messageHeader;
  return { plaintext: new Sealed(opened.plaintext), context: new Map(Object.entries(encryptionContext)) };
}

function notHere(): Promise<never> {
  return Promise.reject(new Error("nothing is encrypted here"));
}
