import type { Reason } from "../api/reasons.ts";
import type { Next } from "../runtime/failure.ts";

/** How one error of the operator's credential chain is classified. */
interface ChainRow {
  reason: Reason;
  next: Next;
  /** The message to the user. @param role its ARN, or a description */
  says: (role: string) => string;
}

const annotation = "the annotation eks.amazonaws.com/role-arn of the operator's ServiceAccount";
const audience = "audience sts.amazonaws.com";

const notReady = (says: ChainRow["says"]): ChainRow => ({ reason: "ConnectionNotReady", next: "retry", says });
const denied = (says: ChainRow["says"]): ChainRow => ({ reason: "AccessDenied", next: "wait", says });

const rowsOfChain = {
  InvalidIdentityToken: notReady(
    (role) =>
      `AWS STS does not take the token of the operator's ServiceAccount for ${role}: it must have ${audience}, and its issuer must be an OIDC provider in IAM of the role's account, with that audience; check these and ${annotation}`,
  ),
  ExpiredToken: notReady(
    (role) =>
      `the token of the operator's ServiceAccount, or the session, by which it assumes ${role} has expired: check the clock and that the kubelet renews the token, or start the pod anew`,
  ),
  IDPRejectedClaim: denied(
    (role) =>
      `the cluster's OIDC provider rejects the token of the operator's ServiceAccount for ${role}: check the issuer of the provider in IAM and ${audience}, and start the pod anew`,
  ),
  IDPCommunicationError: {
    reason: "Unreachable",
    next: "retry",
    says: (role) =>
      `AWS STS cannot reach the cluster's OIDC issuer to check the token for ${role}: its discovery document and keys must be public; it is tried again by itself`,
  },
  WebIdentityDenied: denied(
    (role) =>
      `the operator's ServiceAccount may not sts:AssumeRoleWithWebIdentity on ${role}: the role must exist, and its trust policy must name the cluster's OIDC provider, system:serviceaccount:NAMESPACE:NAME of the ServiceAccount as sub, and ${audience} as aud; check ${annotation}`,
  ),
  AssumeRoleDenied: denied(
    (role) =>
      `the operator's own AWS profile may not sts:AssumeRole on ${role}: the role must exist, its trust policy must name the caller, and the caller's IAM policy must allow it`,
  ),
  NoSuchEntity: denied((role) => `${role} does not exist: create it, or correct ${annotation}`),
  ValidationError: notReady(
    (role) => `AWS STS takes the operator's request for ${role} for invalid: check AWS_ROLE_ARN, and ${annotation}`,
  ),
  MalformedPolicyDocument: notReady(
    (role) => `AWS STS finds a policy malformed with which the operator assumes ${role}: correct the session policy`,
  ),
  PackedPolicyTooLarge: notReady(
    (role) => `${role} cannot be assumed by the operator with so large a session policy and tags: make them smaller`,
  ),
  RegionDisabled: denied(
    (role) =>
      `STS is not activated for the operator's region in the account of ${role}: activate it in IAM's account settings`,
  ),
  UnknownKey: denied(
    () =>
      "AWS STS does not know the access key or session token of the operator's own credentials: put an active one into its environment or profile",
  ),
  WrongSignature: denied(
    () =>
      "AWS STS finds the signature of the operator's own credentials wrong: check their AWS_SECRET_ACCESS_KEY and the machine's clock",
  ),
  TokenFile: notReady(
    (role) =>
      `the file of AWS_WEB_IDENTITY_TOKEN_FILE, the operator's token for ${role}, cannot be read: check the volume that the Pod Identity webhook adds by ${annotation}, and start the pod anew`,
  ),
  AgentTokenFile: notReady(
    () =>
      "the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, the operator's token for EKS Pod Identity, cannot be read: check the association of its ServiceAccount, and start the pod anew",
  ),
  AgentUnreachable: notReady(
    () =>
      "the agent that AWS_CONTAINER_CREDENTIALS_FULL_URI names does not give the operator credentials: check that the EKS Pod Identity Agent runs on its node, and that network policies let it through",
  ),
  AgentRefused: notReady(
    () =>
      "the EKS Pod Identity Agent refuses the operator credentials: check the association of its ServiceAccount, the role's trust policy for pods.eks.amazonaws.com, and the node role's eks-auth:AssumeRoleForPodIdentity",
  ),
  ProfileNotFound: notReady(
    () => "the profile that AWS_PROFILE of the operator names is not there, or has no credentials: correct it",
  ),
  SourceProfile: notReady(
    () => "the source_profile of the operator's AWS profile is not there, or has no credentials: correct it",
  ),
  CredentialSource: notReady(
    () =>
      "the credential_source of the operator's AWS profile is none: it is Environment, EcsContainer or Ec2InstanceMetadata",
  ),
  ProfileCycle: notReady(
    () => "the source_profile of the operator's AWS profile leads back to itself: break the cycle",
  ),
  ProfileMfa: notReady(
    () => "the operator's AWS profile asks for MFA (mfa_serial), which nobody can answer: use another",
  ),
  SsoExpired: notReady(
    () => "the SSO session of the operator's AWS profile has expired or is not there: use a role instead (IRSA)",
  ),
  SsoProfile: notReady(
    () => "the SSO settings of the operator's AWS profile are incomplete or contradict each other: check sso_session",
  ),
  LoginExpired: notReady(
    () => "the login_session of the operator's AWS profile cannot be used: use a role instead (IRSA)",
  ),
  CredentialProcess: notReady(
    () => "the credential_process of the operator's AWS profile fails, or prints no valid credentials: run it by hand",
  ),
  Profile: notReady(() => "the operator's AWS profile gives no credentials: check each of its settings"),
  None: notReady(
    () =>
      "the operator has no AWS credentials of its own: give its ServiceAccount a role (IRSA or EKS Pod Identity), or use secretRef",
  ),
} satisfies Record<string, ChainRow>;

/** A failure of the chain: the name of an STS error, without `Exception`, or our own name. */
export type ChainTrouble = keyof typeof rowsOfChain;

/** Every failure of the chain, and how it is classified. */
export const chainRows: Readonly<Record<ChainTrouble, ChainRow>> = rowsOfChain;

const prefix = "Chain.";

/** The code of a chain failure; it is kept when the message is wrapped. */
export function chainCode(trouble: ChainTrouble): string {
  return prefix + trouble;
}

/** Parses a code of `chainCode`; undefined for any other failure. */
export function chainTroubleOf(code: string): ChainTrouble | undefined {
  const name = code.startsWith(prefix) ? code.slice(prefix.length) : "";
  return Object.hasOwn(rowsOfChain, name) ? (name as ChainTrouble) : undefined;
}
