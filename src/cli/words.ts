import { AwsFailure } from "../aws/failure.ts";
import { tryAgain } from "../aws/table.ts";
import type { Failure } from "../runtime/failure.ts";

/** What there is to do where the AWS environment says nobody. */
export const logIn =
  "no AWS credentials are found: log in (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

const unknownKey =
  "AWS does not know the access key or session token: check AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN";
const wrongSignature = "AWS finds the signature wrong: check AWS_SECRET_ACCESS_KEY, or the profile that has it";
const wrongClock = "AWS says that this machine's clock is wrong: set it by NTP";
const expired = "the AWS credentials have expired: log in again (aws sso login), or set new ones";
const webIdentity =
  "the token of AWS_WEB_IDENTITY_TOKEN_FILE may not assume the role of AWS_ROLE_ARN: check the role's trust policy";

/** What a refusal of credentials means to a person, by AWS's name of the error without `Exception`. */
const ofCredentials: ReadonlyMap<string, string> = new Map([
  ["ExpiredToken", expired],
  ["UnrecognizedClient", unknownKey],
  ["InvalidClientTokenId", unknownKey],
  ["InvalidAccessKeyId", unknownKey],
  ["InvalidSignature", wrongSignature],
  ["SignatureDoesNotMatch", wrongSignature],
  ["IncompleteSignature", wrongSignature],
  ["MissingAuthenticationToken", wrongSignature],
  ["RequestExpired", wrongClock],
  ["RequestTimeTooSkewed", wrongClock],
]);

/** What messages say to whoever runs the operator, and what they say to whoever runs a command. */
const rewordings: readonly (readonly [RegExp, string])[] = [
  [new RegExp(`[;,]? ?(and )?${tryAgain}`, "g"), ""],
  [/the clock of the operator's machine/g, "this machine's clock"],
  [/(unless|only where) the operator runs with (--[a-z-]+)/g, "$1 $2 is given"],
];

/** A failure in words for a command that runs once: nothing is tried again later, and no operator is there. */
export function forCommand(failure: Failure): string {
  if (failure instanceof AwsFailure) {
    const { code, reason, scope, message } = failure;
    if (reason === "ConnectionNotReady") return logIn;
    const role = /^auth\.assumeRole\[\d+\]: /.exec(message)?.[0] ?? "";
    const own = ofCredentials.get(code.replace(/Exception$/, ""));
    if (own !== undefined && (scope === "credentials" || own === wrongClock)) return role + own;
    if (message.includes("AssumeRoleWithWebIdentity")) return webIdentity;
    if (/log at debug level/.test(message)) {
      return message.replace(/: the operator's log at debug level.*$/, `: ${code}`);
    }
  }
  return rewordings.reduce((text, [from, to]) => text.replace(from, to), failure.message);
}
