import { compareNumber, isLosslessNumber, type LosslessNumber } from "lossless-json";
import { isObject, type Json, type JsonObject } from "./json.ts";
import { maxBytes, maxDepth } from "./limits.ts";
import { invalid } from "./refusal.ts";
import type { Work } from "./work.ts";

/**
 * Maximum number of nodes visited, values compared and characters made in one evaluation: some tens of milliseconds.
 * It allows a few walks over a 1 MiB document, but not a projection inside a projection over 120 items.
 */
const maxSteps = 500_000;

/** The operations on values of one evaluation. Each counts its work, which is bounded. */
export class Operations {
  readonly #work: Work;
  #steps = 0;
  /** Caches the names of visited objects: in V8, even a check for emptiness takes time proportional to all names. */
  readonly #names = new WeakMap<JsonObject, string[]>();

  constructor(work: Work) {
    this.#work = work;
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
