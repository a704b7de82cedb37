import type { Entry, Parameter } from "./cache-entry.ts";

/** Whether DescribeParameters applies: public parameters and Secrets Manager references have no policies. */
export function isDescribable({ reference, intervalMs }: Entry): boolean {
  if (!Number.isFinite(intervalMs)) return false;
  return !/^\/?aws\//i.test(reference.kind === "path" ? `${reference.path}/` : reference.name);
}

/** The parameters of an entry that can be described. */
export function describablesOf(entry: Entry): Parameter[] {
  const { reference, state, members } = entry;
  if (reference.kind === "parameter") return [{ entry, name: reference.name, state }];
  return [...members].map(([name, member]) => ({ entry, name, state: member }));
}

/** Whether a parameter has never been described, or has another version since. */
export function needsDescription({ state }: Parameter): boolean {
  if (state.stamp === undefined || state.missing) return false;
  return state.metadata === undefined || state.metadata.unsure === "changed";
}

/** Whether a name is an ARN. */
export function isArn(name: string): boolean {
  return name.startsWith("arn:");
}

/** The name that DescribeParameters takes. */
export function nameIn({ name }: Parameter): string {
  return isArn(name) ? name.slice(name.indexOf(":parameter/") + ":parameter".length) : name;
}
