import { Failure } from "../runtime/failure.ts";
import { compilePattern, find, type Pattern } from "./pattern.ts";
import { Refusal } from "./refusal.ts";
import { Exhausted, inlineUnits, Work } from "./work.ts";

/** Patterns of a path: a pattern may match anywhere in the full name. */
export interface Selection {
  include?: readonly string[];
  exclude?: readonly string[];
}

/** Maximum characters times instructions that one use of patterns may cost over all names. */
const maxWork = 50_000_000;
/** Maximum cached verdicts, over all selections, and maximum cached selections. */
const kept = { verdicts: 200_000, selections: 1_000 };
/** Units of work before the event loop runs again: some 5 ms. */
const sliceUnits = 50_000;

/** Cached verdicts: by the selection's patterns, then by name, whether the name is selected. */
const verdicts = new Map<string, Map<string, boolean>>();
let verdictsKept = 0;

/**
 * Selects parameters below a path. Patterns are RE2, not anchored: use `^` and `$`. Without `include`, all names are
 * selected; `exclude` wins. Verdicts are cached; see `prepareSelection`.
 *
 * @param names full names
 * @returns the selected names, in the given order
 * @throws Failure (InvalidData, stalled) if a pattern is not RE2, or is too large for so many names; retry if so many
 *   names are new that `prepareSelection` must run first
 */
export function selectMembers(names: Iterable<string>, selection: Selection): string[] {
  const known = verdictsOf(selection);
  if (!known) return [...names];
  return failing(() => {
    const work = new Work(inlineUnits);
    const patterns = compilers(selection).map((compile) => compile(work));
    return [...names].filter((name) => {
      const verdict = known.get(name);
      if (verdict !== undefined) return verdict;
      const trying = judge(name, selection, patterns, work);
      let step = trying.next();
      while (!step.done) step = trying.next();
      return remember(known, name, step.value);
    });
  });
}

/**
 * Decides many names in advance, a few milliseconds at a time, so that `selectMembers` finds the verdicts in the cache.
 *
 * @throws Failure as `selectMembers` does
 */
export async function prepareSelection(names: Iterable<string>, selection: Selection): Promise<void> {
  const known = verdictsOf(selection);
  if (!known) return;
  const fresh = [...names].filter((name) => !known.has(name));
  if (fresh.length === 0) return;
  const slices = new Slices();
  const patterns: Pattern[] = [];
  for (const compile of compilers(selection)) {
    patterns.push(failing(() => compile(slices)));
    await slices.rest();
  }
  checkWork(patterns, fresh);
  for (const name of fresh) {
    const trying = judge(name, selection, patterns, slices);
    let step = trying.next();
    for (; !step.done; step = trying.next()) await slices.rest();
    remember(known, name, step.value);
  }
}

/** @throws Failure if patterns are too large for so many names */
function checkWork(patterns: readonly Pattern[], names: readonly string[]): void {
  const characters = names.reduce((sum, name) => sum + name.length + 1, 0);
  let left = maxWork;
  for (const { instructions, field } of patterns) {
    left -= instructions * characters;
    if (left >= 0) continue;
    const message = `${field} is too large for so many names; make its repetitions smaller`;
    throw new Failure("InvalidData", "stalled", message);
  }
}

/**
 * Tries patterns on a name, `include` before `exclude`; yields after each pattern.
 *
 * @returns whether the name is selected
 */
function* judge(
  name: string,
  { include = [] }: Selection,
  patterns: readonly Pattern[],
  work: Work,
): Generator<void, boolean> {
  let isTaken = include.length === 0;
  for (const [index, pattern] of patterns.entries()) {
    const isInclude = index < include.length;
    // After one include matches, the other includes cannot change the verdict; likewise for exclude.
    if (isInclude === isTaken) continue;
    if (find(pattern, name, 0, work)) isTaken = isInclude;
    yield;
  }
  return isTaken;
}

/** Unlimited work in slices: the event loop runs between two slices. */
class Slices extends Work {
  #spent = 0;

  override spend(units: number): void {
    this.#spent += units;
  }

  /** If the slice is used up, lets the event loop run. */
  async rest(): Promise<void> {
    if (this.#spent < sliceUnits) return;
    this.#spent = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function verdictsOf({ include = [], exclude = [] }: Selection): Map<string, boolean> | undefined {
  if (include.length + exclude.length === 0) return undefined;
  const key = JSON.stringify([include, exclude]);
  const known = verdicts.get(key) ?? new Map<string, boolean>();
  if (!verdicts.has(key) && verdicts.size >= kept.selections) forgetVerdicts();
  verdicts.set(key, known);
  return known;
}

function remember(known: Map<string, boolean>, name: string, verdict: boolean): boolean {
  if (verdictsKept >= kept.verdicts) forgetVerdicts();
  known.set(name, verdict);
  verdictsKept += 1;
  return verdict;
}

function forgetVerdicts(): void {
  for (const each of verdicts.values()) each.clear();
  verdicts.clear();
  verdictsKept = 0;
}

/** Returns one compile function per pattern, `include` before `exclude`. */
function compilers({ include = [], exclude = [] }: Selection): ((work: Work) => Pattern)[] {
  const of = (list: readonly string[], field: string) =>
    list.map((pattern, index) => (work: Work) => compilePattern(pattern, `path.${field}[${index}]`, work));
  return [...of(include, "include"), ...of(exclude, "exclude")];
}

function failing<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof Refusal) throw new Failure(error.reason, "stalled", error.message);
    if (error instanceof Exhausted) {
      throw new Failure("InvalidData", "retry", "include and exclude have not been tried on all names yet");
    }
    throw error;
  }
}
