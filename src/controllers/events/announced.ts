import { parseParameterRef } from "../../aws/names.ts";
import type { ParameterReference, Reference } from "../../parameters/reference.ts";

/**
 * Whether EventBridge announces every change of a reference to the account's own bus. It does not for what belongs to
 * another account, which hears of it on its own, nor for what AWS publishes and passes through under `/aws/` (Systems
 * Manager User Guide, "Monitoring Systems Manager events with Amazon EventBridge").
 *
 * @param account that the reference's identity calls
 */
export function isAnnouncedByAws(reference: Reference, account: string): boolean {
  // A tag that comes or goes is announced to nobody.
  if (reference.kind === "path") return reference.tags === undefined && !isAwsOwn(`${reference.path}/`);
  const parsed = parseParameterRef(reference.name);
  if ("problem" in parsed) return false;
  const { ref } = parsed;
  if (ref.kind === "arn" && (ref.account !== account || ref.region !== reference.identity.region)) return false;
  return !isAwsOwn(ref.name);
}

/** The name of a reference's parameter, with its slash in front; undefined where it is none. */
export function nameOf(reference: ParameterReference): string | undefined {
  const parsed = parseParameterRef(reference.name);
  return "ref" in parsed ? parsed.ref.name : undefined;
}

function isAwsOwn(name: string): boolean {
  return /^\/?aws\//i.test(name);
}
