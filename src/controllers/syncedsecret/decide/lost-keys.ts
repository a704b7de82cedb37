import { keyOfMember } from "../../../values/assemble.ts";
import { Exhausted, inlineUnits, Work } from "../../../values/work.ts";
import type { ManyFromPath } from "../plan/plan.ts";
import type { Lost } from "./sources.ts";

/** Keeps the bytes of lost sources under their keys, unless another source now produces the key. */
export function keepLost(
  data: Map<string, Uint8Array>,
  lost: readonly Lost[],
  live: ReadonlyMap<string, Uint8Array>,
): void {
  const keep = (key: string) => {
    const bytes = live.get(key);
    if (bytes && !data.has(key)) data.set(key, bytes);
  };
  const work = new Work(inlineUnits);
  for (const { entry, name } of lost) {
    if (entry.kind === "parameter") keep(entry.key);
    else if (entry.kind === "path") {
      const key = keyOfLost(name, entry, work);
      if (typeof key === "string") keep(key);
      // The work budget is exhausted, so the key is unknown: keep all keys without another source.
      else if (key === undefined) for (const each of live.keys()) keep(each);
    } else {
      // The keys of a lost document are unknown: keep all keys without another source.
      for (const key of live.keys()) keep(key);
    }
  }
}

/** The key of a path's member; undefined if computing it exceeds the work budget. */
function keyOfLost(
  name: string,
  { rename, reference }: ManyFromPath,
  work: Work,
): ReturnType<typeof keyOfMember> | undefined {
  try {
    return keyOfMember(name, { rules: rename, path: reference.path }, work);
  } catch (error) {
    if (error instanceof Exhausted) return undefined;
    throw error;
  }
}
