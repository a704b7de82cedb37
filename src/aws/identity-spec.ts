import type { Sealed } from "../runtime/sealed.ts";

/** One role of a chain, and the parameters of its AssumeRole call. */
export interface RoleStep {
  roleArn: string;
  /** Never shown in a message or log line. */
  externalId?: string;
  sessionTags?: Readonly<Record<string, string>>;
  sourceIdentity?: string;
  /** Session duration in seconds; default one hour. */
  durationSeconds?: number;
}

/** Source of credentials: the SDK's default chain (the operator's identity), or static keys. */
export type CredentialSource =
  | { kind: "default" }
  | { kind: "static"; accessKeyId: string; secretAccessKey: Sealed; sessionToken?: Sealed };

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
