import type { Entry, Spot } from "./entry.ts";

/** A parameter of an entry: itself, or one member of its path. */
export interface Named {
  entry: Entry;
  name: string;
  spot: Spot;
}

/** Whether there is something to describe: what AWS publishes or passes through has no policies. */
export function isDescribable({ reference, intervalMs }: Entry): boolean {
  if (!Number.isFinite(intervalMs)) return false;
  return !/^\/?aws\//i.test(reference.kind === "path" ? `${reference.path}/` : reference.name);
}

/** Everything of an entry that can be described. */
export function namedOf(entry: Entry): Named[] {
  const { reference, spot, members } = entry;
  if (reference.kind === "parameter") return [{ entry, name: reference.name, spot }];
  return [...members].map(([name, member]) => ({ entry, name, spot: member }));
}

/** Whether a description is owed: there has been none, or the parameter has another version since. */
export function isOwing({ spot }: Named): boolean {
  if (spot.sight === undefined || spot.missing) return false;
  return spot.about === undefined || spot.about.unsure === "changed";
}

/** Whether a name is an ARN. */
export function isArn(name: string): boolean {
  return name.startsWith("arn:");
}

/** The name that DescribeParameters takes. */
export function nameIn({ name }: Named): string {
  return isArn(name) ? name.slice(name.indexOf(":parameter/") + ":parameter".length) : name;
}
