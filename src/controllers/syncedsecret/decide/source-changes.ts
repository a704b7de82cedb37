import type { RevisionSource } from "../trust/revision.ts";

/** A source whose version differs; a version is undefined where the source is missing. */
export interface SourceChange {
  /** The parameter's name, with its version or label if the spec names one. */
  name: string;
  from: number | undefined;
  to: number | undefined;
}

/** Changes that a status lists. */
export const changesAtMost = 10;

/** The sources whose versions differ, by name. */
export function changesBetween(before: readonly RevisionSource[], after: readonly RevisionSource[]): SourceChange[] {
  const [was, is] = [versionsOf(before), versionsOf(after)];
  const names = [...new Set([...was.keys(), ...is.keys()])].sort();
  const differs = (name: string) => was.get(name)?.id !== is.get(name)?.id;
  return names.filter(differs).map((name) => ({ name, from: was.get(name)?.version, to: is.get(name)?.version }));
}

/** By name and selector: the version, and what tells it from a recreated parameter's. */
export function versionsOf(sources: readonly RevisionSource[]): Map<string, { version: number; id: string }> {
  const versions = new Map<string, { version: number; id: string }>();
  for (const source of sources) {
    if ("left" in source) continue;
    const { name, selector, version, modified, versionId = "" } = source;
    versions.set(name + selector, { version, id: `${version} ${modified} ${versionId}` });
  }
  return versions;
}
