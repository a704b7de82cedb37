import { type OneOrMany, withOne, withoutOne } from "../runtime/one-or-many.ts";

/**
 * Moves `key` in an index from what is under `was` to what is under `is`; undefined stands for nowhere. Where nothing
 * is left, the index forgets the place.
 */
export function reindex(
  index: Map<string, OneOrMany<string>>,
  key: string,
  was: string | undefined,
  is: string | undefined,
): void {
  if (was === is) return;
  if (was !== undefined) {
    const others = withoutOne(index.get(was), key);
    if (others === undefined) index.delete(was);
    else index.set(was, others);
  }
  if (is !== undefined) index.set(is, withOne(index.get(is), key));
}
