import { isLosslessNumber, type LosslessNumber, parse, stringify } from "lossless-json";
import { maxDepth } from "./limits.ts";
import { invalid } from "./refusal.ts";
import { placeOf } from "./text.ts";
import { Work } from "./work.ts";

/** Units of work for one character of JSON: to check its nesting, parse it and copy the result. */
const unitsACharacter = 3;

/** A JSON value: numbers keep their digits, and objects have no prototype, so that a lookup finds only own keys. */
export type Json = null | boolean | string | LosslessNumber | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

export function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isLosslessNumber(value);
}

/**
 * Parses JSON (RFC 8259). It refuses a duplicate key, even with equal values, and nesting over 100 levels.
 *
 * @throws Refusal with the position of the first error
 */
export function parseJson(text: string, work = new Work()): Json {
  work.spend(unitsACharacter * text.length);
  checkShape(text);
  let parsed: unknown;
  try {
    parsed = parse(text);
  } catch (error) {
    // The parser's messages quote the text and end with the offset: pass on only the offset.
    const offset = /at position (\d{1,9})$/.exec(error instanceof Error ? error.message : "")?.[1];
    throw invalid(`not JSON${offset === undefined ? "" : `: an error at ${placeOf(text, Number(offset))}`}`);
  }
  return withoutPrototype(parsed as Json);
}

/**
 * Writes a value as a key's text: a string unchanged, a number with its own digits, `true` or `false`, and an object or
 * array as compact JSON. Keys keep their order, except that integer keys come first, as in every JavaScript object.
 *
 * @returns null for null
 */
export function textOfJson(value: Json): string | null {
  return value === null || typeof value === "string" ? value : stringify(value)!;
}

/**
 * Returns the properties of an object as names and texts.
 *
 * @throws Refusal if the value is not an object
 */
export function propertiesOf(value: Json): Map<string, string | null> {
  if (!isObject(value)) throw invalid("the JSON is not an object, whose properties could be keys");
  return new Map(Object.entries(value).map(([key, member]) => [key, textOfJson(member)]));
}

/**
 * Refuses duplicate keys, and deep nesting before a recursive parser meets it. It reads only brackets and strings; the
 * parser checks the rest.
 */
function checkShape(text: string): void {
  /** For each open bracket: the keys so far, or undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  let expectsKey = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      const start = at;
      for (at++; at < text.length && text[at] !== '"'; at++) if (text[at] === "\\") at++;
      const keys = open.at(-1);
      if (!expectsKey || !keys) continue;
      expectsKey = false;
      const key = unquoted(text.slice(start, at + 1));
      if (keys.has(key))
        throw invalid(`not usable as JSON: a key that came before comes again at ${placeOf(text, start)}`);
      keys.add(key);
    } else if (character === "{" || character === "[") {
      if (open.length === maxDepth) {
        throw invalid(`nested over ${maxDepth} levels deep at ${placeOf(text, at)}`);
      }
      open.push(character === "{" ? new Set() : undefined);
      expectsKey = character === "{";
    } else if (character === "}" || character === "]") {
      open.pop();
      expectsKey = false;
    } else if (character === ",") expectsKey = open.at(-1) !== undefined;
  }
}

function unquoted(quoted: string): string {
  try {
    return JSON.parse(quoted);
  } catch {
    return quoted;
  }
}

function withoutPrototype(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutPrototype);
  if (!isObject(value)) return value;
  const bare: JsonObject = Object.create(null);
  for (const [key, member] of Object.entries(value)) bare[key] = withoutPrototype(member);
  return bare;
}
