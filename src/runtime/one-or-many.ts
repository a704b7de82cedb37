/**
 * One or several of a kind, none being undefined. Where an index has a set for each of thousands of keys, most sets
 * hold one: as a Set that takes some 260 bytes, as itself none.
 */
export type OneOrMany<T extends string | object> = T | Set<T> | undefined;

/** These, and one more. */
export function withOne<T extends string | object>(few: OneOrMany<T>, one: T): T | Set<T> {
  if (few === undefined || few === one) return one;
  return few instanceof Set ? few.add(one) : new Set([few, one]);
}

/** These, but for one. */
export function withoutOne<T extends string | object>(few: OneOrMany<T>, one: T): OneOrMany<T> {
  if (few === one) return undefined;
  if (!(few instanceof Set)) return few;
  few.delete(one);
  if (few.size > 1) return few;
  const [last] = few;
  return last;
}

/** Each of these. */
export function each<T extends string | object>(few: OneOrMany<T>): Iterable<T> {
  if (few === undefined) return [];
  return few instanceof Set ? few : [few];
}
