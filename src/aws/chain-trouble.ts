import type { ChainTrouble } from "./chain-table.ts";

/** The credential source that the environment configures. */
export interface ChainPlace {
  /** AWS_ROLE_ARN, if it is a valid ARN. */
  role?: string;
  profile?: string;
  hasTokenFile: boolean;
  hasAgent: boolean;
}

/** Reads the credential source from the environment. */
export function chainPlace(environment: NodeJS.ProcessEnv): ChainPlace {
  const { AWS_ROLE_ARN: role = "", AWS_PROFILE: profile } = environment;
  return {
    ...(/^arn:aws[a-z-]{0,16}:iam::[0-9]{12}:role\/[A-Za-z0-9+=,.@_/-]{1,600}$/.test(role) ? { role } : {}),
    ...(profile ? { profile } : {}),
    hasTokenFile: Boolean(environment.AWS_WEB_IDENTITY_TOKEN_FILE),
    hasAgent: Boolean(
      environment.AWS_CONTAINER_CREDENTIALS_FULL_URI || environment.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI,
    ),
  };
}

/** Messages of the SDK's providers, never shown; the first match applies. */
const words: readonly (readonly [RegExp, ChainTrouble])[] = [
  [/^Unsupported credential source in profile/, "CredentialSource"],
  [/^Detected a cycle attempting to resolve/, "ProfileCycle"],
  [/requires multi-factor authentication/, "ProfileMfa"],
  [/aws login|^Token (refresh|validation)|login_session|^Failed to load token/, "LoginExpired"],
  [/SSO session|SSO Token|^Token is expired|aws sso login|SSO returns an invalid/i, "SsoExpired"],
  [/SSO credentials|Conflicting SSO|sso_session/i, "SsoProfile"],
  [/^Sso session '.*' (could not|is missing)/, "SsoProfile"],
  [/credential_process (did not return|returned)|^Command failed/, "CredentialProcess"],
  [/^Server responded with status: [0-9]{3}$/, "AgentRefused"],
];

/** Errors of STS, without `Exception` (API Reference, AssumeRole and AssumeRoleWithWebIdentity; Common Errors). */
const sts: ReadonlyMap<string, ChainTrouble> = new Map<string, ChainTrouble>([
  ["InvalidIdentityToken", "InvalidIdentityToken"],
  ["ExpiredToken", "ExpiredToken"],
  ["IDPRejectedClaim", "IDPRejectedClaim"],
  ["IDPCommunicationError", "IDPCommunicationError"],
  ["NoSuchEntity", "NoSuchEntity"],
  ["ValidationError", "ValidationError"],
  ["MalformedPolicyDocument", "MalformedPolicyDocument"],
  ["PackedPolicyTooLarge", "PackedPolicyTooLarge"],
  ["RegionDisabled", "RegionDisabled"],
  ["UnrecognizedClient", "UnknownKey"],
  ["InvalidClientTokenId", "UnknownKey"],
  ["InvalidAccessKeyId", "UnknownKey"],
  ["SignatureDoesNotMatch", "WrongSignature"],
  ["InvalidSignature", "WrongSignature"],
  ["IncompleteSignature", "WrongSignature"],
  ["Validation", "ValidationError"],
]);

interface Thrown {
  name?: unknown;
  code?: unknown;
  message?: unknown;
}

/**
 * Classifies an error of the credential chain.
 *
 * @returns undefined if the error does not identify a cause, or is not about credentials
 */
export function chainTrouble(error: unknown, place: ChainPlace): ChainTrouble | undefined {
  const { name, code, message } = (typeof error === "object" && error !== null ? error : {}) as Thrown;
  const text = typeof message === "string" ? message.slice(0, 4_096) : "";
  if (name === "CredentialsProviderError") return ofProvider(text, place);
  if (code === "ENOENT" || code === "EACCES" || code === "EISDIR") {
    return place.hasAgent && !place.hasTokenFile ? "AgentTokenFile" : "TokenFile";
  }
  if (typeof name !== "string") return undefined;
  const short = name.replace(/Exception$/, "");
  if (short === "AccessDenied") {
    const isRole = text.includes("sts:AssumeRole") && !text.includes("sts:AssumeRoleWithWebIdentity");
    return isRole || (place.profile !== undefined && !place.hasTokenFile) ? "AssumeRoleDenied" : "WebIdentityDenied";
  }
  return sts.get(short);
}

function ofProvider(text: string, place: ChainPlace): ChainTrouble | undefined {
  const missing = /^Could not resolve credentials using profile: \[(.*)\] in /.exec(text)?.[1];
  if (missing !== undefined && missing !== (place.profile ?? "default")) return "SourceProfile";
  if (missing !== undefined) return place.profile === undefined ? undefined : "ProfileNotFound";
  return words.find(([theirs]) => theirs.test(text))?.[1];
}

/** The fallback: a failure of the source that the environment names, or no source at all. */
export function chainFallback({ profile, hasAgent, hasTokenFile }: ChainPlace): ChainTrouble {
  if (profile !== undefined) return "Profile";
  return hasAgent && !hasTokenFile ? "AgentUnreachable" : "None";
}
