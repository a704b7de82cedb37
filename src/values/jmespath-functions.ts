import { isLosslessNumber, LosslessNumber } from "lossless-json";
import type { Operations } from "./jmespath-operations.ts";
import { isObject, type Json, type JsonObject, textOfJson } from "./json.ts";
import { invalid } from "./refusal.ts";

/** An argument of a function: a value, or an expression (`&name`) that the function applies to values. */
export type Argument = { value: Json } | { apply(item: Json): Json };

type Call = (args: Arguments, operations: Operations) => Json;

/** The arguments of one call, checked against the types of the function's signature. */
class Arguments {
  readonly #name: string;
  readonly #args: readonly Argument[];

  constructor(name: string, args: readonly Argument[]) {
    this.#name = name;
    this.#args = args;
  }

  get count(): number {
    return this.#args.length;
  }

  wrong(index: number, type: string) {
    return invalid(`argument ${index + 1} of ${this.#name}() is not ${type}`);
  }

  any(index: number): Json {
    const argument = this.#args[index];
    if (!argument || !("value" in argument)) throw this.wrong(index, "a value");
    return argument.value;
  }

  text(index: number): string {
    const value = this.any(index);
    if (typeof value !== "string") throw this.wrong(index, "a string");
    return value;
  }

  list(index: number): Json[] {
    const value = this.any(index);
    if (!Array.isArray(value)) throw this.wrong(index, "an array");
    return value;
  }

  object(index: number): JsonObject {
    const value = this.any(index);
    if (!isObject(value)) throw this.wrong(index, "an object");
    return value;
  }

  expression(index: number): (item: Json) => Json {
    const argument = this.#args[index];
    if (!argument || !("apply" in argument)) throw this.wrong(index, "an expression, such as &name");
    return argument.apply;
  }
}

/** Functions by name, with their number of arguments: https://jmespath.org/specification.html#built-in-functions */
const functions = new Map<string, { least: number; most: number; call: Call }>([
  ["contains", { least: 2, most: 2, call: contains }],
  ["ends_with", { least: 2, most: 2, call: (args) => args.text(0).endsWith(args.text(1)) }],
  ["join", { least: 2, most: 2, call: join }],
  ["keys", { least: 1, most: 1, call: (args, operations) => operations.namesOf(args.object(0)).slice() }],
  ["length", { least: 1, most: 1, call: length }],
  ["map", { least: 2, most: 2, call: (args) => args.list(1).map(args.expression(0)) }],
  ["max", { least: 1, most: 1, call: (args, operations) => extreme(args, operations, 1) }],
  ["max_by", { least: 2, most: 2, call: (args, operations) => extreme(args, operations, 1) }],
  ["merge", { least: 1, most: Infinity, call: merge }],
  ["min", { least: 1, most: 1, call: (args, operations) => extreme(args, operations, -1) }],
  ["min_by", { least: 2, most: 2, call: (args, operations) => extreme(args, operations, -1) }],
  ["not_null", { least: 1, most: Infinity, call: notNull }],
  ["reverse", { least: 1, most: 1, call: reverse }],
  ["sort", { least: 1, most: 1, call: sort }],
  ["sort_by", { least: 2, most: 2, call: sort }],
  ["starts_with", { least: 2, most: 2, call: (args) => args.text(0).startsWith(args.text(1)) }],
  ["to_array", { least: 1, most: 1, call: toArray }],
  ["to_number", { least: 1, most: 1, call: toNumber }],
  ["to_string", { least: 1, most: 1, call: toText }],
  ["type", { least: 1, most: 1, call: (args) => typeOf(args.any(0)) }],
  ["values", { least: 1, most: 1, call: (args, operations) => operations.valuesOf(args.object(0)) }],
]);

/**
 * Calls a function.
 *
 * @throws Refusal if the function is unknown, or an argument has the wrong type
 */
export function call(operations: Operations, name: string, args: readonly Argument[]): Json {
  const known = functions.get(name);
  if (!known) throw invalid(`it calls ${name}(), which there is not: ${[...functions.keys()].join(", ")}`);
  if (args.length < known.least || args.length > known.most) {
    throw invalid(`${name}() takes ${known.least === known.most ? "" : "at least "}${known.least} arguments`);
  }
  for (const argument of args) if ("value" in argument) operations.spend(breadth(argument.value, operations));
  return known.call(new Arguments(name, args), operations);
}

/** Units of work to read a value once. */
function breadth(value: Json, operations: Operations): number {
  if (typeof value === "string" || Array.isArray(value)) return value.length;
  if (isLosslessNumber(value)) return value.value.length;
  return isObject(value) ? operations.namesOf(value).length : 1;
}

function contains(args: Arguments, operations: Operations): Json {
  const where = args.any(0);
  const what = args.any(1);
  if (Array.isArray(where)) return where.some((item) => operations.equals(item, what));
  if (typeof what !== "string") return false;
  const text = args.text(0);
  // In the worst case, the search compares the whole search text at every position.
  operations.spend((text.length * Math.min(what.length, text.length)) >> 4);
  return text.includes(what);
}

function join(args: Arguments, operations: Operations): Json {
  const glue = args.text(0);
  const parts = args.list(1).map((part) => {
    if (typeof part !== "string") throw args.wrong(1, "an array of strings");
    operations.spend(part.length + glue.length);
    return part;
  });
  return parts.join(glue);
}

function length(args: Arguments, operations: Operations): Json {
  const value = args.any(0);
  if (typeof value === "string") return new LosslessNumber(String([...value].length));
  return new LosslessNumber(String(Array.isArray(value) ? value.length : operations.namesOf(args.object(0)).length));
}

function merge(args: Arguments, operations: Operations): Json {
  const merged: JsonObject = Object.create(null);
  for (let index = 0; index < args.count; index++) {
    const object = args.object(index);
    for (const name of operations.namesOf(object)) merged[name] = object[name]!;
  }
  return merged;
}

function notNull(args: Arguments): Json {
  for (let index = 0; index < args.count; index++) if (args.any(index) !== null) return args.any(index);
  return null;
}

function reverse(args: Arguments): Json {
  const value = args.any(0);
  return typeof value === "string" ? [...value].reverse().join("") : args.list(0).toReversed();
}

/** Implements `max`, `max_by`, `min` and `min_by`. They return the first of equal items. */
function extreme(args: Arguments, operations: Operations, sign: 1 | -1): Json {
  const [first, ...others] = ranked(args, operations);
  if (!first) return null;
  return others.reduce((best, each) => (sign * order(each, best, operations) > 0 ? each : best), first).item;
}

/** Implements `sort` and `sort_by`. Equal items keep their order. */
function sort(args: Arguments, operations: Operations): Json {
  const items = ranked(args, operations);
  // A comparison reads the common prefix of both strings.
  const longest = items.reduce((most, { rank }) => Math.max(most, Buffer.isBuffer(rank) ? rank.length : 1), 1);
  operations.spend(items.length * Math.ceil(Math.log2(items.length + 1)) * Math.min(longest, 64));
  return items.sort((a, b) => order(a, b, operations)).map(({ item }) => item);
}

/** An item with its sort key: a number, or a string's UTF-8 bytes, which sort by code point. */
interface Ranked {
  item: Json;
  rank: Buffer | LosslessNumber;
}

/** Returns items with their sort keys: all strings or all numbers. */
function ranked(args: Arguments, operations: Operations): Ranked[] {
  const by = args.count === 2 ? args.expression(1) : (item: Json) => item;
  const items = args.list(0).map((item) => {
    const rank = by(item);
    if (typeof rank !== "string" && !isLosslessNumber(rank)) throw args.wrong(0, "an array of strings or of numbers");
    operations.spend(typeof rank === "string" ? 1 + (rank.length >> 3) : 1);
    return { item, rank: typeof rank === "string" ? Buffer.from(rank) : rank };
  });
  if (new Set(items.map(({ rank }) => Buffer.isBuffer(rank))).size > 1)
    throw args.wrong(0, "an array of strings or of numbers");
  return items;
}

function order({ rank: a }: Ranked, { rank: b }: Ranked, operations: Operations): number {
  if (isLosslessNumber(a) && isLosslessNumber(b)) return operations.compareNumbers(a, b);
  const [left, right] = [a as Buffer, b as Buffer];
  operations.spend(1 + (Math.min(left.length, right.length) >> 6));
  return Buffer.compare(left, right);
}

function toArray(args: Arguments): Json {
  const value = args.any(0);
  return Array.isArray(value) ? value : [value];
}

function toNumber(args: Arguments): Json {
  const value = args.any(0);
  if (isLosslessNumber(value)) return value;
  const isNumber = typeof value === "string" && /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(value);
  return isNumber ? new LosslessNumber(value) : null;
}

function toText(args: Arguments, operations: Operations): Json {
  const value = args.any(0);
  operations.spend(operations.measure(value));
  return textOfJson(value) ?? "null";
}

function typeOf(value: Json): string {
  if (value === null) return "null";
  if (isLosslessNumber(value)) return "number";
  return Array.isArray(value) ? "array" : typeof value;
}
