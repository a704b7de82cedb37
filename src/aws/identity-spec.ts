import type { Sealed } from "../runtime/sealed.ts";
import { accountOfArn } from "./names.ts";

/** One role of a chain, and the parameters of its AssumeRole call. */
export interface RoleStep {
  roleArn: string;
  /** Never shown in a message or log line. */
  externalId?: string;
  sessionTags?: Readonly<Record<string, string>>;
  /** Keys of `sessionTags` that the sessions of the following roles inherit. */
  transitiveTagKeys?: readonly string[];
  sourceIdentity?: string;
  /** Session duration in seconds; default one hour. */
  durationSeconds?: number;
}

/** The role of a ServiceAccount, and its tokens. */
export interface WebIdentity {
  /** Namespace and name of the ServiceAccount: `shop/checkout`. */
  serviceAccount: string;
  roleArn: string;
  tokens: WebTokens;
}

/** The tokens of one ServiceAccount. They do not distinguish identities. */
export interface WebTokens {
  /** A usable token. @throws Failure that names the ServiceAccount */
  token(): Promise<Sealed>;
  /** Drops a token that AWS refused. */
  refused(token: Sealed): void;
}

/**
 * Source of credentials: the SDK's default chain (the operator's identity), a ServiceAccount's role, or static keys.
 */
export type CredentialSource =
  | { kind: "default" }
  | ({ kind: "webIdentity" } & WebIdentity)
  | { kind: "static"; accessKeyId: string; secretAccessKey: Sealed; sessionToken?: Sealed };

/** The AWS account of an identity's last role; undefined without a role, where only AWS knows it. */
export function accountOfSpec({ credentials, assumeRole = [] }: IdentitySpec): string | undefined {
  const first = credentials.kind === "webIdentity" ? credentials.roleArn : undefined;
  const last = assumeRole.at(-1)?.roleArn ?? first;
  return last === undefined ? undefined : accountOfArn(last);
}

/** Describes an identity: its credentials, region and endpoints. */
export interface IdentitySpec {
  region: string;
  credentials: CredentialSource;
  /** Roles to assume in order, the first with `credentials`. */
  assumeRole?: readonly RoleStep[];
  /** The namespace that owns the identity: part of its session names. */
  namespace?: string;
  /** Override the default endpoints: a VPC endpoint or an emulator. */
  endpoints?: { ssm?: string; kms?: string; sts?: string; sqs?: string };
  useFIPS?: boolean;
  useDualStack?: boolean;
}
