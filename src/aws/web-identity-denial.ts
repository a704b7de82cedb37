import type { Reason } from "../api/reasons.ts";
import type { Next } from "../runtime/failure.ts";
import { explicitDeny } from "./denial.ts";
import type { CallContext } from "./failure.ts";

/** The audience of the tokens that AWS STS takes, and of the OIDC provider in IAM. */
export const stsAudience = "sts.amazonaws.com";
/** The annotation of a ServiceAccount with the ARN of its role, as IAM roles for service accounts (IRSA) define it. */
export const roleAnnotation = "eks.amazonaws.com/role-arn";

/** Why AWS STS refused the token of a ServiceAccount. */
interface Refusal {
  reason: Reason;
  next: Next;
  message: string;
}

/**
 * Explains a refusal of sts:AssumeRoleWithWebIdentity for a ServiceAccount (STS API Reference). AWS does not tell a
 * missing role from a trust policy that does not match, so the message lists what must hold.
 *
 * @param code AWS's error name, without `Exception`
 * @param text AWS's message; untrusted: it only selects the message
 * @returns undefined if the error is not about the role or the token
 */
export function webIdentityRefusal(code: string, text: string, about: CallContext): Refusal | undefined {
  const account = about.serviceAccount ?? "";
  const role = about.resource ?? "its role";
  const who = `ServiceAccount ${account}`;
  const token = `the token of ${who} for ${role}`;
  const wait = (reason: Reason, message: string): Refusal => ({ reason, next: "wait", message });
  switch (code) {
    case "AccessDenied":
      return wait("AccessDenied", denied(text, who, role, account));
    case "InvalidIdentityToken":
      return wait("ConnectionNotReady", invalidToken(text, token));
    case "IDPRejectedClaim":
      return wait(
        "AccessDenied",
        `the cluster's OIDC provider rejects ${token}: check the issuer of the provider in IAM, and its audience ${stsAudience}`,
      );
    case "ExpiredToken":
      return {
        reason: "ConnectionNotReady",
        next: "retry",
        message: `AWS STS takes ${token} for expired: a new one is requested; if that does not help, check the clock of the API server`,
      };
    case "IDPCommunicationError":
      return {
        reason: "Unreachable",
        next: "retry",
        message: `AWS STS cannot reach the cluster's OIDC issuer to check ${token}: its discovery document and keys must be public; it is tried again by itself`,
      };
    case "NoSuchEntity":
      return wait("AccessDenied", `${role} does not exist: create it, or correct ${annotationOf(account)}`);
    case "RegionDisabled":
      return wait(
        "AccessDenied",
        `STS is not activated for ${about.region} in the account of ${role}: activate it in IAM's account settings`,
      );
    case "Validation":
    case "ValidationError":
      return wait(
        "ConnectionNotReady",
        `AWS STS takes the request of ${who} for ${role} for invalid: check ${annotationOf(account)}`,
      );
    default:
      return undefined;
  }
}

function annotationOf(account: string): string {
  return `the annotation ${roleAnnotation} of ServiceAccount ${account}`;
}

/** AWS's words for the three causes of InvalidIdentityToken that it distinguishes. */
function invalidToken(text: string, token: string): string {
  const words = text.slice(0, 4_096);
  const refused = `AWS STS does not take ${token}`;
  if (/audience/i.test(words)) {
    return `${refused}: the OIDC provider in IAM does not have the token's audience ${stsAudience}; add it to the provider's audiences (client IDs)`;
  }
  if (/No OpenIDConnect provider/i.test(words)) {
    return `${refused}: the role's account has no OIDC provider in IAM for the cluster's issuer; create it with the audience ${stsAudience}`;
  }
  return `${refused}: its issuer must be an OIDC provider in IAM of the role's account with the audience ${stsAudience}, and the issuer's keys must be the ones that it publishes`;
}

function denied(text: string, who: string, role: string, account: string): string {
  const action =
    ["sts:TagSession", "sts:SetSourceIdentity"].find((one) => text.includes(` to perform: ${one} `)) ??
    "sts:AssumeRoleWithWebIdentity";
  const what = `${who} may not ${action} on ${role}`;
  const deny = explicitDeny(text);
  if (deny) return `${what}: ${deny}`;
  const [namespace, name] = account.split("/");
  return `${what}: the role must exist, and its trust policy must name the cluster's OIDC provider with ${action}, system:serviceaccount:${namespace}:${name} as sub and ${stsAudience} as aud; check ${annotationOf(account)}`;
}
