import { decode } from "./decode.ts";
import { evaluate } from "./jmespath.ts";
import { isObject, type Json, parseJson, textOfJson } from "./json.ts";
import { isSecretKey, type KeyRules, keyOfMember } from "./keys.ts";
import { maxBytes } from "./limits.ts";
import {
  type DocumentInput,
  type Member,
  makeMany,
  type NullValues,
  type PathInput,
  type SourceValue,
} from "./many.ts";
import { invalid, type Problem, Refusal } from "./refusal.ts";
import { prepareSelection, selectMembers } from "./select.ts";
import { renderTemplates, type TemplateInput } from "./template.ts";
import { bytesOf, textOf } from "./text.ts";
import { Work } from "./work.ts";

export {
  type DocumentInput,
  type KeyRules,
  keyOfMember,
  type Member,
  type NullValues,
  type PathInput,
  type Problem,
  prepareSelection,
  type SourceValue,
  selectMembers,
  type TemplateInput,
};

/** One key from one source. */
export interface DataInput {
  key: string;
  /** The entry's name in messages: `data[2] (DB_PASSWORD)`. */
  entry: string;
  source: SourceValue;
  /** Applied before `decode`. */
  jmesPath?: string;
  /** Whether to omit the key if `jmesPath` finds nothing or null. */
  optional?: boolean;
  /** The value if `jmesPath` finds nothing or null; `decode` does not apply. */
  fallback?: string;
  /** Default `None`. */
  decode?: "None" | "Base64" | "Base64URL";
}

export interface AssembleInput {
  data: DataInput[];
  /** In the order of the spec; `data` takes precedence. */
  dataFrom: (PathInput | DocumentInput)[];
  template?: TemplateInput;
  /** The Secret's type; default `Opaque`. */
  type?: string;
}

/** The complete data of the Secret, or all problems, in the order of the entries, `dataFrom` before `data`. */
export type Assembled = { ok: true; data: Map<string, Uint8Array> } | { ok: false; problems: Problem[] };

/**
 * Builds a Secret's data from its resolved sources. Pure; never throws for invalid sources or specs. Messages name
 * entries, keys, parameters and positions, never a value.
 */
export function assemble(input: AssembleInput, work = new Work()): Assembled {
  const problems: Problem[] = [];
  const data = new Map<string, Uint8Array>();

  /** The `dataFrom` entry that made each key. */
  const owners = new Map<string, string>();
  for (const many of input.dataFrom) {
    const { made, problems: found } = makeMany(many, work);
    problems.push(...found);
    for (const { key, bytes, origin } of made) {
      const owner = owners.get(key);
      if (owner === undefined || many.onConflict === "Override") {
        owners.set(key, many.entry);
        data.set(key, bytes);
        continue;
      }
      const message =
        `${many.entry}: ${origin} comes to the key ${key}, which ${owner} has made already; ` +
        "set onConflict: Override, or change one of them with rename";
      problems.push({ reason: "KeyConflict", message });
    }
  }

  const own = new Set<string>();
  const documents: Documents = new Map();
  for (const one of input.data) {
    try {
      if (own.has(one.key)) throw new Refusal("KeyConflict", "an earlier entry of data has the same key");
      own.add(one.key);
      const bytes = makeOne(one, documents, work);
      if (bytes) data.set(one.key, bytes);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problems.push({ reason: error.reason, message: `${one.entry}: ${error.message}` });
    }
  }
  if (problems.length > 0) return { ok: false, problems };
  const made = input.template ? renderTemplates(input.template, data, work) : { data, problems };
  if (made.problems.length === 0) made.problems.push(...problemsOfType(input.type, made.data, work));
  return fitting(made);
}

/** Required keys of registry credentials, by Secret type. */
const registryKeys: Readonly<Record<string, string>> = {
  "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
  "kubernetes.io/dockercfg": ".dockercfg",
};

/** Validates the data for its type. The API server's own error would quote part of the value. */
function problemsOfType(type: string | undefined, data: ReadonlyMap<string, Uint8Array>, work: Work): Problem[] {
  const key = type !== undefined && Object.hasOwn(registryKeys, type) ? registryKeys[type]! : undefined;
  const bytes = key === undefined ? undefined : data.get(key);
  if (bytes === undefined) return [];
  try {
    if (isObject(parseJson(textOf(bytes), work))) return [];
    throw invalid("it is not a JSON object");
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const message = `data[${key}]: a Secret of type ${type} needs registry credentials as JSON in it: ${error.message}`;
    return [{ reason: error.reason, message }];
  }
}

/**
 * Bytes of data as the API server counts them for its limit of 1 MiB: values only, without keys.
 * `ValidateSecret` in k8s.io/kubernetes/pkg/apis/core/validation.
 */
export function sizeOf(data: ReadonlyMap<string, Uint8Array>): number {
  let size = 0;
  for (const bytes of data.values()) size += bytes.length;
  return size;
}

/** Caches the JSON documents that several keys use. */
type Documents = Map<Uint8Array, Json>;

function makeOne(
  { key, source, jmesPath, decode: encoding = "None", optional = false, fallback }: DataInput,
  documents: Documents,
  work: Work,
): Uint8Array | undefined {
  if (!isSecretKey(key)) throw invalid("its key is not one that a Secret can have");
  if (source.state === "missing") return undefined;
  let { bytes } = source;
  if (jmesPath !== undefined) {
    const document = documents.get(bytes) ?? parseJson(textOf(bytes), work);
    documents.set(bytes, document);
    const found = textOfJson(evaluate(jmesPath, document, work));
    if (found === null) {
      if (optional) return undefined;
      if (fallback === undefined)
        throw invalid(`jmesPath ${jmesPath} finds nothing, or null: correct it, or set optional or default`);
      return bytesOf(fallback);
    }
    bytes = bytesOf(found);
  }
  // Decoding reads each character a few times.
  work.spend(encoding === "None" ? bytes.length >> 5 : bytes.length >> 1);
  return encoding === "None" ? bytes : decode(bytes, encoding);
}

function fitting({ data, problems }: { data: Map<string, Uint8Array>; problems: Problem[] }): Assembled {
  if (problems.length > 0) return { ok: false, problems };
  const size = sizeOf(data);
  if (size <= maxBytes) return { ok: true, data };
  const message = `the Secret's data has ${size} bytes, and a Secret can have at most ${maxBytes}; split it into more Secrets`;
  return { ok: false, problems: [{ reason: "TooLarge", message }] };
}
