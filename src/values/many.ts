import { parseDotenv } from "./dotenv.ts";
import { parseJson, propertiesOf } from "./json.ts";
import { type KeyRules, keyRules } from "./keys.ts";
import { invalid, type Problem, Refusal } from "./refusal.ts";
import { parseStringList } from "./string-list.ts";
import { bytesOf, textOf } from "./text.ts";
import { Work } from "./work.ts";
import { propertiesOfYaml } from "./yaml.ts";

/** Maximum problems listed for one entry; the rest is only counted. */
const maxProblems = 10;

/** The state of one source; `missing` is an optional source without a default, whose key is left out. */
export type SourceValue = { state: "value"; bytes: Uint8Array } | { state: "missing" };

/** One parameter below a path. */
export interface Member {
  /** The parameter's full name. */
  name: string;
  bytes: Uint8Array;
}

/** How a null property is handled: as an error, left out, or as an empty value. */
export type NullValues = "Fail" | "Omit" | "Empty";

interface ManyInput {
  /** The entry's name in messages: `dataFrom[0]`. */
  entry: string;
  rename?: KeyRules;
  /** What happens if an earlier entry of `dataFrom` makes the same key; default `Fail`. */
  onConflict?: "Fail" | "Override";
  /** How a null property is handled; default `Fail`. */
  nullValues?: NullValues;
  /** Whether the entry may make no key; default false. */
  allowEmpty?: boolean;
}

/** Makes one key for each parameter below a path; strips the path unless `rename.stripPrefix` is set. */
export interface PathInput extends ManyInput {
  kind: "path";
  path: string;
  /** Tags by which the parameters are selected; for messages. */
  tags?: readonly (readonly [string, string])[];
  members: Member[];
}

export type Format = "JSON" | "YAML" | "Dotenv" | "StringList";

/** Makes one key for each property of a document. A `missing` source makes none, without an error. */
export interface DocumentInput extends ManyInput {
  kind: "document";
  source: SourceValue;
  format: Format;
}

/** One key that an entry makes. */
export interface Made {
  key: string;
  bytes: Uint8Array;
  /** The part of the entry that makes the key, for messages: `parameter /shop/db`. */
  origin: string;
}

interface Item {
  name: string;
  origin: string;
  /** @throws Refusal if it cannot be a key's value */
  bytes(): Uint8Array;
}

/**
 * Makes the keys of one entry of `dataFrom`.
 *
 * @returns the valid keys, all different, and the problems of the others
 */
export function makeMany(many: PathInput | DocumentInput, work = new Work()): { made: Made[]; problems: Problem[] } {
  const made = new Map<string, Made>();
  const problems: Problem[] = [];
  const attempt = (what: string, make: () => void) => {
    try {
      make();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problems.push({ reason: error.reason, message: `${many.entry}: ${what}${error.message}` });
    }
  };

  attempt("", () => {
    const items = many.kind === "path" ? membersOf(many) : propertiesOfDocument(many, work);
    const isMissing = many.kind === "document" && many.source.state === "missing";
    if (items.length === 0 && !many.allowEmpty && !isMissing) throw empty(many);
    const keyOf = keyRules(many.rename, many.kind === "path" ? many.path : undefined, work);
    for (const { name, origin, bytes } of items) {
      attempt(`${origin}: `, () => {
        const key = keyOf(name);
        const other = made.get(key);
        if (other) {
          const message = `it comes to the key ${key}, as ${other.origin} does; change one of them with rename`;
          throw new Refusal("KeyConflict", message);
        }
        made.set(key, { key, bytes: bytes(), origin });
      });
    }
  });

  const omitted = problems.length - maxProblems;
  if (omitted > 0) {
    problems.length = maxProblems;
    problems.push({ reason: problems[0]!.reason, message: `${many.entry}: ${omitted} more like these` });
  }
  return { made: [...made.values()], problems };
}

function membersOf({ members }: PathInput): Item[] {
  return members.map(({ name, bytes }) => ({ name, origin: `parameter ${name}`, bytes: () => bytes }));
}

function propertiesOfDocument({ source, format, nullValues = "Fail" }: DocumentInput, work: Work): Item[] {
  if (source.state === "missing") return [];
  const properties = parseDocument(format, textOf(source.bytes), work);
  const numbered = [...properties].map(([name, text], index) => ({ name, text, index }));
  const taken = nullValues === "Omit" ? numbered.filter(({ text }) => text !== null) : numbered;
  return taken.map(({ name, text, index }) => ({
    name,
    // By number: if the text has another format than declared, an apparent name may be a part of the secret.
    origin: `property ${index + 1} of the ${format}`,
    bytes: () => {
      if (text !== null) return bytesOf(text);
      if (nullValues === "Empty") return bytesOf("");
      throw invalid("it is null: set nullValues to Omit, or to Empty for an empty value");
    },
  }));
}

function parseDocument(format: Format, text: string, work: Work): Map<string, string | null> {
  switch (format) {
    case "JSON":
      return propertiesOf(parseJson(text, work));
    case "YAML":
      return propertiesOfYaml(text, work);
    case "Dotenv":
      work.spend(2 * text.length);
      return parseDotenv(text);
    case "StringList":
      work.spend(2 * text.length);
      return parseStringList(text);
  }
}

function empty(many: PathInput | DocumentInput): Refusal {
  const what = many.kind === "path" ? emptyPath(many) : `the ${many.format} has no property`;
  return new Refusal("EmptyResult", `${what}; set allowEmpty: true where that is as it should be`);
}

function emptyPath({ path, tags }: PathInput): string {
  if (!tags) return `no parameter is taken from ${path}`;
  const wanted = tags.map(([key, value]) => `${key}=${value}`).join(", ");
  return `no parameter is taken from ${path} with the tags ${wanted}, as ssm:DescribeParameters lists them; check the tags`;
}
