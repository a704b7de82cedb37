import { RE2JS } from "re2js";
import { invalid } from "./refusal.ts";
import { Work } from "./work.ts";

/** Instructions of a compiled pattern: each may cost a step for each character that it is tried on. */
const maxInstructions = 600;
/** Instructions that a pattern may come to by a rough count of its text, before it is compiled. */
const maxEstimate = 10 * maxInstructions;
/** Compiled patterns that are kept, the last used. */
const keptPatterns = 256;

/** A user's pattern, on an engine whose cost is linear. */
export interface Pattern {
  readonly expression: RE2JS;
  readonly instructions: number;
  /** Which pattern it is, for messages: `path.include[0]`. */
  readonly field: string;
}

/** A match: where it begins and ends, and what its groups took. */
export interface Match {
  start: number;
  end: number;
  /** What a group of the pattern took, by its number; null where it took no part. */
  group(number: number): string | null;
}

const compiled = new Map<string, Omit<Pattern, "field">>();

/**
 * Compiles a user's pattern.
 *
 * @param field which pattern it is, for messages
 * @throws Refusal where it is not RE2 syntax (https://github.com/google/re2/wiki/Syntax), or is too large
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
 * Looks for the first match at or after `from`. Never by the library's `test`, which makes states of an automaton as it
 * goes: a hostile pattern has it make one a character, at a hundred times the cost.
 */
export function find({ expression, instructions }: Pattern, text: string, from: number, work: Work): Match | undefined {
  // Some 50 ns for each instruction and character at worst.
  work.spend(1 + ((instructions * (text.length - from + 1)) >> 1));
  const matcher = expression.matcher(text);
  if (!matcher.find(from)) return undefined;
  return { start: matcher.start(), end: matcher.end(), group: (number) => matcher.group(number) };
}

/**
 * Roughly the instructions that a pattern compiles to, from its text alone and in linear time: what a repetition repeats
 * counts as often as it may come.
 */
function estimate(pattern: string): number {
  /** Instructions of each group that is open, and of the last item in it. */
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
