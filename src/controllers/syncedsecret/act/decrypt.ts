import { AwsFailure, isSilence } from "../../../aws/failure.ts";
import type { Identity } from "../../../aws/identity.ts";
import { limitedKms } from "../../../aws/kms.ts";
import type { RateLimiters } from "../../../aws/ratelimit/limiters.ts";
import type { Outages } from "../../../aws/ratelimit/outages.ts";
import { tryAgain } from "../../../aws/table.ts";
import { tracedKms } from "../../../aws/traced.ts";
import { audited } from "../../../ciphertexts/audited.ts";
import type { Owner } from "../../../ciphertexts/binding.ts";
import { keyIn } from "../../../ciphertexts/key-name.ts";
import { openBlob } from "../../../ciphertexts/kms-blob.ts";
import { openMessage } from "../../../ciphertexts/message.ts";
import type { Metrics } from "../../../metrics/metrics.ts";
import type { Audit } from "../../../runtime/audit.ts";
import { Failure } from "../../../runtime/failure.ts";
import type { Sealed } from "../../../runtime/sealed.ts";
import type { Granted } from "../../grants.ts";
import { blobRules, messageRules } from "../../grants.ts";
import type { Opened } from "../decide/material.ts";
import { type FromCiphertext, isFromParameters, type Plan } from "../plan/plan.ts";
import type { Attempt } from "./attempt.ts";

/** What decryption by KMS needs. */
export interface WayToKms {
  limiters: RateLimiters;
  /** Records every decryption. */
  audit: Audit | undefined;
  outages: Pick<Outages, "isDown">;
  metrics: Pick<Metrics, "failoverReads">;
}

/** Whose ciphertexts are decrypted, and for which attempt. */
export interface Ciphertexts {
  granted: Granted;
  owner: Owner;
  attempt: Attempt;
}

/** Decrypts all ciphertexts of a spec through the rate limiter; in the failover regions if KMS is down at home. */
export async function decryptAll(plan: Plan, whose: Ciphertexts, way: WayToKms): Promise<Opened> {
  const blobs = new Map<string, Sealed>();
  const keyIds = new Set<string>();
  const problems: Failure[] = [];
  let elsewhere: string | undefined;
  await Promise.all(
    plan.entries.map(async (entry) => {
      if (isFromParameters(entry)) return;
      try {
        const { plaintext, keyId, region } = await open(entry, whose, way);
        blobs.set(entry.label, plaintext);
        keyIds.add(keyId);
        if (region !== undefined) elsewhere = region;
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        problems.push(error);
      }
    }),
  );
  problems.sort((a, b) => (a.message < b.message ? -1 : 1));
  return { blobs, keyIds, problems, ...(elsewhere === undefined ? {} : { elsewhere }) };
}

/** @returns also the region, if it is a failover region */
async function open(entry: FromCiphertext, { granted, owner, attempt }: Ciphertexts, way: WayToKms) {
  const { limiters, audit, outages, metrics } = way;
  const home = granted.blobsBy ?? granted.identity;
  const kind = entry.kind === "blob" ? "blob" : "message";
  const about = { kind, entry: entry.label, resource: `${owner.namespace}/${owner.name}` } as const;
  const turn = { lane: attempt.lane, namespace: owner.namespace, isWanted: attempt.isWanted };
  const openAt = (identity: Identity) => {
    const limited = limitedKms(tracedKms(identity, attempt.span), () =>
      limiters.acquire({ service: "kms", identity, ...turn }),
    );
    const kms = audited(limited, identity, audit, about);
    const grant = { ...granted, blobsBy: identity };
    return entry.kind === "blob"
      ? openBlob({ kms }, entry.blob, blobRules(grant, owner, entry.label, entry.blob))
      : openMessage({ kms }, entry.message, messageRules(grant, owner, entry.label, entry.message));
  };
  const { standIns = [] } = granted;
  // isDown() may be true without failover regions here: another connection with the same identity may have some.
  const isAlone = standIns.length === 0;
  if (isAlone || !outages.isDown(home.key, "kms")) {
    try {
      return { ...(await openAt(home)), region: undefined };
    } catch (error) {
      const isSilent = error instanceof AwsFailure && isSilence(error);
      if (isAlone || !isSilent || !outages.isDown(home.key, "kms")) throw error;
    }
  }
  for (const { region, identity } of standIns) {
    if (outages.isDown(identity.key, "kms")) continue;
    try {
      const { plaintext, keyId } = await openAt(identity);
      metrics.failoverReads.inc({ service: "kms", region });
      const here = keyIn(keyId, home.region);
      return { plaintext, keyId: "keyId" in here ? here.keyId : keyId, region };
    } catch (error) {
      // A failure there is not a failure at home: the key may have no replica there, or another policy.
      if (!(error instanceof Failure)) throw error;
    }
  }
  const regions = standIns.map(({ region }) => region).join(", ");
  const message = `${entry.label}: AWS KMS in ${home.region} does not answer, and decryption in ${regions} failed too; ${tryAgain}`;
  throw new Failure("Unreachable", "retry", message);
}
