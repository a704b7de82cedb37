import type { compile } from "@jmespath-community/jmespath";
import { isLosslessNumber, LosslessNumber } from "lossless-json";
import { type Argument, call } from "./jmespath-functions.ts";
import { Operations } from "./jmespath-operations.ts";
import { isObject, type Json, type JsonObject } from "./json.ts";
import { invalid } from "./refusal.ts";
import type { Work } from "./work.ts";

/** A parsed expression. */
export type Expression = ReturnType<typeof compile>;

/** One evaluation: its document and the work done so far. */
export class Evaluation extends Operations {
  readonly #root: Json;
  /** Values of the expression's literals. */
  readonly #literals = new Map<Expression, Json>();

  constructor(root: Json, work: Work) {
    super(work);
    this.#root = root;
  }

  /** Evaluates an expression on the document, and bounds the size of the result. */
  run(expression: Expression): Json {
    const result = this.visit(expression, this.#root);
    this.measure(result);
    return result;
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
