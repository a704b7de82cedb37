import type { Reason } from "../api/reasons.ts";
import type { KeyDescription } from "../aws/kms.ts";

/** The condition that is there, with status True, while a key in use is in danger or out of use. */
export const keyAtRisk = "KeyAtRisk";

/** What endangers a key. */
export interface KeyRisk {
  reason: Reason;
  message: string;
}

/** Milliseconds before imported material expires from which that is said: time to import it again at leisure. */
export const materialNoticeMs = 7 * 86_400_000;

/** The gravest first: what cannot be undone once it has happened, before what a call undoes. */
const gravity: readonly Reason[] = [
  "KeyUnavailable",
  "KeyPendingDeletion",
  "KeyMaterialMissing",
  "KeyMaterialExpiring",
  "KeyDisabled",
];

const stays = "the Secrets that were made with it stay as they are, and none can be made anew";

/**
 * What endangers a key, by what KMS says of it (AWS KMS Developer Guide, "Key states of AWS KMS keys"). Pure.
 *
 * @param key undefined where KMS says that there is no such key any more
 * @param name how it was asked for
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

/** What a condition says of several keys: every risk once, the gravest first. Undefined where there is none. */
export function worstOf(risks: readonly KeyRisk[]): KeyRisk | undefined {
  const rank = ({ reason, message }: KeyRisk) => `${gravity.indexOf(reason)} ${message}`;
  const sorted = [...risks].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  const [first] = sorted;
  if (!first) return undefined;
  return { reason: first.reason, message: [...new Set(sorted.map(({ message }) => message))].join("; ") };
}

/** An instant as Kubernetes writes it, to the second. */
function textOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.[0-9]{3}Z$/, "Z");
}
