import type { SyncedSecret } from "../../api/types.ts";
import { keyAtRisk, worstOf } from "../../ciphertexts/key-health.ts";
import { keyIn } from "../../ciphertexts/key-name.ts";
import type { Findings } from "../../ciphertexts/key-watch.ts";
import type { Asked } from "../conditions.ts";
import type { Outcome } from "./outcome.ts";

type Status = NonNullable<SyncedSecret["status"]>;

/** What AWS keeps for its services begins so. Nobody can disable or delete those keys. */
const managedByAws = "alias/aws/";

/**
 * The KMS keys that a SyncedSecret hangs on: those that KMS said it used for its blobs and messages, and of
 * SecureStrings those that ssm:DescribeParameters has told, and its status tells. Of a Secret that was made before
 * statuses listed keys, the ARNs that the spec names.
 *
 * @param region of its connection; keys of another one are none of its business, but for a replica there
 */
export function keysInUse({ spec, status }: SyncedSecret, outcome: Outcome, region: string): string[] {
  if (outcome.kind === "suspended" || outcome.kind === "nothing") return [];
  const blobs = (spec.data ?? []).flatMap(({ kms }) => kms ?? []);
  const messages = [...(spec.data ?? []), ...(spec.dataFrom ?? [])].flatMap(({ encryptionSDK }) => encryptionSDK ?? []);
  const opened = outcome.kind === "current" ? outcome.kmsKeys : outcome.kind === "failed" ? outcome.made?.kmsKeys : [];
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
 * The condition that a key is in danger; undefined where none is. What is not known anew stays as it was said.
 *
 * @param findings undefined where nothing is known anew
 */
export function keyCondition(findings: Findings | undefined, before: Status): Asked | undefined {
  const worst = worstOf(findings?.risks ?? []);
  if (worst) return { type: keyAtRisk, status: "True", ...worst };
  const said = before.conditions?.find(({ type }) => type === keyAtRisk);
  // An alias is told by the key that it led to, whichever that was.
  const isAbout = (name: string) => !name.startsWith("arn:") || said!.message.includes(name);
  return said && (!findings || findings.unseen.some(isAbout)) ? said : undefined;
}

/** Whether a status says otherwise of its keys than is known. */
export function isKeyNews(findings: Findings, { status = {} }: SyncedSecret): boolean {
  const said = status.conditions?.find(({ type }) => type === keyAtRisk);
  const now = keyCondition(findings, status);
  return said?.reason !== now?.reason || said?.message !== now?.message;
}
