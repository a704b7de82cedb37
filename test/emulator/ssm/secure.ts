import { randomUUID } from "node:crypto";
import type { Clock } from "../../../src/runtime/clock.ts";
import { type Call, parameterArn, type Scope } from "../call.ts";
import type { Calls } from "../calls.ts";
import { ServiceError } from "../http.ts";
import type { KeyUse } from "../kms/use.ts";

/**
 * The values of SecureStrings, encrypted in the caller's name under the one context pair PARAMETER_ARN (User Guide,
 * "How Parameter Store uses AWS KMS"). AWS makes an Encryption SDK message of an advanced one; here both are KMS blobs.
 */
export class Secure {
  #kms: KeyUse;
  #calls: Calls;
  #clock: Clock;

  constructor(kms: KeyUse, calls: Calls, clock: Clock) {
    this.#kms = kms;
    this.#calls = calls;
    this.#clock = clock;
  }

  /** @returns the ciphertext in base64 @throws ServiceError InvalidKeyId, AccessDeniedException */
  encrypt(call: Call, scope: Scope, name: string, keyId: string, value: string): string {
    const context = new Map([["PARAMETER_ARN", parameterArn(scope, name)]]);
    return this.#as(call, "Encrypt", () =>
      this.#kms.encryptFor(call, keyId, Buffer.from(value), context).toString("base64"),
    );
  }

  /** @param value the ciphertext in base64 @throws ServiceError InvalidKeyId, AccessDeniedException */
  decrypt(call: Call, scope: Scope, name: string, value: string): string {
    const context = new Map([["PARAMETER_ARN", parameterArn(scope, name)]]);
    return this.#as(call, "Decrypt", () =>
      this.#kms.decryptFor(call, Buffer.from(value, "base64"), context).toString(),
    );
  }

  #as<T>(call: Call, operation: string, use: () => T): T {
    const { account, region, accessKeyId } = call;
    const entry = {
      service: "kms",
      operation,
      account,
      region,
      accessKeyId,
      via: "ssm" as const,
      at: this.#clock.now(),
    };
    try {
      const result = use();
      if (!call.direct) this.#calls.add({ ...entry, status: 200 });
      return result;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      if (!call.direct) this.#calls.add({ ...entry, status: error.status, error: error.code });
      throw new ServiceError(
        error.code === "AccessDeniedException" ? "AccessDeniedException" : "InvalidKeyId",
        `${error.message} (Service: AWSKMS; Status Code: 400; Error Code: ${error.code}; Request ID: ${randomUUID()}; Proxy: null)`,
      );
    }
  }
}
