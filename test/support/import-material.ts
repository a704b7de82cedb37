import { constants, createPublicKey, publicEncrypt, randomBytes } from "node:crypto";
import type { Emulator } from "../aws/emulator.ts";

/**
 * Imports material into a key that was made for it, as a customer does.
 *
 * @param validTo milliseconds since the epoch when it expires; never when left out
 * @param material 32 bytes; the very same open what they encrypted before
 * @returns the material
 */
export async function importMaterial(
  aws: Emulator,
  keyId: string,
  validTo?: number,
  material: Buffer = randomBytes(32),
): Promise<Buffer> {
  const wrapping = { WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048" };
  const asked = await aws.direct("kms", "GetParametersForImport", { KeyId: keyId, ...wrapping });
  const publicKey = createPublicKey({
    key: Buffer.from(asked.PublicKey as string, "base64"),
    format: "der",
    type: "spki",
  });
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const wrapped = publicEncrypt({ key: publicKey, padding, oaepHash: "sha256" }, material);
  await aws.direct("kms", "ImportKeyMaterial", {
    KeyId: keyId,
    ImportToken: asked.ImportToken as string,
    EncryptedKeyMaterial: wrapped.toString("base64"),
    ...(validTo === undefined
      ? { ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE" }
      : { ExpirationModel: "KEY_MATERIAL_EXPIRES", ValidTo: validTo / 1_000 }),
  });
  return material;
}
