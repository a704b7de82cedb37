import { actionOf, type CallContext } from "./failure.ts";
import { parseKeyArn, parseParameterRef } from "./names.ts";

/** Maximum characters of AWS's message to parse. */
const lookedAt = 4_096;

/** Policy types in AWS's message, and our text (IAM User Guide, "Troubleshoot access denied error messages"). */
const explicit: readonly (readonly [string, string])[] = [
  ["explicit deny in a service control policy", "a Deny in a service control policy forbids it"],
  ["explicit deny in a resource control policy", "a Deny in a resource control policy forbids it"],
  ["explicit deny in a VPC endpoint policy", "a Deny in the VPC endpoint's policy forbids it"],
  ["explicit deny in a permissions boundary", "a Deny in the caller's permissions boundary forbids it"],
  ["explicit deny in a session policy", "a Deny in the session's policy forbids it"],
  ["explicit deny in a resource-based policy", "a Deny in the resource's own policy forbids it"],
  ["explicit deny in an identity-based policy", "a Deny in the caller's IAM policy forbids it"],
  ["no service control policy allows", "allow it in the service control policies"],
  ["no VPC endpoint policy allows", "allow it in the VPC endpoint's policy"],
  ["no permissions boundary allows", "allow it in the caller's permissions boundary"],
  ["no session policy allows", "allow it in the session's policy"],
  ["no resource-based policy allows", "allow it in the resource's own policy"],
];

/**
 * Explains an access denied error: principal, action, resource, and where to allow it. AWS's message reads `User: ARN is
 * not authorized to perform: ACTION on resource: ARN because …`. Only valid ARNs of it are used, in one pass. Missing
 * parts come from the call.
 *
 * @param text AWS's message; untrusted
 * @returns the message
 */
export function denial(text: string, about: CallContext): string {
  const words = text.slice(0, lookedAt);
  const throughKms =
    about.service === "ssm" && (words.includes("(Service: AWSKMS") || words.includes("(Service: Kms,"));
  const caller = principalIn(words) ?? about.caller ?? "the caller";
  const action = throughKms ? "kms:Decrypt" : actionOf(about);
  const told = resource(between(words, " on resource: ", " "));
  const isOneOfMany = about.resource === undefined && about.service === "ssm";
  const own = isOneOfMany ? "its parameters" : (about.resource ?? "the key of the ciphertext");
  let what = told && !isOneOfMany ? told : own;
  if (throughKms && (isOneOfMany || !told || !parseKeyArn(told))) what = `the key of ${own}`;
  // KMS's message for a request without key: a missing key and a denied one look the same.
  if (about.service === "kms" && words.startsWith("The ciphertext refers to a ")) {
    return `the key of the ciphertext is not in ${about.region}, does not exist any more, or ${caller} may not ${action} on it: use a connection of its region, or allow it in the key's policy and the caller's IAM policy`;
  }
  const found = explicit.find(([theirs]) => words.includes(theirs));
  const isKms = throughKms || about.service === "kms";
  const usual = isKms
    ? "allow it in the key's policy and the caller's IAM policy"
    : "allow it in the caller's IAM policy";
  return `${caller} may not ${action} on ${what} in ${about.region}: ${found ? found[1] : usual}`;
}

/** Returns the principal in AWS's denial message, if it is a valid ARN. */
export function principalIn(text: string): string | undefined {
  return principal(between(text.slice(0, lookedAt), "User: ", " "));
}

/** Describes the policy with the Deny; undefined if AWS names none. */
export function explicitDeny(text: string): string | undefined {
  const words = text.slice(0, lookedAt);
  return explicit.find(([theirs]) => theirs.startsWith("explicit deny") && words.includes(theirs))?.[1];
}

/** Returns the text between the first `before` and the next `after`, or the end. */
function between(text: string, before: string, after: string): string {
  const at = text.indexOf(before);
  if (at < 0) return "";
  const start = at + before.length;
  const end = text.indexOf(after, start);
  return text.slice(start, end < 0 ? undefined : end);
}

/** Returns the text if it is the ARN of a user or a role session (IAM User Guide, "IAM identifiers"). */
function principal(text: string): string | undefined {
  return /^arn:aws[a-z-]{0,16}:(iam|sts)::[0-9]{12}:[a-z-]{1,32}\/[A-Za-z0-9+=,.@_/-]{1,600}$/.test(text)
    ? text
    : undefined;
}

/** Returns the text if it is the ARN of a parameter or a key. */
function resource(text: string): string | undefined {
  if (parseKeyArn(text)) return text;
  const parameter = parseParameterRef(text);
  return "ref" in parameter && parameter.ref.kind === "arn" ? text : undefined;
}
