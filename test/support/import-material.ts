import { constants, createPublicKey, publicEncrypt, randomBytes } from "node:crypto";
import type { Emulator } from "../emulator/emulator.ts";

/**
 * Imports key material into a key of origin EXTERNAL, as a customer does.
 *
 * @param validTo expiration in milliseconds since the epoch. Default: never.
 * @param material 32 bytes; reimporting the same material makes earlier ciphertexts decryptable
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
