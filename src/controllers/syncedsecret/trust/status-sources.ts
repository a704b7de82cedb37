import type { SyncedSecret } from "../../../api/types.ts";
import {
  isBelow,
  memberSelector,
  type ParameterReference,
  type PathReference,
} from "../../../parameters/read/reference.ts";
import type { VersionStamp } from "../../../parameters/read/version-stamp.ts";
import type { Plan } from "../plan/plan.ts";
import type { RevisionSource } from "./revision.ts";

/** A source as a status lists it. */
export type Source = NonNullable<NonNullable<SyncedSecret["status"]>["sources"]>[number];

/** The sources of a revision according to a status: a parameter that the status does not list was left out. */
export function revisionSourcesOf(plan: Plan, sources: readonly Source[]): RevisionSource[] {
  const known: RevisionSource[] = sources.map((source) => ({
    name: source.name,
    selector: selectorOf(source),
    ...stampOfSource(source),
  }));
  for (const entry of plan.entries) {
    if (entry.kind !== "parameter" && entry.kind !== "document") continue;
    const { name, selector } = entry.reference;
    if (!known.some((s) => s.name === name && s.selector === selector)) known.push({ name, selector, left: true });
  }
  return known;
}

/** Whether a source belongs to a reference: the parameter itself, or a member of the path. */
export function belongs(source: Source, reference: ParameterReference | PathReference): boolean {
  if (reference.kind === "parameter") {
    return source.name === reference.name && selectorOf(source) === reference.selector;
  }
  return isBelow(source.name, reference) && selectorOf(source) === memberSelector(reference);
}

/**
 * Whether it is unknown if a source was a member of a path: the path filters by type or tag, which a status does not
 * record, and another reference matches the source as well.
 */
export function isAmbiguous(source: Source, path: PathReference, plan: Plan): boolean {
  const matching = plan.references.filter((reference) => belongs(source, reference));
  return (path.types.length > 0 || path.tags !== undefined) && matching.some((reference) => reference !== path);
}

/** The version stamp of a source in a status. */
export function stampOfSource({ version, lastModified, versionId }: Source): VersionStamp {
  return { version, modified: Date.parse(lastModified), ...(versionId === undefined ? {} : { versionId }) };
}

function selectorOf({ selector }: Source): string {
  return selector === undefined ? "" : `:${selector}`;
}
