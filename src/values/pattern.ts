import { RE2JS } from "re2js";
import { invalid } from "./refusal.ts";
import { Work } from "./work.ts";

/** Maximum instructions of a compiled pattern: each one may cost a step per character of the text. */
const maxInstructions = 600;
/** Maximum instructions of a pattern by a rough estimate from its text, before it is compiled. */
const maxEstimate = 10 * maxInstructions;
/** Maximum compiled patterns in the cache, which evicts the least recently used first. */
const keptPatterns = 256;

/** A user's pattern, compiled for an engine with linear cost. */
export interface Pattern {
  readonly expression: RE2JS;
  readonly instructions: number;
  /** The pattern's field, for messages: `path.include[0]`. */
  readonly field: string;
}

/** A match: its start, its end and the text of its groups. */
export interface Match {
  start: number;
  end: number;
  /** Returns the text of a group by number, or null if the group took no part. */
  group(number: number): string | null;
}

const compiled = new Map<string, Omit<Pattern, "field">>();

/**
 * Compiles a user's pattern.
 *
 * @param field the pattern's field, for messages
 * @throws Refusal if it is not RE2 syntax (https://github.com/google/re2/wiki/Syntax), or is too large
 */
export function compilePattern(pattern: string, field: string, work = new Work()): Pattern {
  const tooLarge = () => invalid(`${field} is too large; make its repetitions, such as {1,1000}, smaller`);
  let known = compiled.get(pattern);
  if (!known) {
    if (estimate(pattern) > maxEstimate) throw tooLarge();
    // A class such as \p{L} has hundreds of ranges, each of which (?i) doubles.
    work.spend(100 * pattern.length + 2_000 * pattern.split(/\\[pP]/).length);
    known = compile(pattern, field);
  }
  compiled.delete(pattern);
  if (known.instructions > maxInstructions) throw tooLarge();
  compiled.set(pattern, known);
  if (compiled.size > keptPatterns) compiled.delete(compiled.keys().next().value!);
  return { ...known, field };
}

function compile(pattern: string, field: string): Omit<Pattern, "field"> {
  try {
    const expression = RE2JS.compile(pattern);
    return { expression, instructions: expression.matcher("").programSize() };
  } catch {
    throw invalid(`${field} is not an RE2 pattern; RE2 has no look-around and no back references`);
  }
}

/**
 * Finds the first match at or after `from`. It does not use the library's `test`, which builds automaton states lazily:
 * a hostile pattern makes it build one per character, at a hundred times the cost.
 */
export function find({ expression, instructions }: Pattern, text: string, from: number, work: Work): Match | undefined {
  // At worst, some 50 ns for each instruction and character.
  work.spend(1 + ((instructions * (text.length - from + 1)) >> 1));
  const matcher = expression.matcher(text);
  if (!matcher.find(from)) return undefined;
  return { start: matcher.start(), end: matcher.end(), group: (number) => matcher.group(number) };
}

/**
 * Estimates the instructions of a compiled pattern from its text, in linear time: a repeated item counts as often as it
 * may occur.
 */
function estimate(pattern: string): number {
  /** For each open group: its instructions, and those of its last item. */
  const open = [{ sum: 0, last: 0 }];
  for (let at = 0; at < pattern.length; at++) {
    const group = open.at(-1)!;
    const item = (size: number) => {
      group.sum += size;
      group.last = size;
    };
    const character = pattern[at];
    if (character === "\\") {
      at++;
      item(1);
    } else if (character === "[") {
      const close = pattern.indexOf("]", at + 2);
      if (close > 0) at = close;
      item(1);
    } else if (character === "(") {
      open.push({ sum: 2, last: 0 });
    } else if (character === ")" && open.length > 1) {
      const { sum } = open.pop()!;
      const outer = open.at(-1)!;
      outer.sum += sum;
      outer.last = sum;
    } else if (character === "{") {
      const [text, least, most] = /^\{(\d{1,4})(?:,(\d{0,4}))?\}/.exec(pattern.slice(at, at + 12)) ?? [];
      if (text === undefined) {
        item(1);
        continue;
      }
      at += text.length - 1;
      const times = Math.max(Number(least), Number(most ?? 0), 1);
      group.sum += group.last * (times - 1) + times;
      group.last *= times;
    } else item(1);
  }
  return open.reduce((sum, group) => sum + group.sum, 0);
}
