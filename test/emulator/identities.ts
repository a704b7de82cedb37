import type { IncomingHttpHeaders } from "node:http";
import type { Caller } from "./call.ts";

/** The account of every access key that nothing else is known of. */
export const defaultAccount = "123456789012";

/** What the credential scope of a Signature Version 4 header says. Signatures are not checked. */
export interface Scoped {
  accessKeyId: string;
  region: string;
  service: string;
}

const credential = /Credential=([^/,\s]{1,128})\/\d{8}\/([a-z0-9-]{1,40})\/([a-z0-9-]{1,40})\/aws4_request/;

/** @returns undefined where the request is not signed (AssumeRoleWithWebIdentity needs no signature) */
export function scopeOf(headers: IncomingHttpHeaders): Scoped | undefined {
  const found = credential.exec(headers.authorization ?? "");
  return found ? { accessKeyId: found[1]!, region: found[2]!, service: found[3]! } : undefined;
}

/** Whose an access key is; of a session's, also until when, in milliseconds since the epoch, and what goes with it. */
export interface Known {
  account: string;
  arn: string;
  expiresAt?: number;
  sourceIdentity?: string;
  /** The transitive session tags, by key. */
  transitiveTags?: Record<string, string>;
}

/** Access keys and whose they are. */
export class Identities {
  #known = new Map<string, Known>();

  /** Makes `accessKeyId` stand for `arn` of `account` from now on. */
  learn(accessKeyId: string, identity: Known): void {
    this.#known.set(accessKeyId, { ...identity });
  }

  /** Ends every session at once. */
  expire(): void {
    for (const known of this.#known.values()) if (known.expiresAt !== undefined) known.expiresAt = 0;
  }

  /** A key that nothing was said of is a user's in the default account. */
  whose(accessKeyId: string): Caller & Known {
    const known = this.#known.get(accessKeyId);
    if (known) return { accessKeyId, ...known };
    return { accessKeyId, account: defaultAccount, arn: `arn:aws:iam::${defaultAccount}:user/${accessKeyId}` };
  }
}
