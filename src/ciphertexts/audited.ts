import { AwsFailure, mayBeSent } from "../aws/failure.ts";
import type { Identity } from "../aws/identity.ts";
import type { KmsCalls } from "../aws/kms.ts";
import type { Audit, AuditEvent } from "../runtime/audit.ts";
import { Failure } from "../runtime/failure.ts";

/** The subject of an audit record. */
export interface Audited {
  kind: "blob" | "message";
  /** How messages call the entry: `data[2] (LICENSE)`. */
  entry: string;
  /** namespace/name of the SyncedSecret. */
  resource: string;
}

/**
 * Wraps calls to KMS so that each Decrypt is audited.
 *
 * @param identity that makes the calls
 */
export function audited(
  kms: KmsCalls,
  identity: Pick<Identity, "region" | "lastCaller">,
  audit: Audit | undefined,
  { kind, entry, resource }: Audited,
): KmsCalls {
  if (!audit) return kms;
  const about = { kind, source: entry, resources: [resource], region: identity.region } as const;
  return {
    ...kms,
    async decrypt(request) {
      try {
        const opened = await kms.decrypt(request);
        const { keyId: key, requestId } = opened;
        audit({ event: "read", ...about, caller: identity.lastCaller, key, requestId });
        return opened;
      } catch (error) {
        if (mayBeSent(error))
          audit({ event: "fail", ...about, caller: identity.lastCaller, key: request.keyId, ...whyOf(error) });
        throw error;
      }
    },
  };
}

function whyOf(error: unknown): Pick<AuditEvent, "reason" | "code" | "requestId"> {
  const { code, requestId } = error instanceof AwsFailure ? error : {};
  return { reason: error instanceof Failure ? error.reason : "Unreachable", code, requestId };
}
