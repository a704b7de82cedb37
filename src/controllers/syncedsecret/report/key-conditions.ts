import type { SyncedSecret } from "../../../api/types.ts";
import { keyAtRisk, worstOf } from "../../../ciphertexts/key-health.ts";
import { keyIn } from "../../../ciphertexts/key-name.ts";
import type { Findings } from "../../../ciphertexts/key-watch.ts";
import type { Asked } from "../../conditions.ts";
import type { Outcome } from "../decide/outcome.ts";

type Status = NonNullable<SyncedSecret["status"]>;

/** Prefix of the aliases of AWS managed keys, which customers cannot disable or delete. */
const managedByAws = "alias/aws/";

/**
 * The KMS keys that a SyncedSecret depends on. For blobs and messages: the keys that KMS used. For SecureStrings: the
 * keys from ssm:DescribeParameters and from the status. For a Secret older than `status.kmsKeys`: the ARNs in the spec.
 *
 * @param region of the connection; keys of another region count only if they have a replica in it
 */
export function keysInUse({ spec, status }: SyncedSecret, outcome: Outcome, region: string): string[] {
  if (outcome.kind === "suspended" || outcome.kind === "nothing") return [];
  const blobs = (spec.data ?? []).flatMap(({ kms }) => kms ?? []);
  const messages = [...(spec.data ?? []), ...(spec.dataFrom ?? [])].flatMap(({ encryptionSDK }) => encryptionSDK ?? []);
  const opened = outcome.kind === "current" || outcome.kind === "degraded" ? outcome.kmsKeys : undefined;
  const isMade = status?.revision !== undefined;
  const named = blobs.flatMap(({ keyId }) => (isMade && keyId?.includes(":key/") ? [keyId] : []));
  const ofBlobs = opened ?? (blobs.length + messages.length > 0 ? (status?.kmsKeys ?? named) : []);
  const sources: { keyId?: string }[] = [...(status?.sources ?? []), ...(outcome.sourcesMetadata?.sources ?? [])];
  const ofParameters = sources.flatMap(({ keyId }) => keyId ?? []);
  const names = [...ofBlobs, ...ofParameters].filter((name) => !name.startsWith(managedByAws));
  return [...new Set(names.flatMap((name) => hereOf(name, region)))];
}

function hereOf(name: string, region: string): string[] {
  const here = keyIn(name, region);
  return "keyId" in here ? [here.keyId] : [];
}

/**
 * The condition KeyAtRisk; undefined if no key is at risk. Without new findings the condition stays as it is.
 *
 * @param findings undefined if there are no new findings
 */
export function keyCondition(findings: Findings | undefined, before: Status): Asked | undefined {
  const worst = worstOf(findings?.risks ?? []);
  if (worst) return { type: keyAtRisk, status: "True", ...worst };
  const previous = before.conditions?.find(({ type }) => type === keyAtRisk);
  // The condition names the key that an alias led to, not the alias, so any alias may be the cause.
  const isAbout = (name: string) => !name.startsWith("arn:") || previous!.message.includes(name);
  return previous && (!findings || findings.unseen.some(isAbout)) ? previous : undefined;
}

/** Whether the findings differ from the status. */
export function isKeyNews(findings: Findings, { status = {} }: SyncedSecret): boolean {
  const previous = status.conditions?.find(({ type }) => type === keyAtRisk);
  const now = keyCondition(findings, status);
  return previous?.reason !== now?.reason || previous?.message !== now?.message;
}
