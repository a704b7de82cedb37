import {
  constants,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  randomBytes,
} from "node:crypto";
import type { Call } from "../call.ts";
import type { Denials } from "../denials.ts";
import { type Json, ServiceError } from "../http.ts";
import { optionalString, requiredBytes, requiredString } from "../input.ts";
import type { Key, Keys } from "./keys.ts";

/** Material that the customer brings: wrapped for transport, perhaps with an end. */
export class KeyImport {
  #keys: Keys;
  #denials: Denials;
  #wrapping: KeyObject | undefined;
  #tokens = new Map<string, { key: Key; hash: string }>();

  constructor(keys: Keys, denials: Denials) {
    this.#keys = keys;
    this.#denials = denials;
  }

  getParametersForImport(call: Call): Json {
    const key = this.#external(call);
    const hash = hashes.get(requiredString(call.input, "WrappingAlgorithm"));
    if (!hash)
      throw new ServiceError("UnsupportedOperationException", "Only RSAES_OAEP_SHA_1 and _SHA_256 are imitated");
    // One pair for all imports: making one takes a while, and no secret depends on it.
    const pair = this.#wrapping ?? generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    this.#wrapping = pair;
    const token = randomBytes(32).toString("base64");
    this.#tokens.set(token, { key, hash });
    const publicKey = publicOf(pair);
    return { KeyId: key.arn, ImportToken: token, PublicKey: publicKey, ParametersValidTo: key.created / 1000 + 86_400 };
  }

  importKeyMaterial(call: Call): Json {
    const key = this.#external(call);
    const token = this.#tokens.get(requiredString(call.input, "ImportToken"));
    if (token?.key !== key || !this.#wrapping) {
      throw new ServiceError("InvalidImportTokenException", "The import token is not one of this key");
    }
    const wrapped = requiredBytes(call.input, "EncryptedKeyMaterial", 6144);
    const validTo = call.input.ValidTo;
    const expires =
      (optionalString(call.input, "ExpirationModel") ?? "KEY_MATERIAL_EXPIRES") === "KEY_MATERIAL_EXPIRES";
    if (expires && typeof validTo !== "number") {
      throw new ServiceError("ValidationException", "ValidTo is required where the material expires");
    }
    let material: Buffer;
    try {
      const padding = constants.RSA_PKCS1_OAEP_PADDING;
      material = privateDecrypt({ key: this.#wrapping, padding, oaepHash: token.hash }, wrapped);
    } catch {
      throw new ServiceError("InvalidCiphertextException", "The key material cannot be unwrapped");
    }
    if (material.length !== 32)
      throw new ServiceError("IncorrectKeyMaterialException", "The key material is not 32 bytes");
    if (key.material.kind === "symmetric") key.material.keys = [createSecretKey(material)];
    key.validTo = expires ? (validTo as number) * 1000 : undefined;
    return { KeyId: key.arn };
  }

  deleteImportedKeyMaterial(call: Call): Json {
    const key = this.#external(call);
    if (key.material.kind === "symmetric") key.material.keys = [];
    key.validTo = undefined;
    return { KeyId: key.arn };
  }

  #external(call: Call): Key {
    const key = this.#keys.find(call, requiredString(call.input, "KeyId"));
    this.#denials.check(call, key.arn);
    if (key.origin !== "EXTERNAL") {
      throw new ServiceError(
        "UnsupportedOperationException",
        `${key.arn} origin is ${key.origin} which is not valid here`,
      );
    }
    if (key.deletionAt !== undefined) this.#keys.usable(key);
    return key;
  }
}

const hashes: ReadonlyMap<string, string> = new Map([
  ["RSAES_OAEP_SHA_1", "sha1"],
  ["RSAES_OAEP_SHA_256", "sha256"],
]);

function publicOf(privateKey: KeyObject): string {
  return createPublicKey(privateKey).export({ type: "spki", format: "der" }).toString("base64");
}
