import { allowsKey, noKeys } from "../aws/allow.ts";
import { parseKeyArn } from "../aws/names.ts";
import { Failure } from "../runtime/failure.ts";
import { keyIn } from "./key-name.ts";
import { kmsProvider, type MessageHeader } from "./message-header.ts";

/** Whose keys a message may name by itself. */
export interface Discovery {
  partition: string;
  /** Accounts of the keys; at least one. */
  accounts: readonly string[];
}

/** The rules for the keys that may decrypt a message. */
export interface MessageKeyRules {
  /** Key ARNs of the entry. Undefined uses the keys that the message names. */
  keyIds?: readonly string[];
  /** The region of the KMS calls. */
  region: string;
  /** `allow.keyIds` of the connection; undefined allows every key, an empty list none. */
  allowKeyIds?: readonly string[] | undefined;
  /** `allow.discovery` of the connection; undefined requires keys in each entry. */
  discovery?: Discovery | undefined;
}

/**
 * Validates an entry's keys independently of the message.
 *
 * @param entry its name in messages: `data[2] (tls.key)`
 */
export function keyIdsProblem({ keyIds, region, allowKeyIds, discovery }: MessageKeyRules, entry: string) {
  if (allowKeyIds?.length === 0) return new Failure("NotAllowed", "wait", `${entry}: ${noKeys}`);
  if (!keyIds) {
    if (discovery) return undefined;
    const rule = "its connection has no allow.discovery, which would let the message name its keys";
    return new Failure("NotAllowed", "wait", `${entry}: encryptionSDK.keyIds is required: ${rule}`);
  }
  for (const keyId of keyIds) {
    if (!parseKeyArn(keyId)) {
      const why = "a message names its keys by ARN, and an alias can be moved to another key";
      return new Failure("InvalidData", "stalled", `${entry}: encryptionSDK.keyIds must be ARNs of keys: ${why}`);
    }
    const verdict = allowsKey(allowKeyIds, keyArnIn(region, keyId) ?? keyId);
    if (!verdict.allowed) {
      return new Failure("NotAllowed", "wait", `${entry}: key ${keyId} is not allowed: ${verdict.rule}`);
    }
  }
  if (keyIds.some((keyId) => keyArnIn(region, keyId))) return undefined;
  const message = `${entry}: no key of encryptionSDK.keyIds can be used in ${region}, where its connection calls KMS: name a key of that Region, or a multi-Region key (mrk-) with a replica there`;
  return new Failure("KeyUnavailable", "wait", message);
}

/**
 * Returns the keys that may decrypt a message, by their ARNs in the connection's region, in the order of `keyIds` or of
 * the message.
 *
 * @param rules for which `keyIdsProblem` found no problem
 * @throws Failure with the cause if there are none
 */
export function usableKeys(header: MessageHeader, rules: MessageKeyRules, entry: string): string[] {
  const { keyIds, region, allowKeyIds, discovery } = rules;
  const invalid = (what: string) => new Failure("InvalidData", "stalled", `${entry}: encryptionSDK.ciphertext ${what}`);
  const names = [...new Set(header.keys.filter(({ provider }) => provider === kmsProvider).map(({ name }) => name))];
  if (names.length === 0)
    throw invalid(`has no data key of AWS KMS, only ${othersIn(header)}: encrypt it under a KMS key, alone or besides`);
  if (names.some((name) => !parseKeyArn(name)))
    throw invalid("is damaged: it names a KMS key by something else than an ARN");
  const shown = names.join(", ");
  const wanted = keyIds
    ? keyIds.flatMap((keyId) => names.filter((name) => keyId === name || areReplicas(keyId, name)))
    : names.filter((name) => isDiscovered(name, discovery!));
  if (wanted.length === 0 && keyIds) {
    const message = `${entry}: the message's data keys are under ${shown}, and encryptionSDK.keyIds names none of these: add the one that is to open it`;
    throw new Failure("DecryptFailed", "stalled", message);
  }
  if (wanted.length === 0) {
    const { partition } = discovery!;
    const isHere = names.some((name) => parseKeyArn(name)!.partition === partition);
    // A namespace must not see the accounts that a connection lists.
    const why = isHere ? "does not cover the accounts of these" : `covers keys in ${partition} only`;
    const message = `${entry}: the message's data keys are under ${shown}, and allow.discovery of its connection ${why}`;
    throw new Failure("NotAllowed", "wait", message);
  }
  const here = wanted.map((name) => keyArnIn(region, name)).filter((arn) => arn !== undefined);
  if (here.length === 0) {
    const message = `${entry}: ${wanted.join(", ")} cannot be used in ${region}, where its connection calls KMS: encrypt under a key of that Region too, or under a multi-Region key (mrk-) with a replica there`;
    throw new Failure("KeyUnavailable", "wait", message);
  }
  const allowed = here.filter((arn) => allowsKey(allowKeyIds, arn).allowed);
  if (allowed.length === 0) {
    const message = `${entry}: ${here.join(", ")}: allow.keyIds of its connection lists none of these keys`;
    throw new Failure("NotAllowed", "wait", message);
  }
  return [...new Set(allowed)];
}

/** Describes the key providers of a message's data keys. */
function othersIn({ keys }: MessageHeader): string {
  const providers = [...new Set(keys.map(({ provider }) => provider))];
  if (providers.includes("aws-kms-hierarchy")) return "such of a hierarchical keyring, whose branch keys are elsewhere";
  const shown = providers.filter((provider) => /^[A-Za-z0-9_.:/ -]{1,64}$/.test(provider)).sort();
  return `such of raw keys${shown.length > 0 ? ` (${shown.join(", ")})` : ""}`;
}

/** Reports whether two ARNs are of the same multi-Region key. */
function areReplicas(one: string, other: string): boolean {
  const { region } = parseKeyArn(one)!;
  return keyArnIn(region, other) === one;
}

function isDiscovered(name: string, { partition, accounts }: Discovery): boolean {
  const arn = parseKeyArn(name)!;
  return arn.partition === partition && accounts.includes(arn.account);
}

/** Returns the ARN for a key in a region; undefined if the key is not available there. */
function keyArnIn(region: string, arn: string): string | undefined {
  const here = keyIn(arn, region);
  return "keyId" in here ? here.keyId : undefined;
}
