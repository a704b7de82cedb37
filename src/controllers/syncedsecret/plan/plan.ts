import type { SyncedSecret } from "../../../api/types.ts";
import { allowsParameter, allowsPath } from "../../../aws/allow.ts";
import { parseParameterRef } from "../../../aws/names.ts";
import { type Owner, pairsText } from "../../../ciphertexts/binding.ts";
import { checkBlob, type KmsBlob } from "../../../ciphertexts/kms-blob.ts";
import { checkMessage, type Message } from "../../../ciphertexts/message.ts";
import {
  isPassedThrough,
  type ParameterReference,
  type PathReference,
  type Reference,
} from "../../../parameters/read/reference.ts";
import { Failure } from "../../../runtime/failure.ts";
import type { KeyRules, NullValues } from "../../../values/assemble.ts";
import { blobRules, type Grant, messageRules, patternsOf } from "../../grants.ts";

interface Labelled {
  /** The entry's name in messages: `data[2] (DB_PASSWORD)`. */
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
  rename?: KeyRules;
  onConflict?: "Fail" | "Override";
  nullValues?: NullValues;
  allowEmpty: boolean;
}

export interface ManyFromDocument extends Labelled {
  kind: "document";
  reference: ParameterReference;
  format: "JSON" | "YAML" | "Dotenv" | "StringList";
  rename?: KeyRules;
  onConflict?: "Fail" | "Override";
  nullValues?: NullValues;
  allowEmpty: boolean;
}

export interface ManyFromMessage extends Labelled {
  kind: "messageDocument";
  message: Message;
  format: ManyFromDocument["format"];
  rename?: KeyRules;
  onConflict?: "Fail" | "Override";
  nullValues?: NullValues;
  allowEmpty: boolean;
}

/** An entry with an encrypted value in the spec. */
export type FromCiphertext = DataFromBlob | DataFromMessage | ManyFromMessage;

/** An entry whose value is read from Parameter Store. */
export type FromParameters = DataFromParameter | ManyFromPath | ManyFromDocument;

export type Planned = FromParameters | FromCiphertext;

/** Whether an entry is read from Parameter Store. */
export function isFromParameters(planned: Planned): planned is FromParameters {
  return "reference" in planned;
}

/** The entries of a SyncedSecret and the reads they need: `dataFrom` in order, then `data`. */
export interface Plan {
  entries: Planned[];
  /** Every distinct reference, once. */
  references: Reference[];
  /** Entries that the connection does not allow, and malformed ciphertexts; if any, no AWS call is made. */
  refused: Failure[];
  /** The encryption context that binding requires, as text; undefined without binding. */
  bound?: string;
}

/**
 * Plans the reads of a spec, and checks each against the connection before any AWS call.
 *
 * @param owner the SyncedSecret's name, and its namespace, which replaces `{namespace}`
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
    // For a name that is not allowed, report nothing else.
    if (verdict.allowed && elsewhere) refuse(label, elsewhere);
    if (verdict.allowed && source.version !== undefined && isPassedThrough(source.name)) {
      refuse(label, `${source.name} is a Secrets Manager secret, whose versions have no numbers: remove version`);
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
      const verdict = allowsPath(patterns, name, namespace);
      check(label, `path ${name}`, verdict);
      if (verdict.allowed && /^\/aws\/reference(\/|$)/.test(name)) {
        refuse(label, `path ${name} refers to another service and cannot be listed: name each secret by parameter`);
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

/** Why a parameter's ARN cannot be read from a region: Systems Manager serves only its own region. */
function regionProblem(name: string, region: string): string | undefined {
  const parsed = parseParameterRef(name);
  if (!("ref" in parsed) || parsed.ref.kind === "name" || parsed.ref.region === region) return undefined;
  return `parameter ${name} is in region ${parsed.ref.region}, but the connection reads in ${region}: use a connection for ${parsed.ref.region}`;
}
