import type { SyncedSecret } from "../../../api/types.ts";
import type { RevisionSource } from "../trust/revision.ts";
import type { SourceMetadata } from "./source-metadata.ts";

type Status = NonNullable<SyncedSecret["status"]>;

/** Sources that a status lists, at most: people read a status, and etcd stores it. */
const sourcesAtMost = 100;
/** The sources in a status: the first hundred, and the number of the others. */
export function listed(
  sources: readonly RevisionSource[],
  sourcesMetadata: readonly SourceMetadata[] = [],
): Pick<Status, "sources" | "sourcesOmitted"> {
  const noted = new Map(sourcesMetadata.map((note) => [note.name + note.selector, note]));
  const distinct = new Map<string, NonNullable<Status["sources"]>[number]>();
  for (const source of sources) {
    if ("left" in source) continue;
    const { name, selector, version, modified, versionId } = source;
    const { policies, keyId } = noted.get(name + selector) ?? {};
    distinct.set(name + selector, {
      name,
      ...(selector === "" ? {} : { selector: selector.slice(1) }),
      version,
      ...(versionId === undefined ? {} : { versionId }),
      lastModified: new Date(modified).toISOString(),
      ...(policies?.expiresAt === undefined ? {} : { expiresAt: new Date(policies.expiresAt).toISOString() }),
      ...(keyId === undefined ? {} : { keyId }),
    });
  }
  const all = [...distinct.values()];
  return { sources: all.slice(0, sourcesAtMost), sourcesOmitted: Math.max(all.length - sourcesAtMost, 0) };
}
