import { decode } from "./decode.ts";
import { parseDotenv } from "./dotenv.ts";
import { evaluate } from "./jmespath.ts";
import { parseJson, propertiesOf, textOfJson } from "./json.ts";
import { type KeyRules, keyOfMember, keyRules } from "./keys.ts";
import { maxBytes } from "./limits.ts";
import { invalid, type Problem, Refusal } from "./refusal.ts";
import { selectMembers } from "./select.ts";
import { parseStringList } from "./string-list.ts";
import { renderTemplates, type TemplateInput } from "./template.ts";
import { bytesOf, textOf } from "./text.ts";
import { parseYaml } from "./yaml.ts";

export { type KeyRules, keyOfMember, type Problem, selectMembers, type TemplateInput };

/** What one source came to; `missing` is an optional one without a default, whose key is left out. */
export type SourceValue = { state: "value"; bytes: Uint8Array } | { state: "missing" };

/** One key from one source. */
export interface DataInput {
  key: string;
  /** How messages call the entry: `data[2] (DB_PASSWORD)`. */
  entry: string;
  source: SourceValue;
  /** Applied before `decode`. */
  jmesPath?: string;
  /** `None` when left out. */
  decode?: "None" | "Base64" | "Base64URL";
}

/** One parameter below a path. */
export interface Member {
  /** The parameter's full name. */
  name: string;
  bytes: Uint8Array;
  type?: string;
}

interface ManyInput {
  /** How messages call the entry: `dataFrom[0]`. */
  entry: string;
  keys?: KeyRules;
  /** What a key means that an earlier entry of `dataFrom` has made: `Fail` when left out. */
  onConflict?: "Fail" | "Override";
  /** Whether an entry without any key is fine: false when left out. */
  allowEmpty?: boolean;
}

/** One key for each parameter below a path, which is stripped from the names unless `keys.strip` says otherwise. */
export interface PathInput extends ManyInput {
  kind: "path";
  path: string;
  members: Member[];
}

export type Format = "JSON" | "YAML" | "Dotenv" | "StringList";

/** One key for each property of a document. */
export interface DocumentInput extends ManyInput {
  kind: "document";
  source: SourceValue;
  format: Format;
}

export interface AssembleInput {
  data: DataInput[];
  /** In the order of the spec; `data` wins over all of them. */
  dataFrom: (PathInput | DocumentInput)[];
  template?: TemplateInput;
}

/** The Secret's data, whole; or all that is wrong, in the order of the entries, `dataFrom` before `data`. */
export type Assembled = { ok: true; data: Map<string, Uint8Array> } | { ok: false; problems: Problem[] };

/** One key that an entry makes, and what of the entry it comes from, for messages. */
interface Made {
  key: string;
  bytes: Uint8Array;
  origin: string;
}

/**
 * Makes a Secret's data from what its sources came to. Pure, and never throws for what the sources or the spec hold.
 * Messages name entries, keys, parameters and places, never a value.
 */
export function assemble(input: AssembleInput): Assembled {
  const problems: Problem[] = [];
  const attempt = <T>(entry: string, make: () => T): T | undefined => {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problems.push({ reason: error.reason, message: `${entry}: ${error.message}` });
      return undefined;
    }
  };

  /** Which entry of `dataFrom` made each key. */
  const owners = new Map<string, string>();
  const data = new Map<string, Uint8Array>();
  for (const many of input.dataFrom) {
    const made = many.kind === "path" ? members(many, problems) : attempt(many.entry, () => properties(many));
    for (const { key, bytes, origin } of made ?? []) {
      const owner = owners.get(key);
      if (owner !== undefined && many.onConflict !== "Override") {
        problems.push({
          reason: "KeyConflict",
          message:
            `${many.entry}: ${origin} comes to the key ${key}, which ${owner} has made already; ` +
            "set onConflict: Override, or change one of them with keys",
        });
        continue;
      }
      owners.set(key, many.entry);
      data.set(key, bytes);
    }
  }
  const own = new Set<string>();
  for (const one of input.data) {
    const bytes = attempt(one.entry, () => oneValue(one));
    if (own.has(one.key)) {
      problems.push({
        reason: "KeyConflict",
        message: `${one.entry}: an earlier entry of data has the key ${one.key}`,
      });
    }
    own.add(one.key);
    if (bytes) data.set(one.key, bytes);
  }
  if (problems.length > 0) return { ok: false, problems };

  const rendered = input.template ? renderTemplates(input.template, data) : { data, problems: [] };
  if (rendered.problems.length > 0) return { ok: false, problems: rendered.problems };
  const size = sizeOf(rendered.data);
  if (size > maxBytes) {
    const message = `the Secret's data has ${size} bytes, and a Secret can have at most ${maxBytes}; split it into more Secrets`;
    return { ok: false, problems: [{ reason: "TooLarge", message }] };
  }
  return { ok: true, data: rendered.data };
}

/**
 * Bytes of data as the API server counts them for its limit of 1 MiB: the values alone, keys not.
 * `ValidateSecret` in k8s.io/kubernetes/pkg/apis/core/validation.
 */
export function sizeOf(data: ReadonlyMap<string, Uint8Array>): number {
  let size = 0;
  for (const bytes of data.values()) size += bytes.length;
  return size;
}

function oneValue({ key, source, jmesPath, decode: encoding = "None" }: DataInput): Uint8Array | undefined {
  if (source.state === "missing") return undefined;
  keyRules()(key);
  let { bytes } = source;
  if (jmesPath !== undefined) {
    const found = textOfJson(evaluate(jmesPath, parseJson(textOf(bytes))));
    if (found === undefined) throw invalid(`jmesPath ${jmesPath} leads to nothing, or to null`);
    bytes = bytesOf(found);
  }
  return encoding === "None" ? bytes : decode(bytes, encoding);
}

function members({ entry, path, members, keys, allowEmpty }: PathInput, problems: Problem[]): Made[] {
  const made = new Map<string, Made>();
  const attempt = (what: string, make: () => void) => {
    try {
      make();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problems.push({ reason: error.reason, message: `${entry}: ${what}${error.message}` });
    }
  };
  attempt("", () => {
    if (members.length === 0 && !allowEmpty) {
      const message = `no parameter is taken from ${path}; set allowEmpty: true where that is as it should be`;
      throw new Refusal("EmptyResult", message);
    }
    const keyOf = keyRules(keys, path);
    for (const { name, bytes } of members) {
      attempt(`parameter ${name}: `, () => {
        const key = keyOf(name);
        const other = made.get(key);
        if (other)
          throw new Refusal("KeyConflict", `it comes to the key ${key}, as ${other.origin} does; change one with keys`);
        made.set(key, { key, bytes, origin: `parameter ${name}` });
      });
    }
  });
  return [...made.values()];
}

function properties({ source, format, keys, allowEmpty }: DocumentInput): Made[] {
  if (source.state === "missing") return [];
  const texts = parseDocument(format, textOf(source.bytes));
  if (texts.size === 0 && !allowEmpty) {
    throw new Refusal(
      "EmptyResult",
      `the ${format} has no property; set allowEmpty: true where that is as it should be`,
    );
  }
  const keyOf = keyRules(keys);
  const made = new Map<string, Made>();
  let ordinal = 0;
  for (const [name, text] of texts) {
    ordinal++;
    const origin = `property ${ordinal} of the ${format}`;
    const key = about(origin, () => keyOf(name));
    const other = made.get(key);
    if (other) throw new Refusal("KeyConflict", `${other.origin} and property ${ordinal} both come to the key ${key}`);
    made.set(key, { key, bytes: about(origin, () => bytesOf(text)), origin });
  }
  return [...made.values()];
}

function parseDocument(format: Format, text: string): Map<string, string> {
  switch (format) {
    case "JSON":
      return propertiesOf(parseJson(text), format);
    case "YAML":
      return parseYaml(text);
    case "Dotenv":
      return parseDotenv(text);
    case "StringList":
      return parseStringList(text);
  }
}

function about<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof Refusal) throw new Refusal(error.reason, `${what}: ${error.message}`);
    throw error;
  }
}
