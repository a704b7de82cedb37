import type { Next } from "../runtime/failure.ts";
import { explicitDeny, principalIn } from "./denial.ts";
import type { CallContext } from "./failure.ts";

/** Why AWS denied AssumeRole, as far as its message tells. */
export interface RoleRefusal {
  reason: "AccessDenied" | "InvalidData";
  next: Next;
  message: string;
}

/** Actions that a trust policy may lack; AWS's message names the denied one. */
const others = ["sts:TagSession", "sts:SetSourceIdentity"] as const;

/**
 * Explains a denial of sts:AssumeRole. AWS does not say whether the role exists, which of the two policies lacks the
 * permission, or whether the external id is wrong, so the message lists these causes (IAM User Guide, "Troubleshoot IAM
 * roles").
 *
 * @param code AWS's error name
 * @param text AWS's message; untrusted: the result contains only valid ARNs of it
 * @returns undefined if the error is not about the role
 */
export function roleRefusal(code: string, text: string, about: CallContext): RoleRefusal | undefined {
  const role = about.resource ?? "the role";
  if (code === "AccessDenied" || code === "AccessDeniedException") {
    return { reason: "AccessDenied", next: "wait", message: denied(text, about, role) };
  }
  if (code === "PackedPolicyTooLarge" || code === "PackedPolicyTooLargeException") {
    const message = `${role} cannot be assumed with so many sessionTags: AWS packs them into a limit of its own; use fewer or shorter ones`;
    return { reason: "InvalidData", next: "stalled", message };
  }
  if (code === "RegionDisabledException" || code === "RegionDisabled") {
    const message = `STS is not activated for ${about.region} in the account of ${role}: activate it in IAM's account settings`;
    return { reason: "AccessDenied", next: "wait", message };
  }
  if (code !== "ValidationError" && code !== "ValidationException") return undefined;
  const ofChaining = text.includes("role chaining");
  if (ofChaining || text.includes("DurationSeconds")) {
    const most = ofChaining
      ? "AWS allows 1h where a role, as the operator's own identity mostly is, assumes another"
      : "the role's maximum session duration is shorter, or, where a role assumes it, AWS allows 1h";
    const message = `${role} cannot be assumed for so long as its duration says: ${most}; shorten it`;
    return { reason: "InvalidData", next: ofChaining ? "stalled" : "wait", message };
  }
  const message = `${role} cannot be assumed as it is written: check roleArn, sessionTags, sourceIdentity and externalId`;
  return { reason: "InvalidData", next: "stalled", message };
}

function denied(text: string, about: CallContext, role: string): string {
  const { hasTags = false, hasSourceIdentity = false, hasExternalId = false } = about.assuming ?? {};
  const caller = principalIn(text) ?? about.caller ?? "the caller";
  const action = others.find((one) => text.includes(` to perform: ${one} `)) ?? "sts:AssumeRole";
  const what = `${caller} may not ${action} on ${role} in ${about.region}`;
  const found = explicitDeny(text);
  if (found) return `${what}: ${found}`;
  const lacksPermission = text.includes("no identity-based policy allows");
  const lacksTrust = text.includes("no resource-based policy allows") || text.includes("trust policy");
  const permission = `${lacksTrust ? "" : "its own IAM policy must allow that on the role"}`;
  const actions = ["sts:AssumeRole", ...(hasTags ? [others[0]] : []), ...(hasSourceIdentity ? [others[1]] : [])];
  const external = hasExternalId
    ? "; an externalId that is not the one it asks for is denied in the same words"
    : "; where it asks for an external id, set externalId";
  const trust = lacksPermission
    ? ""
    : `the role must exist, and its trust policy must name that caller with ${actions.join(", ")}${external}`;
  return `${what}: ${[trust, permission].filter((part) => part !== "").join("; ")}`;
}
