/**
 * A set of values; undefined if empty, the value itself if there is one. An index has thousands of sets, most with one
 * value: a Set takes about 260 bytes.
 */
export type OneOrMany<T extends string | object> = T | Set<T> | undefined;

/** The set with `one` added. */
export function withOne<T extends string | object>(few: OneOrMany<T>, one: T): T | Set<T> {
  if (few === undefined || few === one) return one;
  return few instanceof Set ? few.add(one) : new Set([few, one]);
}

/** The set with `one` removed. */
export function withoutOne<T extends string | object>(few: OneOrMany<T>, one: T): OneOrMany<T> {
  if (few === one) return undefined;
  if (!(few instanceof Set)) return few;
  few.delete(one);
  if (few.size > 1) return few;
  const [last] = few;
  return last;
}

/** The values of the set. */
export function each<T extends string | object>(few: OneOrMany<T>): Iterable<T> {
  if (few === undefined) return [];
  return few instanceof Set ? few : [few];
}
