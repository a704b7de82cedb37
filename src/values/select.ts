import { Failure } from "../runtime/failure.ts";
import { compilePattern, type Pattern, PatternWork } from "./pattern.ts";
import { Refusal } from "./refusal.ts";

/**
 * Chooses among the parameters below a path. Patterns are RE2, and match where they are found anywhere in the full
 * name: `^` and `$` tie one down. No `include` takes all; `exclude` wins.
 *
 * @param names full names
 * @returns those chosen, in the order given
 * @throws Failure (InvalidData, stalled) where a pattern is not RE2
 */
export function selectMembers(
  names: Iterable<string>,
  { include = [], exclude = [] }: { include?: readonly string[]; exclude?: readonly string[] },
): string[] {
  try {
    const taken = include.map((pattern, index) => compilePattern(pattern, `path.include[${index}]`));
    const left = exclude.map((pattern, index) => compilePattern(pattern, `path.exclude[${index}]`));
    const work = new PatternWork();
    const isIn = (name: string) => (pattern: Pattern) => {
      work.spend(pattern, name);
      return pattern.expression.test(name);
    };
    return [...names].filter((name) => (taken.length === 0 || taken.some(isIn(name))) && !left.some(isIn(name)));
  } catch (error) {
    if (error instanceof Refusal) throw new Failure(error.reason, "stalled", error.message);
    throw error;
  }
}
