import { type ChainTrouble, chainTroubleOf } from "../aws/chain-table.ts";
import { AwsFailure } from "../aws/failure.ts";
import { tryAgain } from "../aws/table.ts";
import type { Failure } from "../runtime/failure.ts";

/** What to do if the AWS environment has no credentials. */
export const logIn =
  "no AWS credentials are found: log in (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

const unknownKey =
  "AWS does not know the access key or session token: check AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN";
const wrongSignature = "AWS rejects the signature: check AWS_SECRET_ACCESS_KEY, or the profile that has it";
const wrongClock = "AWS says that this machine's clock is wrong: set it by NTP";
const expired = "the AWS credentials have expired: log in again (aws sso login), or set new ones";
const theRole = "the role of AWS_ROLE_ARN, or of the profile,";

/** Errors of the environment's credential chain, in words for a person. */
const ofChain: Readonly<Record<ChainTrouble, string>> = {
  InvalidIdentityToken:
    "AWS STS does not take the token of AWS_WEB_IDENTITY_TOKEN_FILE: its audience must be sts.amazonaws.com, and its issuer an OIDC provider in IAM of the role's account",
  ExpiredToken:
    "the AWS session or the token of AWS_WEB_IDENTITY_TOKEN_FILE has expired: log in again, or get a new one",
  IDPRejectedClaim: "the OIDC provider rejects the token of AWS_WEB_IDENTITY_TOKEN_FILE: get a new one",
  IDPCommunicationError: "AWS STS cannot reach the issuer of the token of AWS_WEB_IDENTITY_TOKEN_FILE: try again later",
  WebIdentityDenied:
    "the token of AWS_WEB_IDENTITY_TOKEN_FILE may not assume the role of AWS_ROLE_ARN: check that the role exists, and its trust policy",
  AssumeRoleDenied: `${theRole} may not be assumed: check that it exists, its trust policy and your own IAM policy`,
  NoSuchEntity: `${theRole} does not exist: correct it`,
  ValidationError: `AWS STS rejects the request for ${theRole} as invalid: check the ARN`,
  MalformedPolicyDocument: `AWS STS finds the session policy for ${theRole} malformed: correct it`,
  PackedPolicyTooLarge: `${theRole} cannot be assumed with so large a session policy and tags: make them smaller`,
  RegionDisabled: "STS is not activated for the region in the role's account: use another region",
  UnknownKey: unknownKey,
  WrongSignature: `${wrongSignature}, and this machine's clock`,
  TokenFile: "the file of AWS_WEB_IDENTITY_TOKEN_FILE cannot be read: correct the variable",
  AgentTokenFile: "the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read: correct the variable",
  AgentUnreachable:
    "the endpoint of AWS_CONTAINER_CREDENTIALS_FULL_URI returns no credentials: check that the agent runs there",
  AgentRefused: "the endpoint of AWS_CONTAINER_CREDENTIALS_FULL_URI refuses credentials: check its role",
  ProfileNotFound: "the profile of AWS_PROFILE is not there, or has no credentials: correct AWS_PROFILE or the profile",
  SourceProfile: "the source_profile of the AWS profile is not there, or has no credentials: correct it",
  CredentialSource:
    "the credential_source of the AWS profile is invalid: it must be Environment, EcsContainer or Ec2InstanceMetadata",
  ProfileCycle: "the source_profile of the AWS profile leads back to itself: break the cycle",
  ProfileMfa:
    "the AWS profile asks for MFA (mfa_serial), which this command cannot ask for: log in, and set the session's keys",
  SsoExpired: "the SSO session of the AWS profile has expired or is not there: log in (aws sso login)",
  SsoProfile: "the SSO settings of the AWS profile are incomplete or contradict each other: check sso_session",
  LoginExpired: "the login_session of the AWS profile cannot be used: log in (aws login)",
  CredentialProcess: "the credential_process of the AWS profile fails, or prints no valid credentials: run it by hand",
  Profile: "the AWS profile gives no credentials: check its settings, or log in (aws sso login)",
  None: logIn,
};

/** Refused credentials in words for a person, by the AWS error name without `Exception`. */
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

/** Operator messages, and their wording for a command. */
const rewordings: readonly (readonly [RegExp, string])[] = [
  [new RegExp(`[;,]? ?(and )?${tryAgain}`, "g"), ""],
  [/the clock of the operator's machine/g, "this machine's clock"],
  [/(unless|only where) the operator runs with (--[a-z-]+)/g, "$1 $2 is given"],
];

/** Rewords a failure for a one-shot command: it has no retries, and no operator runs. */
export function forCommand(failure: Failure): string {
  if (failure instanceof AwsFailure) {
    const { code, reason, scope, message } = failure;
    const trouble = chainTroubleOf(code);
    if (trouble) return ofChain[trouble];
    if (reason === "ConnectionNotReady") return logIn;
    const role = /^auth\.assumeRole\[\d+\]: /.exec(message)?.[0] ?? "";
    const own = ofCredentials.get(code.replace(/Exception$/, ""));
    if (own !== undefined && (scope === "credentials" || own === wrongClock)) return role + own;
    if (/operator's log at debug level$/.test(message)) {
      return message.replace(/: see its name in the operator's log at debug level$/, `: ${code}`);
    }
  }
  return rewordings.reduce((text, [from, to]) => text.replace(from, to), failure.message);
}
