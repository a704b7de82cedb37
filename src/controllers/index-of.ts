/**
 * Moves `key` in an index from the set under `was` to the set under `is`; undefined stands for no set. Sets that come
 * to be empty are dropped.
 */
export function reindex(
  index: Map<string, Set<string>>,
  key: string,
  was: string | undefined,
  is: string | undefined,
): void {
  if (was === is) return;
  if (was !== undefined) {
    const keys = index.get(was);
    keys?.delete(key);
    if (keys?.size === 0) index.delete(was);
  }
  if (is === undefined) return;
  const keys = index.get(is);
  if (keys) keys.add(key);
  else index.set(is, new Set([key]));
}
