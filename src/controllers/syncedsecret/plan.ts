import type { SyncedSecret } from "../../api/types.ts";
import { allowsParameter, allowsPath } from "../../aws/allow.ts";
import type { Identity } from "../../aws/identity.ts";
import { parseParameterRef } from "../../aws/names.ts";
import { type Binding, type Owner, pairsText } from "../../ciphertexts/binding.ts";
import { type BlobRules, checkBlob, type KmsBlob } from "../../ciphertexts/kms-blob.ts";
import { checkMessage, type Message, type MessageRules } from "../../ciphertexts/message.ts";
import type { Discovery } from "../../ciphertexts/message-keys.ts";
import {
  isPassedThrough,
  type ParameterReference,
  type PathReference,
  type Reference,
} from "../../parameters/reference.ts";
import { Failure } from "../../runtime/failure.ts";
import type { KeyRules, NullValues } from "../../values/assemble.ts";

/** What a connection lets a SyncedSecret use, and as whom. */
export interface Grant {
  identity: Identity;
  /** Whose KMS opens blobs, where it is another one than reads the parameters. */
  blobsBy?: Identity;
  /** The same identity in the regions that stand in, in order; none where left out. */
  standIns?: readonly StandIn[];
  /** AWS account that the identity calls; part of every revision. */
  account: string;
  /** `spec.allow.parameters`; undefined allows nothing where `closed`, everything else where not. */
  parameters: readonly string[] | undefined;
  /** Keys of blobs and messages; undefined allows every key, an empty list none. */
  keyIds: readonly string[] | undefined;
  /** Whether a left-out `allow.parameters` means nothing (a cluster connection) or everything. */
  closed: boolean;
  /** What every ciphertext must carry; undefined where nothing is asked for. */
  binding?: Binding | undefined;
  /** Whose keys a message may name by itself; undefined where each entry has to name them. */
  discovery?: Discovery | undefined;
}

/** A region that stands in for a connection's own. */
export interface StandIn {
  region: string;
  /** Made when it is first asked for. */
  readonly identity: Identity;
}

interface Labelled {
  /** How messages call it: `data[2] (DB_PASSWORD)`. */
  label: string;
}

export interface DataFromParameter extends Labelled {
  kind: "parameter";
  key: string;
  reference: ParameterReference;
  optional: boolean;
  fallback?: string;
  jmesPath?: string;
  decode?: "None" | "Base64" | "Base64URL";
}

export interface DataFromBlob extends Labelled {
  kind: "blob";
  key: string;
  blob: KmsBlob;
  jmesPath?: string;
  decode?: "None" | "Base64" | "Base64URL";
}

export interface DataFromMessage extends Labelled {
  kind: "message";
  key: string;
  message: Message;
  jmesPath?: string;
  decode?: "None" | "Base64" | "Base64URL";
}

export interface ManyFromPath extends Labelled {
  kind: "path";
  reference: PathReference;
  include: readonly string[];
  exclude: readonly string[];
  keys?: KeyRules;
  onConflict?: "Fail" | "Override";
  nullValues?: NullValues;
  allowEmpty: boolean;
}

export interface ManyFromDocument extends Labelled {
  kind: "document";
  reference: ParameterReference;
  format: "JSON" | "YAML" | "Dotenv" | "StringList";
  keys?: KeyRules;
  onConflict?: "Fail" | "Override";
  nullValues?: NullValues;
  allowEmpty: boolean;
}

export interface ManyFromMessage extends Labelled {
  kind: "messageDocument";
  message: Message;
  format: ManyFromDocument["format"];
  keys?: KeyRules;
  onConflict?: "Fail" | "Override";
  nullValues?: NullValues;
  allowEmpty: boolean;
}

/** An entry whose value stands in the spec, encrypted. */
export type FromCiphertext = DataFromBlob | DataFromMessage | ManyFromMessage;

/** An entry whose value is read from Parameter Store. */
export type FromParameters = DataFromParameter | ManyFromPath | ManyFromDocument;

export type Planned = FromParameters | FromCiphertext;

/** Whether an entry is read from Parameter Store. */
export function isFromParameters(planned: Planned): planned is FromParameters {
  return "reference" in planned;
}

/** The entries of a SyncedSecret as reads to make: `dataFrom` in order, then `data`. */
export interface Plan {
  entries: Planned[];
  /** Every distinct reference, once. */
  references: Reference[];
  /** What the connection does not allow, and ciphertexts that are none; with any, nothing is asked of AWS. */
  refused: Failure[];
  /** The encryption context that binding asks of its ciphertexts, as text; undefined where it asks for none. */
  bound?: string;
}

/**
 * Turns a spec into reads, and checks each against the connection before AWS hears of any of them.
 *
 * @param owner the SyncedSecret's own namespace, which `{namespace}` stands for, and its name
 */
export function plan(spec: SyncedSecret["spec"], grant: Grant, owner: Owner): Plan {
  const { identity } = grant;
  const { namespace } = owner;
  let bound: string | undefined;
  const refused: Failure[] = [];
  const references = new Map<string, Reference>();

  const check = (label: string, what: string, verdict: { allowed: true } | { allowed: false; rule: string }) => {
    if (!verdict.allowed) {
      refused.push(new Failure("NotAllowed", "wait", `${label}: ${what} is not allowed: ${verdict.rule}`));
    }
  };
  const refuse = (label: string, message: string) => {
    refused.push(new Failure("InvalidData", "stalled", `${label}: ${message}`));
  };
  const patterns = patternsOf(grant);
  const parameter = (label: string, source: { name: string; version?: number; label?: string }): ParameterReference => {
    const selector =
      source.version !== undefined ? `:${source.version}` : source.label !== undefined ? `:${source.label}` : "";
    const verdict = allowsParameter(patterns, source.name, namespace);
    check(label, `parameter ${source.name}`, verdict);
    const elsewhere = regionProblem(source.name, identity.region);
    // Of what is not allowed nothing more is told.
    if (verdict.allowed && elsewhere) refuse(label, elsewhere);
    if (verdict.allowed && source.version !== undefined && isPassedThrough(source.name)) {
      refuse(label, `${source.name} is a secret of Secrets Manager, whose versions have no numbers: remove version`);
    }
    const reference: ParameterReference = { kind: "parameter", identity, name: source.name, selector };
    references.set(source.name + selector, reference);
    return reference;
  };

  const ciphertext = (checkIt: () => { bound: ReadonlyMap<string, string> }) => {
    try {
      const pairs = checkIt().bound;
      if (pairs.size > 0) bound = pairsText(pairs);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      refused.push(error);
    }
  };

  const many = (spec.dataFrom ?? []).map((entry, index): Planned => {
    const label = `dataFrom[${index}]`;
    const shared = {
      label,
      allowEmpty: entry.allowEmpty ?? false,
      ...(entry.rename ? { rename: entry.rename as KeyRules } : {}),
      ...(entry.onConflict ? { onConflict: entry.onConflict } : {}),
      ...(entry.nullValues ? { nullValues: entry.nullValues } : {}),
    };
    if (entry.path) {
      const {
        name,
        recursive = false,
        label: asked = "",
        types = [],
        tags = {},
        include = [],
        exclude = [],
      } = entry.path;
      const verdict = allowsPath(patterns, name, recursive, namespace);
      check(label, `path ${name}`, verdict);
      if (verdict.allowed && /^\/aws\/reference(\/|$)/.test(name)) {
        refuse(label, `path ${name} leads to other services, which list nothing: name each secret by parameter`);
      }
      const path = name.length > 1 && name.endsWith("/") ? name.slice(0, -1) : name;
      const reference: PathReference = {
        kind: "path",
        identity,
        path,
        recursive,
        label: asked,
        types: [...types].sort(),
        ...(Object.keys(tags).length > 0 ? { tags: Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1)) } : {}),
      };
      references.set(`${label} path`, reference);
      return { kind: "path", ...shared, reference, include, exclude };
    }
    const { encryptionSDK: message } = entry;
    if (message) {
      ciphertext(() => checkMessage(message, messageRules(grant, owner, label, message)));
      return { kind: "messageDocument", ...shared, message, format: entry.format! };
    }
    return { kind: "document", ...shared, reference: parameter(label, entry.parameter!), format: entry.format! };
  });

  const one = (spec.data ?? []).map((entry, index): Planned => {
    const label = `data[${index}] (${entry.key})`;
    const shared = {
      label,
      key: entry.key,
      ...(entry.jmesPath === undefined ? {} : { jmesPath: entry.jmesPath }),
      ...(entry.decode ? { decode: entry.decode } : {}),
    };
    const { kms: blob, encryptionSDK: message } = entry;
    if (blob) {
      ciphertext(() => checkBlob(blob, blobRules(grant, owner, label, blob)));
      return { kind: "blob", ...shared, blob };
    }
    if (message) {
      ciphertext(() => checkMessage(message, messageRules(grant, owner, label, message)));
      return { kind: "message", ...shared, message };
    }
    return {
      kind: "parameter",
      ...shared,
      reference: parameter(label, entry.parameter!),
      optional: entry.optional ?? false,
      ...(entry.default === undefined ? {} : { fallback: entry.default }),
    };
  });

  return {
    entries: [...many, ...one],
    references: [...references.values()],
    refused,
    ...(bound === undefined ? {} : { bound }),
  };
}

/** What a connection says of a blob. */
export function blobRules(
  { identity, blobsBy = identity, keyIds, binding, closed }: Grant,
  owner: Owner,
  entry: string,
  { bound }: { bound?: boolean } = {},
): BlobRules {
  // Without a list of keys a cluster connection opens what is bound to a namespace, and nothing that is not.
  const allowKeyIds = keyIds ?? (closed && bound === false ? [] : undefined);
  return { region: blobsBy.region, allowKeyIds, binding, owner, entry };
}

/** Why a parameter's ARN leads nowhere from a region: Systems Manager answers for its own region alone. */
function regionProblem(name: string, region: string): string | undefined {
  const parsed = parseParameterRef(name);
  if (!("ref" in parsed) || parsed.ref.kind === "name" || parsed.ref.region === region) return undefined;
  return `parameter ${name} is one of region ${parsed.ref.region}, and its connection reads in ${region}: use a connection for ${parsed.ref.region}`;
}

/** What a connection says of a message. */
export function messageRules(
  grant: Grant,
  owner: Owner,
  entry: string,
  message: { bound?: boolean } = {},
): MessageRules {
  return { ...blobRules(grant, owner, entry, message), discovery: grant.discovery };
}

/** What a connection allows by name; undefined for everything. */
function patternsOf({ parameters, closed }: Grant): readonly string[] | undefined {
  return parameters ?? (closed ? [] : undefined);
}

/** Of a path's members, those that the connection allows: a listing may return what the path alone did not tell. */
export function refusedMembers(names: Iterable<string>, grant: Grant, namespace: string): string[] {
  const patterns = patternsOf(grant);
  return [...names].filter((name) => !allowsParameter(patterns, name, namespace).allowed);
}
