import type { compile } from "@jmespath-community/jmespath";
import { compareNumber, isLosslessNumber, LosslessNumber } from "lossless-json";
import { type Argument, call } from "./jmespath-functions.ts";
import { isObject, type Json, type JsonObject } from "./json.ts";
import { maxBytes, maxDepth } from "./limits.ts";
import { invalid } from "./refusal.ts";
import type { Work } from "./work.ts";

/** A parsed expression. */
export type Expression = ReturnType<typeof compile>;

/**
 * Maximum number of nodes visited, values compared and characters made in one evaluation: some tens of milliseconds.
 * It allows a few walks over a 1 MiB document, but not a projection inside a projection over 120 items.
 */
const maxSteps = 500_000;

/** One evaluation: its document and the work done so far. */
export class Evaluation {
  readonly #root: Json;
  readonly #work: Work;
  #steps = 0;
  /** Caches the names of visited objects: in V8, even a check for emptiness takes time proportional to all names. */
  readonly #names = new WeakMap<JsonObject, string[]>();
  /** Values of the expression's literals. */
  readonly #literals = new Map<Expression, Json>();

  constructor(root: Json, work: Work) {
    this.#root = root;
    this.#work = work;
  }

  /** Evaluates an expression on the document, and bounds the size of the result. */
  run(expression: Expression): Json {
    const result = this.visit(expression, this.#root);
    this.measure(result);
    return result;
  }

  /** Counts work before it is done. */
  spend(steps: number): void {
    this.#steps += steps;
    this.#work.spend(2 * steps);
    if (this.#steps > maxSteps) throw invalid("it takes too many steps on this document; take less with it");
  }

  /**
   * Bounds the serialized size of a value: a shared part counts each time it occurs.
   *
   * @returns the total characters of its names, strings and numbers
   */
  measure(value: Json): number {
    const sum = { characters: 0 };
    this.#measure(value, 0, sum);
    return sum.characters;
  }

  /** Returns the names of an object's members in document order; their cost counts once per object. */
  namesOf(object: JsonObject): readonly string[] {
    let names = this.#names.get(object);
    if (!names) {
      names = Object.keys(object);
      this.#names.set(object, names);
      this.spend(names.length);
    }
    return names;
  }

  /** Returns the values of an object's members, in the order of their names. */
  valuesOf(object: JsonObject): Json[] {
    const names = this.namesOf(object);
    this.spend(names.length);
    return names.map((name) => object[name]!);
  }

  /** JMESPath's truth: null, false, and an empty string, array or object are false. */
  isTrue(value: Json): boolean {
    if (value === null || value === false || value === "") return false;
    if (Array.isArray(value)) return value.length > 0;
    return !isObject(value) || this.namesOf(value).length > 0;
  }

  /** Compares numbers by value: negative, 0 or positive, as `a` is less than, equal to or greater than `b`. */
  compareNumbers(a: LosslessNumber, b: LosslessNumber): number {
    this.spend((a.value.length + b.value.length) >> 3);
    return compareNumber(a.value, b.value);
  }

  /** Reports whether two values are equal: numbers by value (`1.0` equals `1`), objects in any order of keys. */
  equals(a: Json, b: Json): boolean {
    this.spend(1);
    if (typeof a === "string" && typeof b === "string") {
      if (a.length === b.length) this.spend(a.length >> 6);
      return a === b;
    }
    if (isLosslessNumber(a)) return isLosslessNumber(b) && this.compareNumbers(a, b) === 0;
    if (Array.isArray(a)) {
      return Array.isArray(b) && a.length === b.length && a.every((item, index) => this.equals(item, b[index]!));
    }
    if (!isObject(a) || !isObject(b)) return a === b;
    const names = this.namesOf(a);
    return (
      names.length === this.namesOf(b).length &&
      names.every((name) => Object.hasOwn(b, name) && this.equals(a[name]!, b[name]!))
    );
  }

  /** Evaluates an expression on a value. */
  visit(node: Expression, value: Json): Json {
    this.spend(1);
    switch (node.type) {
      case "Field":
        return isObject(value) && Object.hasOwn(value, node.name) ? value[node.name]! : null;
      case "Identity":
      case "Current":
        return value;
      case "Root":
        return this.#root;
      case "Literal":
        return this.#literal(node);
      case "Subexpression": {
        const left = this.visit(node.left, value);
        return left === null ? null : this.visit(node.right, left);
      }
      case "IndexExpression":
      case "Pipe":
        return this.visit(node.right, this.visit(node.left, value));
      case "Index":
        return Array.isArray(value) ? (value.at(node.value) ?? null) : null;
      case "Slice":
        return Array.isArray(value) ? this.#slice(value, node.start, node.stop, node.step) : null;
      case "Projection":
        return this.#project(this.visit(node.left, value), node.right);
      case "ValueProjection": {
        const left = this.visit(node.left, value);
        return isObject(left) ? this.#project(this.valuesOf(left), node.right) : null;
      }
      case "FilterProjection": {
        const left = this.visit(node.left, value);
        if (!Array.isArray(left)) return null;
        const chosen = left.filter((item) => this.isTrue(this.visit(node.condition, item)));
        return this.#project(chosen, node.right);
      }
      case "Flatten": {
        const child = this.visit(node.child, value);
        if (!Array.isArray(child)) return null;
        // Count before flattening: many items may be the same large array.
        this.spend(child.reduce<number>((sum, item) => sum + (Array.isArray(item) ? item.length : 1), 0));
        return child.flat() as Json[];
      }
      case "Comparator":
        return this.#compare(node.name, this.visit(node.left, value), this.visit(node.right, value));
      case "OrExpression": {
        const left = this.visit(node.left, value);
        return this.isTrue(left) ? left : this.visit(node.right, value);
      }
      case "AndExpression": {
        const left = this.visit(node.left, value);
        return this.isTrue(left) ? this.visit(node.right, value) : left;
      }
      case "NotExpression":
        return !this.isTrue(this.visit(node.child, value));
      case "MultiSelectList":
        return value === null ? null : node.children.map((child) => this.visit(child, value));
      case "MultiSelectHash": {
        if (value === null) return null;
        this.spend(4 * node.children.length);
        const object: JsonObject = Object.create(null);
        for (const child of node.children) object[child.name] = this.visit(child.value, value);
        return object;
      }
      case "Function":
        return call(
          this,
          node.name,
          node.children.map((child): Argument => {
            if (child.type !== "ExpressionReference") return { value: this.visit(child, value) };
            return { apply: (item) => this.visit(child.child, item) };
          }),
        );
      default:
        throw invalid("it uses what JMESPath has not (let, ? :, arithmetic), or & outside a function");
    }
  }

  #literal(node: Expression & { type: "Literal" }): Json {
    const known = this.#literals.get(node);
    if (known !== undefined) return known;
    const made = literal(node.value);
    this.#literals.set(node, made);
    return made;
  }

  #project(values: Json, expression: Expression): Json {
    if (!Array.isArray(values)) return null;
    const found: Json[] = [];
    for (const item of values) {
      const result = this.visit(expression, item);
      if (result !== null) found.push(result);
    }
    return found;
  }

  #slice(values: Json[], from: number | null, to: number | null, by: number | null): Json[] {
    const step = by ?? 1;
    if (step === 0) throw invalid("a slice cannot have the step 0");
    const { length } = values;
    const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
    const bound = (at: number) => Math.min(Math.max(at < 0 ? at + length : at, low), high);
    const start = from === null ? (step > 0 ? 0 : length - 1) : bound(from);
    const stop = to === null ? (step > 0 ? length : -1) : bound(to);
    this.spend(Math.max(0, Math.ceil((stop - start) / step)));
    const found: Json[] = [];
    for (let at = start; step > 0 ? at < stop : at > stop; at += step) found.push(values[at]!);
    return found;
  }

  #compare(name: "GT" | "LT" | "GTE" | "LTE" | "NE" | "EQ", a: Json, b: Json): Json {
    if (name === "EQ") return this.equals(a, b);
    if (name === "NE") return !this.equals(a, b);
    if (!isLosslessNumber(a) || !isLosslessNumber(b)) return null;
    const order = this.compareNumbers(a, b);
    if (name === "GT") return order > 0;
    if (name === "GTE") return order >= 0;
    return name === "LT" ? order < 0 : order <= 0;
  }

  #measure(value: Json, depth: number, sum: { characters: number }): void {
    this.spend(1);
    if (depth > maxDepth) throw invalid(`what it takes is nested over ${maxDepth} levels deep`);
    if (typeof value === "string") sum.characters += value.length;
    else if (isLosslessNumber(value)) sum.characters += value.value.length;
    else if (Array.isArray(value)) for (const item of value) this.#measure(item, depth + 1, sum);
    else if (isObject(value)) {
      for (const name of this.namesOf(value)) {
        sum.characters += name.length;
        this.#measure(value[name]!, depth + 1, sum);
      }
    }
    if (sum.characters > maxBytes) throw invalid("what it takes has over 1 MiB");
  }
}

function literal(value: unknown): Json {
  if (Array.isArray(value)) return value.map(literal);
  if (typeof value === "object" && value !== null) {
    const object: JsonObject = Object.create(null);
    for (const [name, member] of Object.entries(value)) object[name] = literal(member);
    return object;
  }
  if (typeof value !== "number") return value as Json;
  // The library parses a number as a double, which may lose digits.
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) {
    throw invalid("a number in it has more digits than can be kept; quote it as a string");
  }
  return new LosslessNumber(String(value));
}
