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
}

export type Reference = ParameterReference | PathReference;

/** The key under which equal references are one entry. A line feed cannot be part of a name, so keys cannot collide. */
export function referenceKey(reference: Reference): string {
  if (reference.kind === "parameter") {
    return `${reference.identity.key}\n${reference.name}${reference.selector}`;
  }
  const { identity, path, recursive, label, types } = reference;
  return `${identity.key}\n${path}\n${recursive ? "recursive" : "flat"}\n${label}\n${types.join(",")}`;
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

/** Parameters that one GetParameters call takes, at most (API Reference, GetParameters). */
export const namesInACall = 10;
