import type { Plan } from "../plan/plan.ts";
import { belongs, revisionSourcesOf, type Source } from "../trust/status-sources.ts";
import { type Facts, madeFrom } from "./snapshot.ts";
import { type Assessment, membersOf, newAssessment } from "./sources.ts";

/** Whether the Secret was made from the sources that the status lists. */
export function isVerified(facts: Facts, { sources }: Assessment): boolean {
  const { revisions, revision, resource } = facts;
  return revisions.isOf(revision ?? resource.status?.revision, madeFrom(facts, sources));
}

/** The assessment of the sources that the status lists. */
export function pinnedOf({ plan, resource }: Facts): Assessment {
  return pinnedAssessment(plan, resource.status?.sources ?? []);
}

/** The assessment of the sources that a status lists, instead of the current ones. */
export function pinnedAssessment(plan: Plan, sources: readonly Source[]): Assessment {
  const present = new Map<string, string[]>();
  for (const entry of plan.entries) {
    if (entry.kind !== "path") continue;
    const members = sources.filter((source) => belongs(source, entry.reference)).map(({ name }) => name);
    present.set(entry.label, membersOf(entry, members));
  }
  return { ...newAssessment(), sources: revisionSourcesOf(plan, sources), present };
}
