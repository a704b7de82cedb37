import type { KmsCalls } from "../aws/kms.ts";
import type { KmsEncryptPort } from "../aws/kms-encrypt.ts";
import { Sealed } from "../runtime/sealed.ts";
import { messageKeys } from "./message-header.ts";

/**
 * The AWS Encryption SDK, loaded with the first message to save memory. `scripts/build.ts` omits its unused parts.
 */
const library = () => import("@aws-crypto/client-node");

/** The methods of the aggregated KMS client that the library calls. */
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
  decrypt: KmsCalls["decrypt"],
): Promise<{ plaintext: Sealed; context: ReadonlyMap<string, string> }> {
  const sdk = await library();
  const client = {
    async decrypt({ CiphertextBlob, KeyId, EncryptionContext = {} }: Request) {
      const encryptionContext = new Map(Object.entries(EncryptionContext));
      const opened = await decrypt({ ciphertext: CiphertextBlob, keyId: KeyId!, encryptionContext });
      // The library wipes its input.
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

/**
 * Encrypts a message under one key or several, with key commitment and a signature: each of the keys opens it.
 *
 * @param keyIds what names the keys: an ARN, or an id or alias of the default region; the first makes the data key
 * @param kms the way to KMS of a region; undefined for the default one
 * @throws whatever `kms` throws; of the library's own only what a wrong list of keys brings about
 */
export async function encryptMessage(
  plaintext: Sealed,
  keyIds: readonly string[],
  context: ReadonlyMap<string, string>,
  kms: (region: string | undefined) => Pick<KmsEncryptPort, "encrypt" | "generateDataKey">,
): Promise<Uint8Array> {
  const sdk = await library();
  const pairs = ({ EncryptionContext = {} }: { EncryptionContext?: Readonly<Record<string, string>> }) =>
    new Map(Object.entries(EncryptionContext));
  const client = (region: string) => {
    const port = kms(region === "" ? undefined : region);
    return {
      async generateDataKey(request: EncryptRequest & { NumberOfBytes?: number }) {
        const { KeyId: keyId, NumberOfBytes: bytes } = request;
        const made = await port.generateDataKey({ keyId, bytes: bytes!, context: pairs(request) });
        const { plaintext: dataKey, ciphertext } = made;
        return { KeyId: made.keyId, CiphertextBlob: ciphertext, Plaintext: Uint8Array.from(dataKey.reveal()) };
      },
      async encrypt(request: EncryptRequest & { Plaintext: Uint8Array }) {
        const dataKey = new Sealed(request.Plaintext);
        const made = await port.encrypt({ keyId: request.KeyId, plaintext: dataKey, context: pairs(request) });
        return { KeyId: made.keyId, CiphertextBlob: made.ciphertext };
      },
      decrypt: notHere,
    };
  };
  const [generatorKeyId, ...others] = keyIds;
  const keyring = sdk.buildAwsKmsMrkAwareStrictMultiKeyringNode({
    generatorKeyId: generatorKeyId!,
    keyIds: others,
    clientProvider: (region) => client(region),
  });
  const { encrypt } = sdk.buildEncrypt({
    commitmentPolicy: sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    maxEncryptedDataKeys: messageKeys,
  });
  const { result } = await encrypt(keyring, plaintext.reveal(), { encryptionContext: Object.fromEntries(context) });
  return result;
}

interface EncryptRequest {
  KeyId: string;
  EncryptionContext?: Readonly<Record<string, string>>;
}

function notHere(): Promise<never> {
  return Promise.reject(new Error("this is not asked for here"));
}
