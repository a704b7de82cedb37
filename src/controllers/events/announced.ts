import { parseParameterRef } from "../../aws/names.ts";
import type { ParameterReference, Reference } from "../../parameters/read/reference.ts";

/**
 * Reports whether EventBridge announces every change of a reference to the account's own bus. It does not for
 * parameters of other accounts, whose own bus gets the event, nor for parameters that AWS publishes or passes through
 * under `/aws/` (Systems Manager User Guide, "Monitoring Systems Manager events with Amazon EventBridge").
 *
 * @param account the account that the reference's identity calls
 */
export function isAnnouncedByAws(reference: Reference, account: string): boolean {
  // Adding or removing a tag sends no event.
  if (reference.kind === "path") return reference.tags === undefined && !isAwsOwn(`${reference.path}/`);
  const parsed = parseParameterRef(reference.name);
  if ("problem" in parsed) return false;
  const { ref } = parsed;
  if (ref.kind === "arn" && (ref.account !== account || ref.region !== reference.identity.region)) return false;
  return !isAwsOwn(ref.name);
}

/** The name of a reference's parameter with a leading slash; undefined if the reference is not a parameter. */
export function nameOf(reference: ParameterReference): string | undefined {
  const parsed = parseParameterRef(reference.name);
  return "ref" in parsed ? parsed.ref.name : undefined;
}

function isAwsOwn(name: string): boolean {
  return /^\/?aws\//i.test(name);
}
