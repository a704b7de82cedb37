import type { Identity } from "../../aws/identity.ts";

/** One parameter, as seen by an identity. */
export interface ParameterReference {
  kind: "parameter";
  identity: Identity;
  /** The name as GetParameters takes it: a name, or the ARN of another account's parameter. */
  name: string;
  /** `""` for the latest version, `:3` for a version, `:prod` for a label. */
  selector: string;
}

/** The parameters below a path, as seen by an identity. */
export interface PathReference {
  kind: "path";
  identity: Identity;
  path: string;
  recursive: boolean;
  /** `""` for each parameter's latest version; otherwise the label that the version must have. */
  label: string;
  /** Parameter types to list, sorted; empty for all. */
  types: readonly string[];
  /** Tags that a parameter must have, with their values, sorted; undefined for all parameters. */
  tags?: readonly (readonly [string, string])[];
}

export type Reference = ParameterReference | PathReference;

/** The cache entry's key: equal references share it. A name cannot contain a line feed, so keys cannot collide. */
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

/** The selector of a path's members: `""` for their latest versions, `:prod` for a label. */
export function memberSelector({ label }: PathReference): string {
  return label === "" ? "" : `:${label}`;
}

/** Whether a path lists a name: below it, and only one level below unless it is recursive. */
export function isBelow(name: string, { path, recursive }: PathReference): boolean {
  const prefix = path.endsWith("/") ? path : `${path}/`;
  return name.startsWith(prefix) && (recursive || !name.includes("/", prefix.length));
}

/** Whether a path's type filter admits a parameter of this type. */
export function couldBeListed(reference: PathReference, type: string): boolean {
  return reference.types.length === 0 || reference.types.includes(type);
}

/** The prefix of names that return Secrets Manager secrets (User Guide, "Referencing AWS Secrets Manager secrets"). */
export const passThrough = "/aws/reference/secretsmanager/";

/**
 * Whether a name refers to a Secrets Manager secret. AWS returns such a parameter only with decryption, so each look
 * decrypts. It has no versions of its own and appears in no listing.
 *
 * @param name with or without leading slash, with or without selector
 */
export function isPassedThrough(name: string): boolean {
  return (name.startsWith("/") ? name : `/${name}`).startsWith(passThrough);
}

/** The shortest poll interval of a Secrets Manager secret, in milliseconds: each poll costs a decryption. */
export const passedThroughMs = 600_000;

/** Names in one GetParameters call, at most (API Reference, GetParameters). */
export const namesInACall = 10;
