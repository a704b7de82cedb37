import type { Reason } from "../api/reasons.ts";
import type { KeyDescription } from "../aws/kms.ts";

/** The condition that is True while a key in use is unusable or at risk. */
export const keyAtRisk = "KeyAtRisk";

/** A risk to a key. */
export interface KeyRisk {
  reason: Reason;
  message: string;
}

/** Milliseconds before the expiry of imported material at which the warning starts: time to import it again. */
export const materialNoticeMs = 7 * 86_400_000;

/** By severity: irreversible risks before those that one call reverts. */
const gravity: readonly Reason[] = [
  "KeyUnavailable",
  "KeyPendingDeletion",
  "KeyMaterialMissing",
  "KeyMaterialExpiring",
  "KeyDisabled",
];

const stays = "the Secrets that were made with it stay as they are, and none can be made anew";

/**
 * Returns the risk to a key, from its description in KMS (AWS KMS Developer Guide, "Key states of AWS KMS keys"). Pure.
 *
 * @param key undefined if KMS returned NotFound
 * @param name of the key in the request
 * @param now milliseconds since the epoch
 */
export function riskOf(key: KeyDescription | undefined, name: string, now: number): KeyRisk | undefined {
  if (!key) {
    const message = `the KMS key ${name} does not exist any more: ${stays}: put their values under another key`;
    return { reason: "KeyUnavailable", message };
  }
  const risk = (reason: Reason, text: string): KeyRisk => ({ reason, message: `the KMS key ${key.arn} ${text}` });
  switch (key.state) {
    case "PendingDeletion": {
      const when = key.deletionAt === undefined ? "soon" : `at ${textOf(key.deletionAt)}`;
      return risk(
        "KeyPendingDeletion",
        `is pending deletion and will be deleted ${when}, and with it all that it encrypted; until then ${stays}: cancel the deletion and enable the key, or encrypt with another one`,
      );
    }
    case "PendingReplicaDeletion":
      return risk(
        "KeyPendingDeletion",
        `will be deleted once its replicas are; until then ${stays}: cancel the deletion and enable the key, or encrypt with another one`,
      );
    case "Disabled":
      return risk("KeyDisabled", `is disabled: ${stays}: enable it`);
    case "PendingImport":
      return risk("KeyMaterialMissing", `has no key material: ${stays}: import the same key material again`);
    case "Unavailable":
      return risk("KeyUnavailable", `cannot be reached by KMS: ${stays}: connect its key store`);
    default:
      break;
  }
  if (key.validTo === undefined || key.validTo - now > materialNoticeMs) return undefined;
  return risk(
    "KeyMaterialExpiring",
    `has imported material that expires at ${textOf(key.validTo)}: import the same key material again, with a later time`,
  );
}

/** Merges the risks of several keys into a condition, by severity, without duplicates; undefined if there are none. */
export function worstOf(risks: readonly KeyRisk[]): KeyRisk | undefined {
  const rank = ({ reason, message }: KeyRisk) => `${gravity.indexOf(reason)} ${message}`;
  const sorted = [...risks].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  const [first] = sorted;
  if (!first) return undefined;
  return { reason: first.reason, message: [...new Set(sorted.map(({ message }) => message))].join("; ") };
}

/** Formats a time as Kubernetes does, to the second. */
function textOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.[0-9]{3}Z$/, "Z");
}
