import type { SyncedSecret } from "../api/types.ts";
import { parseQueueUrl } from "../aws/events/queue-url.ts";
import type { Identity } from "../aws/identity.ts";
import { accountOfSpec, type IdentitySpec } from "../aws/identity-spec.ts";
import { accountOfArn, keyArnText, parseKeyArn, parseKeyRef, parseParameterRef, partitionOf } from "../aws/names.ts";
import { pairsFor } from "../ciphertexts/binding.ts";
import { keyIn } from "../ciphertexts/key-name.ts";
import { checkMessage } from "../ciphertexts/message.ts";
import type { ResolvedConnection } from "../controllers/connection/connections.ts";
import { sqsEndpoint } from "../controllers/endpoints.ts";
import { type Granted, messageRules } from "../controllers/grants.ts";
import { mayMove } from "../controllers/syncedsecret/decide/failover.ts";
import { asksForExpiry } from "../controllers/syncedsecret/decide/snapshot.ts";
import { type FromCiphertext, isFromParameters, type Plan, plan } from "../controllers/syncedsecret/plan/plan.ts";
import { isPassedThrough, passThrough, type Reference } from "../parameters/read/reference.ts";
import { Failure } from "../runtime/failure.ts";

/** A use of a KMS key: `key` is the ARN of the key or of an alias. */
export interface KeyUse {
  key: string;
  /** The required encryption context; empty without a binding. */
  bound: ReadonlyMap<string, string>;
}

/** Everything that one identity requests from AWS. */
export interface Needs {
  /** A role's ARN, or a description of an identity that begins a chain. */
  identity: string;
  /** The AWS account, if known. */
  account: string | undefined;
  partition: string;
  /** ARNs, unsorted. */
  parameters: Set<string>;
  paths: Set<string>;
  secrets: Set<string>;
  queues: Set<string>;
  /** Queues of its own account, whose tags it may be able to read. */
  ownQueues: Set<string>;
  blobs: KeyUse[];
  /** Keys of SecureStrings, by region. */
  parameterKeys: Map<string, Set<string>>;
  /** The ServiceAccounts that assume it with their tokens: namespace/name. */
  serviceAccounts: Set<string>;
  /** The roles it assumes, each with the actions on it. */
  roles: Map<string, Set<string>>;
  /** Whether DescribeParameters is needed: for a path's tags, or for the expiry of parameters. */
  isTagged: boolean;
  isExpiryAsked: boolean;
}

/** Facts that the manifests do not contain. */
export interface Told {
  /** ARNs of the keys that encrypt SecureStrings. */
  parameterKeys: readonly string[];
  /** ARNs of the keys of blobs without a keyId. */
  blobKeys: readonly string[];
  /** The AWS account of an identity without a role; undefined if not given. */
  account: string | undefined;
}

/** An identity that makes no calls; only its spec is used. */
export interface Nobody extends Identity {
  spec: IdentitySpec;
}

/** Returns an identity that only carries its spec. */
export function nobody(spec: IdentitySpec): Nobody {
  const refused = () => Promise.reject(new Error("nobody is called"));
  return {
    spec,
    key: JSON.stringify(spec),
    region: spec.region,
    account: accountOfSpec(spec),
    caller: refused,
    ssm: {
      getParameters: refused,
      getParameter: refused,
      getParametersByPath: refused,
      describeParameters: refused,
    },
    kms: { decrypt: refused, describeKey: refused },
    sqs: { receive: refused, remove: refused, hide: refused, tags: refused },
  };
}

/** Collects the operator's AWS requests for SyncedSecrets, by identity. Makes no calls. */
export class PolicyNeeds {
  readonly byIdentity = new Map<string, Needs>();
  readonly #told: Told;

  constructor(told: Told) {
    this.#told = told;
  }

  /** Adds a SyncedSecret's needs. @returns its problems, and needs that cannot be determined */
  add(resource: SyncedSecret, granted: Granted, connected: ResolvedConnection): Failure[] {
    const owner = { namespace: resource.metadata.namespace!, name: resource.metadata.name! };
    const planned = plan(resource.spec, granted, owner);
    if (planned.refused.length > 0) return planned.refused;
    this.#parameters(planned, granted);
    const problems = this.#ciphertexts(planned, granted, owner, granted.identity.region);
    const needs = this.#of(granted.identity, granted.account);
    needs.isExpiryAsked ||= planned.references.length > 0 && asksForExpiry(resource);
    for (const { keyId } of resource.status?.sources ?? []) this.#parameterKey(needs, keyId, granted.identity.region);
    for (const standIn of granted.standIns ?? []) {
      const there = { ...granted, identity: standIn.identity, blobsBy: granted.identity };
      const elsewhere = plan(resource.spec, there, owner);
      if (elsewhere.refused.length === 0 && mayMove(resource, elsewhere)) this.#parameters(elsewhere, there);
      this.#ciphertexts(planned, granted, owner, standIn.region);
    }
    this.#queue(connected);
    return problems;
  }

  #parameters({ references }: Plan, { identity, account }: Granted): void {
    const needs = this.#of(identity, account);
    for (const reference of references) {
      if (reference.kind === "path" && reference.tags) needs.isTagged = true;
      for (const arn of arnsOf(reference, account)) needs[reference.kind === "path" ? "paths" : "parameters"].add(arn);
      if (reference.kind === "path") needs.parameters.add(membersOf(arnsOf(reference, account)[0]!));
      else if (isPassedThrough(reference.name)) needs.secrets.add(secretArn(reference.name, identity.region, account));
    }
    if (references.length === 0) return;
    for (const key of this.#told.parameterKeys) this.#parameterKey(needs, key, identity.region);
  }

  #parameterKey(needs: Needs, keyId: string | undefined, region: string): void {
    const here = keyId !== undefined && parseKeyArn(keyId) ? keyIn(keyId, region) : undefined;
    if (!here || !("keyId" in here)) return;
    needs.parameterKeys.set(region, (needs.parameterKeys.get(region) ?? new Set()).add(here.keyId));
  }

  #ciphertexts(
    { entries }: Plan,
    granted: Granted,
    owner: { namespace: string; name: string },
    region: string,
  ): Failure[] {
    const needs = this.#of(granted.identity, granted.account);
    const problems: Failure[] = [];
    for (const entry of entries) {
      if (isFromParameters(entry)) continue;
      const { bound } = entry.kind === "blob" ? entry.blob : entry.message;
      const keys = this.#keysOf(entry, granted, owner, region);
      if (keys instanceof Failure) problems.push(keys);
      else {
        const pairs = pairsFor(granted.binding, bound, owner, entry.label);
        needs.blobs.push(...keys.map((key) => ({ key, bound: pairs })));
      }
    }
    return problems;
  }

  #keysOf(
    entry: FromCiphertext,
    granted: Granted,
    owner: { namespace: string; name: string },
    region: string,
  ): string[] | Failure {
    const at = { ...granted, blobsBy: { ...granted.identity, region } };
    const home = granted.identity.region;
    if (entry.kind !== "blob") {
      try {
        return [...checkMessage(entry.message, messageRules(at, owner, entry.label)).keyIds];
      } catch (error) {
        if (error instanceof Failure) return region === home ? error : [];
        throw error;
      }
    }
    const { keyId } = entry.blob;
    const named = keyId === undefined ? this.#told.blobKeys : [keyId];
    if (named.length === 0) {
      const message = `${entry.label}: the blob names no key: give it kms.keyId, or name the keys of such blobs with --blob-key`;
      return new Failure("InvalidData", "wait", message);
    }
    return named.flatMap((name) => {
      const ref = parseKeyRef(name);
      const here = keyIn(name, region);
      if (!ref || !("keyId" in here)) return [];
      const place = { partition: partitionOf(region), region, account: granted.account };
      if (ref.kind === "alias") return [`arn:${place.partition}:kms:${region}:${granted.account}:${ref.name}`];
      if (ref.kind !== "id") return [here.keyId];
      // The id of a single-Region key does not exist in another region.
      return region === home || ref.id.startsWith("mrk-") ? [keyArnText({ ...place, id: ref.id })] : [];
    });
  }

  #queue({ connection, identities, account }: ResolvedConnection): void {
    const url = connection.spec.events?.queueUrl;
    if (url === undefined) return;
    const { region } = connection.spec;
    const parsed = parseQueueUrl(url, { region, endpoint: sqsEndpoint(connection) });
    if (!("queue" in parsed)) return;
    const { receiver } = identities;
    // With one role per namespace, the receiver may be the operator's own identity, in another account.
    const home = receiver.account ?? (identities.account === undefined ? account : this.#told.account);
    const needs = this.#of(receiver, home);
    const arn = `arn:${partitionOf(region)}:sqs:${region}:${parsed.queue.account}:${parsed.queue.name}`;
    needs.queues.add(arn);
    if (home === undefined || home === parsed.queue.account) needs.ownQueues.add(arn);
  }

  /** The needs of an identity. Earlier identities of its role chain need permission to assume the next role. */
  #of(identity: Identity, account: string | undefined): Needs {
    const { spec } = identity as Nobody;
    const partition = partitionOf(spec.region);
    const steps = spec.assumeRole ?? [];
    const { credentials } = spec;
    const inRole = credentials.kind === "webIdentity" ? accountOfArn(credentials.roleArn) : undefined;
    let needs = this.#named(startOf(credentials), steps.length === 0 ? account : inRole, partition);
    if (credentials.kind === "webIdentity") needs.serviceAccounts.add(credentials.serviceAccount);
    let [hasSource, inheritsTags] = [false, false];
    for (const { roleArn, sessionTags, transitiveTagKeys = [], sourceIdentity } of steps) {
      const actions = needs.roles.get(roleArn) ?? new Set(["sts:AssumeRole"]);
      const hasTags = sessionTags !== undefined && Object.keys(sessionTags).length > 0;
      if (hasTags || inheritsTags) actions.add("sts:TagSession");
      inheritsTags ||= transitiveTagKeys.length > 0;
      // A source identity, once set, applies to all following roles of the chain.
      hasSource ||= sourceIdentity !== undefined;
      if (hasSource) actions.add("sts:SetSourceIdentity");
      needs.roles.set(roleArn, actions);
      needs = this.#named(roleArn, accountOfArn(roleArn), partition);
    }
    return needs;
  }

  #named(identity: string, account: string | undefined, partition: string): Needs {
    let needs = this.byIdentity.get(identity);
    if (!needs) {
      needs = {
        ...{ identity, account, partition, isTagged: false, isExpiryAsked: false, blobs: [] },
        ...{ parameters: new Set(), paths: new Set(), secrets: new Set(), queues: new Set(), ownQueues: new Set() },
        ...{ parameterKeys: new Map(), roles: new Map(), serviceAccounts: new Set() },
      };
      this.byIdentity.set(identity, needs);
    }
    needs.account ??= account;
    return needs;
  }
}

function startOf(credentials: IdentitySpec["credentials"]): string {
  if (credentials.kind === "default") return "the operator's own identity";
  return credentials.kind === "webIdentity" ? credentials.roleArn : `the keys of Secret ${credentials.accessKeyId}`;
}

/** The ARNs that IAM checks for a read of a reference. */
function arnsOf(reference: Reference, account: string): string[] {
  const { region } = reference.identity;
  if (reference.kind === "path") return [parameterArn(reference.path, region, account)];
  const parsed = parseParameterRef(reference.name);
  if (!("ref" in parsed)) return [];
  const { ref } = parsed;
  return [ref.kind === "arn" ? reference.name : parameterArn(ref.name, region, account)];
}

function parameterArn(name: string, region: string, account: string): string {
  // Parameters published by AWS belong to no account.
  const whose = /^\/aws\/service(\/|$)/.test(name) ? "" : account;
  return `arn:${partitionOf(region)}:ssm:${region}:${whose}:parameter${name}`;
}

function membersOf(path: string): string {
  return path.endsWith("/") ? `${path}*` : `${path}/*`;
}

/** A secret's ARN ends in six characters that are not part of its name (Secrets Manager User Guide, "Secret"). */
function secretArn(name: string, region: string, account: string): string {
  const secret = name.slice(name.indexOf(passThrough.slice(1)) + passThrough.length - 1);
  return `arn:${partitionOf(region)}:secretsmanager:${region}:${account}:secret:${secret}-??????`;
}
