import { parseDotenv } from "./dotenv.ts";
import { parseJson, propertiesOf } from "./json.ts";
import { type KeyRules, keyRules } from "./keys.ts";
import { invalid, type Problem, Refusal } from "./refusal.ts";
import { parseStringList } from "./string-list.ts";
import { bytesOf, textOf } from "./text.ts";
import { Work } from "./work.ts";
import { propertiesOfYaml } from "./yaml.ts";

/** Problems of one entry that are spelled out; the rest is counted. */
const maxProblems = 10;

/** What one source came to; `missing` is an optional one without a default, whose key is left out. */
export type SourceValue = { state: "value"; bytes: Uint8Array } | { state: "missing" };

/** One parameter below a path. */
export interface Member {
  /** The parameter's full name. */
  name: string;
  bytes: Uint8Array;
}

/** What is done with a property that is null: it is an error, is left out, or becomes an empty value. */
export type NullValues = "Fail" | "Omit" | "Empty";

interface ManyInput {
  /** How messages call the entry: `dataFrom[0]`. */
  entry: string;
  rename?: KeyRules;
  /** What a key means that an earlier entry of `dataFrom` has made: `Fail` when left out. */
  onConflict?: "Fail" | "Override";
  /** What a property means that is null: `Fail` when left out. */
  nullValues?: NullValues;
  /** Whether an entry without any key is fine: false when left out. */
  allowEmpty?: boolean;
}

/** One key for each parameter below a path, which is stripped from the names unless `rename.stripPrefix` says otherwise. */
export interface PathInput extends ManyInput {
  kind: "path";
  path: string;
  /** Tags that every member carries, where only such were asked for; for messages. */
  tags?: readonly (readonly [string, string])[];
  members: Member[];
}

export type Format = "JSON" | "YAML" | "Dotenv" | "StringList";

/** One key for each property of a document. A `missing` source has none, and that is fine. */
export interface DocumentInput extends ManyInput {
  kind: "document";
  source: SourceValue;
  format: Format;
}

/** One key that an entry makes. */
export interface Made {
  key: string;
  bytes: Uint8Array;
  /** What of the entry it comes from, for messages: `parameter /shop/db`. */
  origin: string;
}

interface Item {
  name: string;
  origin: string;
  /** @throws Refusal where it cannot be a key's value */
  bytes(): Uint8Array;
}

/**
 * Makes the keys of one entry of `dataFrom`.
 *
 * @returns the keys that could be made, all different, and what is wrong with the others
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
    // By its number: in a text of another form than is said, what looks like a name may be a part of the secret.
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
