import type { Identity } from "../aws/identity.ts";

/** One parameter, as an identity asks for it. */
export interface ParameterReference {
  kind: "parameter";
  identity: Identity;
  /** The name as GetParameters takes it: a name, or the ARN of another account's parameter. */
  name: string;
  /** `""` for the latest version, `:3` for a version, `:prod` for a label. */
  selector: string;
}

/** The parameters below a path, as an identity lists them. */
export interface PathReference {
  kind: "path";
  identity: Identity;
  path: string;
  recursive: boolean;
  /** `""` for each parameter's latest version, else the label that it must carry. */
  label: string;
  /** Parameter types to list, sorted; empty for all. */
  types: readonly string[];
  /** Tags that a parameter must carry, each with its value, sorted; left out for all. */
  tags?: readonly (readonly [string, string])[];
}

export type Reference = ParameterReference | PathReference;

/** The key under which equal references are one entry. A line feed cannot be part of a name, so keys cannot collide. */
export function referenceKey(reference: Reference): string {
  if (reference.kind === "parameter") {
    return `${reference.identity.key}\n${reference.name}${reference.selector}`;
  }
  const { identity, path, recursive, label, types, tags } = reference;
  const tagged = tags ? `\n${JSON.stringify(tags)}` : "";
  return `${identity.key}\n${path}\n${recursive ? "recursive" : "flat"}\n${label}\n${types.join(",")}${tagged}`;
}

/** The name with its selector: what GetParameter and GetParameters take. */
export function requestName(reference: ParameterReference): string {
  return reference.name + reference.selector;
}

/** The selector under which a path's members are seen: `""` for their latest versions, `:prod` for a label. */
export function memberSelector({ label }: PathReference): string {
  return label === "" ? "" : `:${label}`;
}

/** Whether a name is one that a path lists: below it, and where it is not recursive, just one level. */
export function isBelow(name: string, { path, recursive }: PathReference): boolean {
  const prefix = path.endsWith("/") ? path : `${path}/`;
  return name.startsWith(prefix) && (recursive || !name.includes("/", prefix.length));
}

/** Whether a path's filter on types lets a parameter of this type through. */
export function couldBeListed(reference: PathReference, type: string): boolean {
  return reference.types.length === 0 || reference.types.includes(type);
}

/** Under this AWS passes secrets of Secrets Manager through (User Guide, "Referencing AWS Secrets Manager secrets"). */
export const passThrough = "/aws/reference/secretsmanager/";

/**
 * Whether a name leads into Secrets Manager. Such a parameter is given with decryption only, so that each look at it
 * decrypts, has no versions of its own, and is in no listing.
 *
 * @param name with or without its slash in front, with or without selector
 */
export function isPassedThrough(name: string): boolean {
  return (name.startsWith("/") ? name : `/${name}`).startsWith(passThrough);
}

/** Milliseconds between two polls of what is passed through, at least: each costs a decryption. */
export const passedThroughMs = 600_000;

/** Parameters that one GetParameters call takes, at most (API Reference, GetParameters). */
export const namesInACall = 10;
