import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Encrypts with a public key by openssl, as in docs/rsa-offline.md.
 *
 * @param publicKey DER in base64, as kms:GetPublicKey returns it
 * @returns the ciphertext in base64
 */
export function encryptOffline(publicKey: string, hash: "sha1" | "sha256", plaintext: string): string {
  const folder = mkdtempSync(join(tmpdir(), "keyferry-openssl-"));
  try {
    const key = join(folder, "key.der");
    writeFileSync(key, Buffer.from(publicKey, "base64"));
    const options = ["rsa_padding_mode:oaep", `rsa_oaep_md:${hash}`, `rsa_mgf1_md:${hash}`];
    const args = ["pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", key];
    const input = options.flatMap((option) => ["-pkeyopt", option]);
    return execFileSync("openssl", [...args, ...input], { input: plaintext }).toString("base64");
  } finally {
    rmSync(folder, { recursive: true });
  }
}
