import { isLosslessNumber, LosslessNumber } from "lossless-json";
import { isAlias, isMap, isScalar, isSeq, type Node, parseDocument } from "yaml";
import type { Json, JsonObject } from "./json.ts";
import { maxBytes, maxDepth } from "./limits.ts";
import { invalid } from "./refusal.ts";
import { placeOf } from "./text.ts";

/** Nodes that a document may have once its aliases stand for what they name. */
const maxNodes = 100_000;

/**
 * Parses one YAML 1.2 document under the core schema. Refused are: keys that come twice, tags beyond the core schema's,
 * a `%YAML` directive for another version, keys that are not scalars, nesting over 100 levels, and aliases that make
 * more than 100,000 nodes or 1 MiB of text. `<<` is a key like another. Numbers keep the digits that they are written with.
 *
 * @throws Refusal with the place of the first error
 */
export function parseYaml(text: string): Json {
  const document = parseQuietly(text);
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault) throw invalid(`not YAML that can be used: ${fault.code} at ${placeOf(text, fault.pos[0])}`);
  if (document.directives?.yaml.version !== "1.2") throw invalid("only YAML 1.2 is read: remove the %YAML directive");
  return new Reading(text).read(document.contents, 0);
}

function parseQuietly(text: string) {
  try {
    return parseDocument(text, {
      version: "1.2",
      schema: "core",
      merge: false,
      resolveKnownTags: false,
      strict: true,
      // Its own check compares each key with every other.
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: "silent",
    });
  } catch {
    // A stack that overflows, above all.
    throw invalid("not YAML that can be used: it is nested too deep");
  }
}

/** One walk over a document's nodes, in the order of the text, so that an alias finds the last anchor before it. */
class Reading {
  readonly #text: string;
  readonly #anchors = new Map<string, Node>();
  #nodes = 0;
  #characters = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(node: unknown, depth: number): Json {
    this.#nodes++;
    if (this.#nodes > maxNodes || this.#characters > maxBytes) {
      throw invalid("not YAML that can be used: its aliases make it too large");
    }
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (!target) throw this.#fault("an alias without its anchor", node);
      return this.read(target, depth);
    }
    if (isScalar(node)) {
      if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
      return this.#scalar(node.value, node.source ?? "", node);
    }
    if (!isMap(node) && !isSeq(node)) return null;
    if (depth === maxDepth) throw this.#fault(`nesting over ${maxDepth} levels deep`, node);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    if (isSeq(node)) return node.items.map((item) => this.read(item, depth + 1));
    const members: JsonObject = Object.create(null);
    for (const { key, value } of node.items) {
      const name = this.#key(key as Node | null, node);
      if (Object.hasOwn(members, name)) throw this.#fault("a key that comes twice", (key as Node | null) ?? node);
      members[name] = this.read(value, depth + 1);
    }
    return members;
  }

  #key(node: Node | null, parent: Node): string {
    const key = this.read(node, maxDepth);
    if (typeof key === "string") return key;
    if (typeof key === "boolean") return String(key);
    if (isLosslessNumber(key)) return key.value;
    throw this.#fault("a key that is not text", node ?? parent);
  }

  #scalar(value: unknown, source: string, node: Node): Json {
    if (typeof value === "string") {
      this.#characters += value.length;
      return value;
    }
    if (typeof value === "boolean") return value;
    if (typeof value !== "number") return null;
    if (!Number.isFinite(value) && !/\d/.test(source))
      throw this.#fault("an infinite number, or one that is not a number", node);
    this.#characters += source.length;
    return new LosslessNumber(digitsOf(source));
  }

  #fault(what: string, node: Node) {
    return invalid(`not YAML that can be used: ${what} at ${placeOf(this.#text, node.range?.[0] ?? 0)}`);
  }
}

/** Writes a number of YAML's core schema (https://yaml.org/spec/1.2.2/#1032-tag-resolution) as JSON would, with every digit. */
function digitsOf(source: string): string {
  if (/^0[ox]/.test(source)) return BigInt(source).toString();
  const [, sign, whole, fraction, exponent] = /^([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d+))?$/.exec(source)!;
  const digits = whole!.replace(/^0+(?=\d)/, "") || "0";
  const minus = sign === "-" ? "-" : "";
  return `${minus}${digits}${fraction ? `.${fraction}` : ""}${exponent === undefined ? "" : `e${exponent}`}`;
}
