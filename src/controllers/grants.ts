import { allowsParameter } from "../aws/allow.ts";
import type { Identity } from "../aws/identity.ts";
import type { Binding, Owner } from "../ciphertexts/binding.ts";
import type { BlobRules } from "../ciphertexts/kms-blob.ts";
import type { MessageRules } from "../ciphertexts/message.ts";
import type { Discovery } from "../ciphertexts/message-keys.ts";
import type { Failure } from "../runtime/failure.ts";

/** What a connection lets a SyncedSecret use, and as whom. */
export interface Grant {
  identity: Identity;
  /** The identity that decrypts blobs, if it differs from the one that reads parameters. */
  blobsBy?: Identity;
  /** The same identity in the failover regions, in order; default none. */
  standIns?: readonly StandIn[];
  /** AWS account that the identity calls; part of every revision. */
  account: string;
  /** `spec.allow.parameters`; undefined allows nothing if `closed`, otherwise everything. */
  parameters: readonly string[] | undefined;
  /** Allowed keys of blobs and messages; undefined allows every key, an empty list none. */
  keyIds: readonly string[] | undefined;
  /** Whether an absent `allow.parameters` allows nothing (ClusterAWSConnection) or everything. */
  closed: boolean;
  /** The encryption context that every ciphertext must carry; undefined without binding. */
  binding?: Binding | undefined;
  /** Accounts whose keys a message may name by itself; undefined if each entry must name the keys. */
  discovery?: Discovery | undefined;
}

/** A failover region of a connection. */
export interface StandIn {
  region: string;
  /** Created at the first access. */
  readonly identity: Identity;
}

/** A grant, with what it sets for polls. */
export interface Granted extends Grant {
  /** The minimum and the default of poll intervals, in milliseconds. */
  pollIntervalMs: number;
}

/** What a connection answers to a SyncedSecret; `pending` until its first check. */
export type GrantAnswer =
  | { state: "granted"; granted: Granted }
  | { state: "refused"; failure: Failure }
  | { state: "pending" };

/** The rules of a connection for a blob. */
export function blobRules(
  { identity, blobsBy = identity, keyIds, binding, closed }: Grant,
  owner: Owner,
  entry: string,
  { bound }: { bound?: boolean } = {},
): BlobRules {
  // Without allow.keyIds a ClusterAWSConnection decrypts only bound blobs.
  const allowKeyIds = keyIds ?? (closed && bound === false ? [] : undefined);
  return { region: blobsBy.region, allowKeyIds, binding, owner, entry };
}

/** The rules of a connection for a message. */
export function messageRules(
  grant: Grant,
  owner: Owner,
  entry: string,
  message: { bound?: boolean } = {},
): MessageRules {
  return { ...blobRules(grant, owner, entry, message), discovery: grant.discovery };
}

/** The name patterns that a connection allows; undefined allows everything. */
export function patternsOf({ parameters, closed }: Grant): readonly string[] | undefined {
  return parameters ?? (closed ? [] : undefined);
}

/** Members of a path that the connection does not allow: a path may be allowed without all of its members. */
export function refusedMembers(names: Iterable<string>, grant: Grant, namespace: string): string[] {
  const patterns = patternsOf(grant);
  return [...names].filter((name) => !allowsParameter(patterns, name, namespace).allowed);
}
