import { Failure } from "../runtime/failure.ts";
import { compilePattern, find, type Pattern } from "./pattern.ts";
import { invalid, Refusal } from "./refusal.ts";
import { Exhausted, inlineUnits, Work } from "./work.ts";

/** Patterns of a path: they match where they are found anywhere in the full name. */
export interface Selection {
  include?: readonly string[];
  exclude?: readonly string[];
}

/** Characters times instructions that one use of patterns, over all of its names, may cost. */
const maxWork = 50_000_000;
/** Verdicts that are remembered, of all selections together. */
const keptVerdicts = 200_000;
/** Units of work between two turns of the event loop: some 5 ms. */
const sliceUnits = 50_000;

/** By the selection's patterns, then by name: whether it is taken. */
const verdicts = new Map<string, Map<string, boolean>>();
let kept = 0;

/**
 * Chooses among the parameters below a path. Patterns are RE2: `^` and `$` tie one down. No `include` takes all;
 * `exclude` wins. What was decided of a name is remembered; see `prepareSelection`.
 *
 * @param names full names
 * @returns those chosen, in the order given
 * @throws Failure (InvalidData, stalled) where a pattern is not RE2, or is too large for so many names; retry where so
 *   many names are new that they have to be prepared first
 */
export function selectMembers(names: Iterable<string>, selection: Selection): string[] {
  const known = verdictsOf(selection);
  if (!known) return [...names];
  return failing(() => {
    const isTaken = judge(selection, new Work(inlineUnits));
    return [...names].filter((name) => known.get(name) ?? remember(known, name, isTaken(name)));
  });
}

/**
 * Decides of many names beforehand, a few milliseconds at a time, so that `selectMembers` finds them remembered.
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
  for (const compile of patternsOf(selection)) {
    patterns.push(failing(() => compile(slices)));
    await slices.rest();
  }
  const characters = fresh.reduce((sum, name) => sum + name.length + 1, 0);
  let left = maxWork;
  for (const { instructions, field } of patterns) {
    left -= instructions * characters;
    if (left < 0) {
      const message = `${field} is too large for so many names; make its repetitions smaller`;
      throw new Failure("InvalidData", "stalled", message);
    }
  }
  const included = selection.include?.length ?? 0;
  for (const name of fresh) {
    let verdict = included === 0;
    for (const [index, pattern] of patterns.entries()) {
      // Once it is taken the rest of include says nothing, and once it is left out the rest of exclude.
      if (index < included ? verdict : !verdict) continue;
      if (find(pattern, name, 0, slices)) verdict = index < included;
      await slices.rest();
    }
    remember(known, name, verdict);
  }
}

/** Work that is done a slice at a time: it is never used up, and between two slices the event loop has its turn. */
class Slices extends Work {
  #spent = 0;

  override spend(units: number): void {
    this.#spent += units;
  }

  /** Waits for a turn of the event loop, where a slice is full. */
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
  verdicts.set(key, known);
  return known;
}

function remember(known: Map<string, boolean>, name: string, verdict: boolean): boolean {
  if (kept >= keptVerdicts) {
    for (const each of verdicts.values()) each.clear();
    verdicts.clear();
    kept = 0;
  }
  known.set(name, verdict);
  kept += 1;
  return verdict;
}

/** What compiles each pattern, `include` before `exclude`. */
function patternsOf({ include = [], exclude = [] }: Selection): ((work: Work) => Pattern)[] {
  const of = (list: readonly string[], field: string) =>
    list.map((pattern, index) => (work: Work) => compilePattern(pattern, `path.${field}[${index}]`, work));
  return [...of(include, "include"), ...of(exclude, "exclude")];
}

/** Compiles the patterns into what says of a name whether it is taken. */
function judge(selection: Selection, work: Work): (name: string) => boolean {
  const patterns = patternsOf(selection).map((compile) => compile(work));
  const { include = [] } = selection;
  const [taken, left] = [patterns.slice(0, include.length), patterns.slice(include.length)];
  const isIn = (name: string) => (pattern: Pattern) => find(pattern, name, 0, work) !== undefined;
  return (name) => (taken.length === 0 || taken.some(isIn(name))) && !left.some(isIn(name));
}

function failing<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof Refusal) throw new Failure(error.reason, "stalled", error.message);
    if (error instanceof Exhausted) {
      const { reason, message } = invalid("include and exclude have not been tried on all names yet");
      throw new Failure(reason, "retry", message);
    }
    throw error;
  }
}
