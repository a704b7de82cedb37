import { type OneOrMany, withOne, withoutOne } from "../runtime/one-or-many.ts";

/**
 * Moves `key` in an index from the entry `was` to the entry `is`; undefined means no entry. Empty entries are removed.
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
