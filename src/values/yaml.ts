import { isLosslessNumber, LosslessNumber } from "lossless-json";
import { isAlias, isMap, isNode, isScalar, isSeq, type Node, parseDocument, type YAMLMap } from "yaml";
import { type Json, textOfJson } from "./json.ts";
import { maxBytes, maxDepth, maxYamlLength } from "./limits.ts";
import { invalid, Refusal } from "./refusal.ts";
import { placeOf } from "./text.ts";
import { Work } from "./work.ts";

/** Units of work for a character of YAML: the cost cannot be estimated from the text; at worst it is 18 µs. */
const unitsACharacter = 180;

/** Maximum nodes of a document after its aliases are expanded. */
const maxNodes = 100_000;

/**
 * Reads the properties of one YAML 1.2 document, a mapping, under the core schema. It refuses duplicate keys, tags
 * outside the core schema, a `%YAML` directive for another version, keys that are not scalars, nesting over 100 levels,
 * a text over 64 KiB, and aliases that expand to more than 100,000 nodes or 1 MiB of text. `<<` is an ordinary key.
 * A number keeps its spelling (`007`, `1.50`, `0x1F`); inside a nested mapping or list it becomes a JSON number with
 * every digit.
 *
 * @throws Refusal with the position of the first error
 */
export function propertiesOfYaml(text: string, work = new Work()): Map<string, string | null> {
  if (text.length > maxYamlLength) {
    throw new Refusal(
      "TooLarge",
      `the YAML has ${text.length} characters, and at most ${maxYamlLength} are read; JSON may be larger`,
    );
  }
  work.spend(unitsACharacter * text.length);
  const document = parseQuietly(text);
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault) throw invalid(`not YAML that can be used: ${fault.code} at ${placeOf(text, fault.pos[0])}`);
  if (document.directives?.yaml.version !== "1.2") throw invalid("only YAML 1.2 is read: remove the %YAML directive");
  return new Reading(text).properties(document.contents);
}

function parseQuietly(text: string) {
  try {
    return parseDocument(text, {
      version: "1.2",
      schema: "core",
      merge: false,
      resolveKnownTags: false,
      strict: true,
      // The library's own check is quadratic: it compares each key with every other.
      uniqueKeys: false,
      prettyErrors: false,
      // "silent" would also suppress the error about a second document.
      logLevel: "error",
    });
  } catch {
    // Usually a stack overflow.
    throw invalid("not YAML that can be used: it is nested too deep");
  }
}

/** One walk over a document's nodes, in text order, so that an alias resolves to the last anchor before it. */
class Reading {
  readonly #text: string;
  readonly #anchors = new Map<string, Node>();
  readonly #sources = new WeakMap<LosslessNumber, string>();
  #nodes = 0;
  #characters = 0;

  constructor(text: string) {
    this.#text = text;
  }

  properties(node: unknown): Map<string, string | null> {
    if (!isMap(node)) throw invalid("the YAML is not a mapping, whose properties could be keys");
    const members = [...this.#members(node, 0)];
    return new Map(members.map(([name, value]) => [name, this.#written(value) ?? textOfJson(value)]));
  }

  #read(node: unknown, depth: number): Json {
    this.#nodes++;
    if (this.#nodes > maxNodes || this.#characters > maxBytes) {
      throw invalid(`not YAML that can be used: with its aliases it has over ${maxNodes} parts or 1 MiB`);
    }
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (!target) throw this.#fault("an alias without its anchor", node);
      return this.#read(target, depth);
    }
    if (isScalar(node)) {
      if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
      return this.#scalar(node.value, node.source ?? "", node);
    }
    if (!isMap(node) && !isSeq(node)) return null;
    if (depth === maxDepth) throw this.#fault(`nesting over ${maxDepth} levels deep`, node);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    if (isSeq(node)) return node.items.map((item) => this.#read(item, depth + 1));
    return Object.assign(Object.create(null), Object.fromEntries(this.#members(node, depth)));
  }

  #members(node: YAMLMap, depth: number): Map<string, Json> {
    const members = new Map<string, Json>();
    for (const { key, value } of node.items) {
      const name = this.#key(key, node);
      if (members.has(name)) throw this.#fault("a key that comes twice", isNode(key) ? key : node);
      members.set(name, this.#read(value, depth + 1));
    }
    return members;
  }

  /** Returns a number as written in the document. */
  #written(value: Json): string | undefined {
    return isLosslessNumber(value) ? this.#sources.get(value) : undefined;
  }

  #key(node: unknown, parent: Node): string {
    const key = this.#read(node, maxDepth);
    if (typeof key === "string") return key;
    if (typeof key === "boolean") return String(key);
    const written = this.#written(key);
    if (written === undefined) throw this.#fault("a key that is not text", isNode(node) ? node : parent);
    return written;
  }

  #scalar(value: unknown, source: string, node: Node): Json {
    if (typeof value === "string") {
      this.#characters += value.length;
      return value;
    }
    if (typeof value === "boolean") return value;
    if (typeof value !== "number") return null;
    const digits = digitsOf(source);
    if (digits === undefined) throw this.#fault("a number that JSON cannot write, such as .inf,", node);
    const number = new LosslessNumber(digits);
    this.#characters += source.length;
    this.#sources.set(number, source);
    return number;
  }

  #fault(what: string, node: Node) {
    return invalid(`not YAML that can be used: ${what} at ${placeOf(this.#text, node.range?.[0] ?? 0)}`);
  }
}

/**
 * Writes a number of YAML's core schema (https://yaml.org/spec/1.2.2/#1032-tag-resolution) as a JSON number with every
 * digit.
 *
 * @returns undefined for infinity and NaN
 */
function digitsOf(source: string): string | undefined {
  if (/^0(?:o[0-7]+|x[0-9a-fA-F]+)$/.test(source)) return BigInt(source).toString();
  const parts = /^([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d+))?$/.exec(source);
  if (!parts) return undefined;
  const [, sign, whole = "", fraction = "", exponent] = parts;
  const digits = whole.replace(/^0+(?=\d)/, "") || "0";
  return `${sign === "-" ? "-" : ""}${digits}${fraction && `.${fraction}`}${exponent === undefined ? "" : `e${exponent}`}`;
}
