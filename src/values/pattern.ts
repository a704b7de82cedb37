import { RE2JS } from "re2js";
import { invalid } from "./refusal.ts";

/** Instructions of a compiled pattern: each may cost a step for each character that it is tried on. */
const maxInstructions = 600;

/** Characters times instructions that one use of patterns, over all of its names, may cost: about a second at worst. */
const maxWork = 50_000_000;

/** A user's pattern, on an engine whose cost is linear. */
export interface Pattern {
  readonly expression: RE2JS;
  readonly instructions: number;
  /** Which pattern it is, for messages: `path.include[0]`. */
  readonly field: string;
}

/**
 * Compiles a user's pattern.
 *
 * @param field which pattern it is, for messages
 * @throws Refusal where it is not RE2 syntax (https://github.com/google/re2/wiki/Syntax), or is too large
 */
export function compilePattern(pattern: string, field: string): Pattern {
  let expression: RE2JS;
  try {
    expression = RE2JS.compile(pattern);
  } catch {
    throw invalid(`${field} is not an RE2 pattern; RE2 has no look-around and no back references`);
  }
  const instructions = expression.matcher("").programSize();
  if (instructions > maxInstructions)
    throw invalid(`${field} is too large; make its repetitions, such as {1,1000}, smaller`);
  return { expression, instructions, field };
}

/** Counts what patterns cost, so that many names and a large pattern together cannot hold the process up. */
export class PatternWork {
  #left = maxWork;

  /** @throws Refusal where trying `pattern` on `text` would be too much after all that was tried before */
  spend({ instructions, field }: Pattern, text: string): void {
    this.#left -= instructions * (text.length + 1);
    if (this.#left < 0) throw invalid(`${field} is too large for so many names; make its repetitions smaller`);
  }
}
