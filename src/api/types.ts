// Generated from crds/ by scripts/generate-types.ts. Do not edit.

import type { Condition } from "./conditions.ts";
import type { ObjectMeta } from "./metadata.ts";

/** An AWS region and credentials, for the SyncedSecrets of one namespace. */
export interface AWSConnection {
  apiVersion: "keyferry.io/v1alpha1";
  kind: "AWSConnection";
  metadata: ObjectMeta;
  /** The region, the credentials, and their permitted uses. */
  spec: AWSConnectionSpec;
  /** The observed state. The operator writes it, only when it changes. */
  status?: AWSConnectionStatus;
}

/** The region, the credentials, and their permitted uses. */
export interface AWSConnectionSpec {
  /** The AWS region of the parameters and KMS keys, such as eu-west-1. */
  region: string;
  /**
   * The credentials for AWS: serviceAccountRef or secretRef. Required: a namespaced connection never uses the
   * operator's own AWS identity.
   */
  auth?: AWSConnectionSpecAuth;
  /**
   * Regions of the same partition to use, in this order, while region does not answer. KMS blobs with multi-Region keys
   * are decrypted there, and parameters are read there for SyncedSecrets that have never had a Secret. Not used for a
   * pinned version, under policy Once, or after a denial, a throttle or a missing parameter. Default: none.
   */
  failoverRegions?: string[];
  /**
   * How often the versions of parameters are polled, such as 30s, 5m or 1h30m, between 10s and 24h. SyncedSecrets
   * cannot poll more often. If the account's quota is too small, the interval is stretched; status.pollInterval has the
   * result. Default: 5m.
   */
  pollInterval?: string;
  /** Limits for the calls of this connection, in addition to those of its account and region. */
  limits?: AWSConnectionSpecLimits;
  /**
   * The queue on which AWS announces changes, so that they arrive within a second and polls are rarer. Default: none,
   * only polls find changes.
   */
  events?: AWSConnectionSpecEvents;
  /**
   * Binds every ciphertext to the place where it is used. Each blob and message must have an encryption context that
   * names the cluster and the namespace, and with scope Name the SyncedSecret; a copy cannot be decrypted elsewhere.
   * The operator adds this context to each decryption, so CloudTrail records it. RSA has no context and is refused.
   * Needs the operator's --cluster-name. Default: no binding.
   */
  binding?: AWSConnectionSpecBinding;
  /** What this connection may be used for. Default: everything that AWS allows. */
  allow?: AWSConnectionSpecAllow;
}

/**
 * The credentials for AWS: serviceAccountRef or secretRef. Required: a namespaced connection never uses the operator's
 * own AWS identity.
 */
export interface AWSConnectionSpecAuth {
  /**
   * A ServiceAccount whose role calls AWS: the operator requests a token of it (TokenRequest, audience
   * sts.amazonaws.com), and assumes the role of its annotation eks.amazonaws.com/role-arn with that token. Not with
   * secretRef. It is in this connection's namespace. Default: none.
   */
  serviceAccountRef?: AWSConnectionSpecAuthServiceAccountRef;
  /** A Secret with static keys, in this connection's namespace. */
  secretRef?: AWSConnectionSpecAuthSecretRef;
  /**
   * Roles to assume in order, at most 5, each with the credentials of the previous one; the last role reads. The first
   * is assumed with the role of serviceAccountRef or the keys of secretRef. Default: none.
   */
  assumeRole?: AWSConnectionSpecAuthAssumeRole[];
}

/**
 * A ServiceAccount whose role calls AWS: the operator requests a token of it (TokenRequest, audience
 * sts.amazonaws.com), and assumes the role of its annotation eks.amazonaws.com/role-arn with that token. Not with
 * secretRef. It is in this connection's namespace. Default: none.
 */
export interface AWSConnectionSpecAuthServiceAccountRef {
  /** The ServiceAccount's name. */
  name: string;
}

/** A Secret with static keys, in this connection's namespace. */
export interface AWSConnectionSpecAuthSecretRef {
  /**
   * The Secret's name. It holds AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary keys, AWS_SESSION_TOKEN.
   */
  name: string;
}

/** A role, and the settings of its session. */
export interface AWSConnectionSpecAuthAssumeRole {
  /**
   * The role's ARN. {namespace} is replaced by this connection's namespace. The role's trust policy must name the
   * identity that assumes it.
   */
  roleArn: string;
  /** The external id that the role's trust policy requires. No message shows it. Default: none. */
  externalId?: string;
  /**
   * Session tags, at most 50, for attribute-based policies. {namespace} is replaced by this connection's namespace. The
   * trust policy must allow sts:TagSession. Default: none.
   */
  sessionTags?: Record<string, string>;
  /**
   * Names of sessionTags that the sessions of all following roles inherit, at most 50. The trust policies of the
   * following roles must allow sts:TagSession too, and those roles cannot set the same tags again. Default: none.
   */
  transitiveTagKeys?: string[];
  /**
   * The source identity, which CloudTrail records with every call of the session and of the sessions that follow.
   * {namespace} is replaced by this connection's namespace. The trust policy must allow sts:SetSourceIdentity. Default:
   * none.
   */
  sourceIdentity?: string;
  /**
   * The length of a session, between 15m and 12h, at most the role's maximum session duration. AWS allows at most 1h if
   * another role assumes it; the operator's own identity usually is a role. Default: 1h.
   */
  duration?: string;
}

/** Limits for the calls of this connection, in addition to those of its account and region. */
export interface AWSConnectionSpecLimits {
  /** Requests per second to Systems Manager, of at most ten parameters each. Default: no limit of its own. */
  ssmRequestsPerSecond?: number;
  /** Requests per second to KMS, one for each decrypted blob. Default: no limit of its own. */
  kmsRequestsPerSecond?: number;
}

/**
 * The queue on which AWS announces changes, so that they arrive within a second and polls are rarer. Default: none,
 * only polls find changes.
 */
export interface AWSConnectionSpecEvents {
  /**
   * The URL of the SQS queue to which an EventBridge rule sends Parameter Store's changes. One queue serves one
   * cluster: its tag keyferry.io/cluster, if set, must equal the operator's --cluster-name.
   */
  queueUrl: string;
}

/**
 * Binds every ciphertext to the place where it is used. Each blob and message must have an encryption context that
 * names the cluster and the namespace, and with scope Name the SyncedSecret; a copy cannot be decrypted elsewhere. The
 * operator adds this context to each decryption, so CloudTrail records it. RSA has no context and is refused. Needs the
 * operator's --cluster-name. Default: no binding.
 */
export interface AWSConnectionSpecBinding {
  /**
   * The pairs of the context. None: no pairs. Namespace: keyferry.io/cluster and keyferry.io/namespace. Name: also
   * keyferry.io/name, the SyncedSecret's name.
   */
  scope: "None" | "Namespace" | "Name";
  /**
   * Decrypts entries with bound: false without that context, for a migration of blobs from before binding was on.
   * Default: false.
   */
  allowUnbound?: boolean;
}

/** What this connection may be used for. Default: everything that AWS allows. */
export interface AWSConnectionSpecAllow {
  /**
   * Names that may be read, at most 200: /shop/db is one parameter, /shop/* is every name with that prefix. * is
   * allowed only at the end. {namespace}, as a whole level, is replaced by the SyncedSecret's namespace. Only ARN
   * patterns match ARNs, and only patterns that start with /aws/service/ or the like match names below /aws/. Default:
   * everything that AWS allows.
   */
  parameters?: string[];
  /**
   * The ARNs of the KMS keys for blobs and messages, at most 100; each blob must then name its key by its ARN. The ARN
   * of a multi-Region key (mrk-...) covers its replicas in all regions. IAM decides about the keys of SecureStrings.
   * Default: everything that AWS allows.
   */
  keyIds?: string[];
  /**
   * Lets messages of the AWS Encryption SDK without encryptionSDK.keyIds name their own KMS keys: keys of these
   * accounts in this connection's region, including replicas of multi-Region keys. allow.keyIds, if set, applies to
   * them too. Default: each entry must list its keys.
   */
  discovery?: AWSConnectionSpecAllowDiscovery;
}

/**
 * Lets messages of the AWS Encryption SDK without encryptionSDK.keyIds name their own KMS keys: keys of these accounts
 * in this connection's region, including replicas of multi-Region keys. allow.keyIds, if set, applies to them too.
 * Default: each entry must list its keys.
 */
export interface AWSConnectionSpecAllowDiscovery {
  /** The accounts of the keys, at most 100; [] means the connection's own account. */
  accounts: string[];
  /** The partition of the keys, which must be that of the connection's region. Default: that partition. */
  partition?: "aws" | "aws-cn" | "aws-us-gov" | "aws-iso" | "aws-iso-b" | "aws-iso-e" | "aws-iso-f" | "aws-eusc";
}

/** The observed state. The operator writes it, only when it changes. */
export interface AWSConnectionStatus {
  /** The metadata.generation that this status describes; -1 until the operator has seen the resource. */
  observedGeneration?: number;
  /**
   * Ready is True while AWS accepts the credentials. Stalled is present while only a change of the spec can help,
   * FailedOver while a region of spec.failoverRegions is in use, and ExpiryUnknown while the operator cannot read
   * expiries. With spec.events, EventsReady tells whether the operator receives from the queue. Ready depends on
   * neither EventsReady nor ExpiryUnknown.
   */
  conditions?: Condition[];
  /** The AWS account of the credentials, from sts:GetCallerIdentity. */
  accountID?: string;
  /** The ARN of the caller, from sts:GetCallerIdentity. */
  callerARN?: string;
  /** The poll interval in effect. It is longer than spec.pollInterval if the account's quota is too small. */
  pollInterval?: string;
}

/** An AWS region and an identity, for the SyncedSecrets of the allowed namespaces. */
export interface ClusterAWSConnection {
  apiVersion: "keyferry.io/v1alpha1";
  kind: "ClusterAWSConnection";
  metadata: ObjectMeta;
  /** The region, the identity, and what each namespace may use. */
  spec: ClusterAWSConnectionSpec;
  /** The observed state. The operator writes it, only when it changes. */
  status?: ClusterAWSConnectionStatus;
}

/** The region, the identity, and what each namespace may use. */
export interface ClusterAWSConnectionSpec {
  /** The AWS region of the parameters and KMS keys, such as eu-west-1. */
  region: string;
  /**
   * The credentials for AWS. Without serviceAccountRef and secretRef, assumeRole starts from the operator's own
   * identity. Default: the operator's own AWS identity (IRSA, Pod Identity, instance role, environment).
   */
  auth?: ClusterAWSConnectionSpecAuth;
  /**
   * Regions of the same partition to use, in this order, while region does not answer. KMS blobs with multi-Region keys
   * are decrypted there, and parameters are read there for SyncedSecrets that have never had a Secret. Not used for a
   * pinned version, under policy Once, or after a denial, a throttle or a missing parameter. Default: none.
   */
  failoverRegions?: string[];
  /**
   * How often the versions of parameters are polled, such as 30s, 5m or 1h30m, between 10s and 24h. SyncedSecrets
   * cannot poll more often. If the account's quota is too small, the interval is stretched; status.pollInterval has the
   * result. Default: 5m.
   */
  pollInterval?: string;
  /**
   * This cluster's share of the account's quota in the region, which other clusters and pipelines use too. If several
   * ClusterAWSConnections of one account and region set a limit, the lowest applies.
   */
  limits?: ClusterAWSConnectionSpecLimits;
  /**
   * The queue on which AWS announces changes, so that they arrive within a second and polls are rarer. Default: none,
   * only polls find changes.
   */
  events?: ClusterAWSConnectionSpecEvents;
  /**
   * Binds every ciphertext to the place where it is used. Each blob and message must have an encryption context that
   * names the cluster and the namespace, and with scope Name the SyncedSecret; a copy cannot be decrypted elsewhere.
   * The operator adds this context to each decryption, so CloudTrail records it. RSA has no context and is refused.
   * Needs the operator's --cluster-name. Default: no binding.
   */
  binding?: ClusterAWSConnectionSpecBinding;
  /** Which namespaces may use this connection, and for what. allow.namespaces is required. */
  allow?: ClusterAWSConnectionSpecAllow;
  /**
   * Custom endpoints: VPC endpoints, or an emulator. Plain http and loopback addresses need the operator's flag
   * --allow-insecure-endpoints. {region} is replaced by the region. An endpoint without it applies to spec.region only;
   * failoverRegions then use AWS's endpoints. Default: AWS's endpoints.
   */
  endpoints?: ClusterAWSConnectionSpecEndpoints;
  /** Uses AWS's FIPS 140 endpoints. Not with endpoints. Default: false. */
  useFIPS?: boolean;
  /** Uses AWS's dual-stack endpoints (IPv4 and IPv6). Not with endpoints. Default: false. */
  useDualStack?: boolean;
}

/**
 * The credentials for AWS. Without serviceAccountRef and secretRef, assumeRole starts from the operator's own identity.
 * Default: the operator's own AWS identity (IRSA, Pod Identity, instance role, environment).
 */
export interface ClusterAWSConnectionSpecAuth {
  /**
   * A ServiceAccount whose role calls AWS: the operator requests a token of it (TokenRequest, audience
   * sts.amazonaws.com), and assumes the role of its annotation eks.amazonaws.com/role-arn with that token. Not with
   * secretRef. Without namespace it is the ServiceAccount of that name in the SyncedSecret's own namespace, so each
   * namespace that uses the connection has its own identity. Default: none.
   */
  serviceAccountRef?: ClusterAWSConnectionSpecAuthServiceAccountRef;
  /** A Secret with static keys, for development. */
  secretRef?: ClusterAWSConnectionSpecAuthSecretRef;
  /**
   * Roles to assume in order, at most 5, each with the credentials of the previous one; the last role reads. The first
   * is assumed with the role of serviceAccountRef, the keys of secretRef, or else the operator's own identity. With
   * {namespace} in a role, a tag or a source identity, each namespace that uses the connection has its own identity.
   * Default: none.
   */
  assumeRole?: ClusterAWSConnectionSpecAuthAssumeRole[];
}

/**
 * A ServiceAccount whose role calls AWS: the operator requests a token of it (TokenRequest, audience
 * sts.amazonaws.com), and assumes the role of its annotation eks.amazonaws.com/role-arn with that token. Not with
 * secretRef. Without namespace it is the ServiceAccount of that name in the SyncedSecret's own namespace, so each
 * namespace that uses the connection has its own identity. Default: none.
 */
export interface ClusterAWSConnectionSpecAuthServiceAccountRef {
  /** The ServiceAccount's name. */
  name: string;
  /** The ServiceAccount's namespace. Default: the SyncedSecret's namespace. */
  namespace?: string;
}

/** A Secret with static keys, for development. */
export interface ClusterAWSConnectionSpecAuthSecretRef {
  /**
   * The Secret's name. It holds AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary keys, AWS_SESSION_TOKEN.
   */
  name: string;
  /** The Secret's namespace. */
  namespace: string;
}

/** A role, and the settings of its session. */
export interface ClusterAWSConnectionSpecAuthAssumeRole {
  /**
   * The role's ARN. {namespace} is replaced by the SyncedSecret's namespace. The role's trust policy must name the
   * identity that assumes it.
   */
  roleArn: string;
  /** The external id that the role's trust policy requires. No message shows it. Default: none. */
  externalId?: string;
  /**
   * Session tags, at most 50, for attribute-based policies. {namespace} is replaced by the SyncedSecret's namespace.
   * The trust policy must allow sts:TagSession. Default: none.
   */
  sessionTags?: Record<string, string>;
  /**
   * Names of sessionTags that the sessions of all following roles inherit, at most 50. The trust policies of the
   * following roles must allow sts:TagSession too, and those roles cannot set the same tags again. Default: none.
   */
  transitiveTagKeys?: string[];
  /**
   * The source identity, which CloudTrail records with every call of the session and of the sessions that follow.
   * {namespace} is replaced by the SyncedSecret's namespace. The trust policy must allow sts:SetSourceIdentity.
   * Default: none.
   */
  sourceIdentity?: string;
  /**
   * The length of a session, between 15m and 12h, at most the role's maximum session duration. AWS allows at most 1h if
   * another role assumes it; the operator's own identity usually is a role. Default: 1h.
   */
  duration?: string;
}

/**
 * This cluster's share of the account's quota in the region, which other clusters and pipelines use too. If several
 * ClusterAWSConnections of one account and region set a limit, the lowest applies.
 */
export interface ClusterAWSConnectionSpecLimits {
  /** Requests per second to Systems Manager, of at most ten parameters each. Default: 20. */
  ssmRequestsPerSecond?: number;
  /** Requests per second to KMS, one for each decrypted blob. Default: 100. */
  kmsRequestsPerSecond?: number;
}

/**
 * The queue on which AWS announces changes, so that they arrive within a second and polls are rarer. Default: none,
 * only polls find changes.
 */
export interface ClusterAWSConnectionSpecEvents {
  /**
   * The URL of the SQS queue to which an EventBridge rule sends Parameter Store's changes. One queue serves one
   * cluster: its tag keyferry.io/cluster, if set, must equal the operator's --cluster-name.
   */
  queueUrl: string;
  /**
   * The identity that receives, if each namespace has its own identity and the connection has no single one. Default:
   * the role of auth.serviceAccountRef if it has a namespace, the keys of auth.secretRef, or else the operator's own
   * identity.
   */
  auth?: ClusterAWSConnectionSpecEventsAuth;
}

/**
 * The identity that receives, if each namespace has its own identity and the connection has no single one. Default: the
 * role of auth.serviceAccountRef if it has a namespace, the keys of auth.secretRef, or else the operator's own
 * identity.
 */
export interface ClusterAWSConnectionSpecEventsAuth {
  /**
   * Roles to assume in order, at most 5, each with the credentials of the previous one; the last role receives. The
   * first is assumed with the role of auth.serviceAccountRef if it has a namespace, the keys of auth.secretRef, or else
   * the operator's own identity.
   */
  assumeRole: ClusterAWSConnectionSpecEventsAuthAssumeRole[];
}

/** A role, and the settings of its session. */
export interface ClusterAWSConnectionSpecEventsAuthAssumeRole {
  /** The role's ARN. The role's trust policy must name the identity that assumes it. */
  roleArn: string;
  /** The external id that the role's trust policy requires. No message shows it. Default: none. */
  externalId?: string;
  /**
   * Session tags, at most 50, for attribute-based policies. The trust policy must allow sts:TagSession. Default: none.
   */
  sessionTags?: Record<string, string>;
  /**
   * Names of sessionTags that the sessions of all following roles inherit, at most 50. The trust policies of the
   * following roles must allow sts:TagSession too, and those roles cannot set the same tags again. Default: none.
   */
  transitiveTagKeys?: string[];
  /**
   * The source identity, which CloudTrail records with every call of the session and of the sessions that follow. The
   * trust policy must allow sts:SetSourceIdentity. Default: none.
   */
  sourceIdentity?: string;
  /**
   * The length of a session, between 15m and 12h, at most the role's maximum session duration. AWS allows at most 1h if
   * another role assumes it; the operator's own identity usually is a role. Default: 1h.
   */
  duration?: string;
}

/**
 * Binds every ciphertext to the place where it is used. Each blob and message must have an encryption context that
 * names the cluster and the namespace, and with scope Name the SyncedSecret; a copy cannot be decrypted elsewhere. The
 * operator adds this context to each decryption, so CloudTrail records it. RSA has no context and is refused. Needs the
 * operator's --cluster-name. Default: no binding.
 */
export interface ClusterAWSConnectionSpecBinding {
  /**
   * The pairs of the context. None: no pairs. Namespace: keyferry.io/cluster and keyferry.io/namespace. Name: also
   * keyferry.io/name, the SyncedSecret's name.
   */
  scope: "None" | "Namespace" | "Name";
  /**
   * Decrypts entries with bound: false without that context, for a migration of blobs from before binding was on.
   * Default: false.
   */
  allowUnbound?: boolean;
}

/** Which namespaces may use this connection, and for what. allow.namespaces is required. */
export interface ClusterAWSConnectionSpecAllow {
  /** The namespaces whose SyncedSecrets may use this connection, by names or by selector. Required. */
  namespaces?: ClusterAWSConnectionSpecAllowNamespaces;
  /**
   * Names that may be read, at most 200: /shop/db is one parameter, /shop/* is every name with that prefix. * is
   * allowed only at the end. {namespace}, as a whole level, is replaced by the SyncedSecret's namespace. Only ARN
   * patterns match ARNs, and only patterns that start with /aws/service/ or the like match names below /aws/. Default:
   * none.
   */
  parameters?: string[];
  /**
   * The ARNs of the KMS keys for blobs and messages, at most 100; each blob must then name its key by its ARN. The ARN
   * of a multi-Region key (mrk-...) covers its replicas in all regions. IAM decides about the keys of SecureStrings. *
   * allows every key that the identity may use. Default: none, or with binding every key that the identity may use.
   */
  keyIds?: string[];
  /**
   * Lets messages of the AWS Encryption SDK without encryptionSDK.keyIds name their own KMS keys: keys of these
   * accounts in this connection's region, including replicas of multi-Region keys. allow.keyIds, if set, applies to
   * them too. Default: each entry must list its keys.
   */
  discovery?: ClusterAWSConnectionSpecAllowDiscovery;
}

/** The namespaces whose SyncedSecrets may use this connection, by names or by selector. Required. */
export interface ClusterAWSConnectionSpecAllowNamespaces {
  /** Namespaces with these labels; {} selects all. */
  selector?: ClusterAWSConnectionSpecAllowNamespacesSelector;
  /** The namespaces by name, at most 500. */
  names?: string[];
}

/** Namespaces with these labels; {} selects all. */
export interface ClusterAWSConnectionSpecAllowNamespacesSelector {
  /** Labels and values that a namespace must have, at most 32. Default: none. */
  matchLabels?: Record<string, string>;
  /** Requirements that a namespace's labels must all meet, at most 32. Default: none. */
  matchExpressions?: ClusterAWSConnectionSpecAllowNamespacesSelectorMatchExpressions[];
}

/** One requirement. */
export interface ClusterAWSConnectionSpecAllowNamespacesSelectorMatchExpressions {
  /** The label's name. */
  key: string;
  /** In and NotIn compare the label's value with values; Exists and DoesNotExist check whether the label is set. */
  operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  /** Values for In and NotIn, at most 100. */
  values?: string[];
}

/**
 * Lets messages of the AWS Encryption SDK without encryptionSDK.keyIds name their own KMS keys: keys of these accounts
 * in this connection's region, including replicas of multi-Region keys. allow.keyIds, if set, applies to them too.
 * Default: each entry must list its keys.
 */
export interface ClusterAWSConnectionSpecAllowDiscovery {
  /** The accounts of the keys, at most 100; [] means the connection's own account. */
  accounts: string[];
  /** The partition of the keys, which must be that of the connection's region. Default: that partition. */
  partition?: "aws" | "aws-cn" | "aws-us-gov" | "aws-iso" | "aws-iso-b" | "aws-iso-e" | "aws-iso-f" | "aws-eusc";
}

/**
 * Custom endpoints: VPC endpoints, or an emulator. Plain http and loopback addresses need the operator's flag
 * --allow-insecure-endpoints. {region} is replaced by the region. An endpoint without it applies to spec.region only;
 * failoverRegions then use AWS's endpoints. Default: AWS's endpoints.
 */
export interface ClusterAWSConnectionSpecEndpoints {
  /** The URL for Systems Manager. Default: AWS's endpoint. */
  ssm?: string;
  /** The URL for KMS. Default: AWS's endpoint. */
  kms?: string;
  /** The URL for STS. Default: AWS's endpoint. */
  sts?: string;
  /** The URL for SQS. Default: AWS's endpoint. */
  sqs?: string;
}

/** The observed state. The operator writes it, only when it changes. */
export interface ClusterAWSConnectionStatus {
  /** The metadata.generation that this status describes; -1 until the operator has seen the resource. */
  observedGeneration?: number;
  /**
   * Ready is True while AWS accepts the credentials. Stalled is present while only a change of the spec can help,
   * FailedOver while a region of spec.failoverRegions is in use, and ExpiryUnknown while the operator cannot read
   * expiries. With spec.events, EventsReady tells whether the operator receives from the queue. Ready depends on
   * neither EventsReady nor ExpiryUnknown.
   */
  conditions?: Condition[];
  /**
   * The AWS account of the credentials, from sts:GetCallerIdentity; if each namespace has its own identity, the account
   * of the last role.
   */
  accountID?: string;
  /** The ARN of the caller, from sts:GetCallerIdentity. Absent if each namespace has its own identity. */
  callerARN?: string;
  /** The poll interval in effect. It is longer than spec.pollInterval if the account's quota is too small. */
  pollInterval?: string;
}

/** A Secret with values from AWS Systems Manager parameters and KMS-encrypted blobs, kept up to date. */
export interface SyncedSecret {
  apiVersion: "keyferry.io/v1alpha1";
  kind: "SyncedSecret";
  metadata: ObjectMeta;
  /** The sources of the Secret, its form, and when it is updated. */
  spec: SyncedSecretSpec;
  /** The observed state. The operator writes it, only when it changes. */
  status?: SyncedSecretStatus;
}

/** The sources of the Secret, its form, and when it is updated. */
export interface SyncedSecretSpec {
  /** Pauses this resource while true: nothing is read or written, and the Secret stays as it is. Default: false. */
  suspend?: boolean;
  /**
   * The connection to AWS. It must allow this namespace and every name below, otherwise nothing is read. Default: the
   * ClusterAWSConnection named default.
   */
  connectionRef?: SyncedSecretSpecConnectionRef;
  /** Keys of the Secret, one per entry. They have precedence over equal keys from dataFrom. At most 200. */
  data?: SyncedSecretSpecData[];
  /** Sources of many keys: every parameter below a path, or every property of one parameter or message. At most 50. */
  dataFrom?: SyncedSecretSpecDataFrom[];
  /** The Secret to write. Default: a Secret with this resource's name, of type Opaque. */
  target?: SyncedSecretSpecTarget;
  /** When the sources are checked, and how their changes are handled. */
  refresh?: SyncedSecretSpecRefresh;
  /**
   * Restarts workloads that use the Secret when its bytes change. Whoever may edit this can restart workloads of the
   * namespace. The operator must have been given the right to (the chart's value rbac.rollouts).
   */
  rollout?: SyncedSecretSpecRollout;
}

/**
 * The connection to AWS. It must allow this namespace and every name below, otherwise nothing is read. Default: the
 * ClusterAWSConnection named default.
 */
export interface SyncedSecretSpecConnectionRef {
  /** ClusterAWSConnection, or AWSConnection for a connection in this resource's namespace. */
  kind: "ClusterAWSConnection" | "AWSConnection";
  /** The connection's name. */
  name: string;
}

/** One key of the Secret, and the source of its value. */
export interface SyncedSecretSpecData {
  /** The key in the Secret. Letters, digits, -, _ and ., at most 253 characters. */
  key: string;
  /** An SSM parameter. Its value becomes the key's value. */
  parameter?: SyncedSecretSpecDataParameter;
  /**
   * A ciphertext from KMS Encrypt, or made offline with the public key of an RSA key in KMS. Its plaintext becomes the
   * key's value: at most 4,096 bytes, or the maximum of the RSA key.
   */
  kms?: SyncedSecretSpecDataKms;
  /** A message of the AWS Encryption SDK: envelope encryption of any size. Its plaintext becomes the key's value. */
  encryptionSDK?: SyncedSecretSpecDataEncryptionSDK;
  /**
   * A JMESPath expression, such as user.name, that extracts a part of the source, which must be JSON. A string is used
   * as it is, any other value as JSON; numbers keep every digit. A path that finds nothing is an error. Default: the
   * whole value.
   */
  jmesPath?: string;
  /**
   * How the value is decoded, after jmesPath. Base64 and Base64URL are for binary values such as keystores; invalid
   * text is an error. Default: None.
   */
  decode?: "None" | "Base64" | "Base64URL";
  /**
   * Omits the key while the parameter, version or label does not exist, instead of failing. Only for a parameter, and
   * not with default. Default: false.
   */
  optional?: boolean;
  /**
   * The value while the parameter, version or label does not exist. jmesPath and decode do not apply to it. It is plain
   * text in this resource, so it must not be a secret. Only for a parameter, and not with optional. At most 8,192
   * characters. Default: none, a missing parameter is an error.
   */
  default?: string;
}

/** An SSM parameter. Its value becomes the key's value. */
export interface SyncedSecretSpecDataParameter {
  /**
   * The parameter's name, such as /shop/checkout/db, or the ARN of a parameter that another account shares. At most 15
   * levels.
   */
  name: string;
  /**
   * The version to pin: the key then never changes by itself. Default: the latest version, if label is not set either.
   */
  version?: number;
  /**
   * The label to follow: the version that has it now. When the label moves, the Secret is updated. Default: the latest
   * version, if version is not set either.
   */
  label?: string;
}

/**
 * A ciphertext from KMS Encrypt, or made offline with the public key of an RSA key in KMS. Its plaintext becomes the
 * key's value: at most 4,096 bytes, or the maximum of the RSA key.
 */
export interface SyncedSecretSpecDataKms {
  /**
   * The output of KMS Encrypt, or of RSA-OAEP with the public key, in base64 on one line. At most 8,192 characters
   * (6,144 bytes).
   */
  ciphertext: string;
  /**
   * The KMS key that encrypted the blob: an ARN, a key id, or an alias (alias/NAME), in the connection's region. A
   * multi-Region key (mrk-...) may be named by its ARN in any region; the replica in the connection's region is used. A
   * blob of another key is refused. Required with an RSA algorithm, and, as an ARN, if the connection sets
   * allow.keyIds. Default: any key that AWS allows.
   */
  keyId?: string;
  /**
   * The algorithm that encrypted the blob. RSAES_OAEP_SHA_1 and RSAES_OAEP_SHA_256 are for RSA keys, need keyId, and
   * are refused with encryptionContext and while the connection's binding is on. Default: SYMMETRIC_DEFAULT.
   */
  algorithm?: "SYMMETRIC_DEFAULT" | "RSAES_OAEP_SHA_1" | "RSAES_OAEP_SHA_256";
  /**
   * False decrypts the blob without the encryption context of the connection's binding, for blobs from before binding
   * was on. Needs binding.allowUnbound of the connection. Default: true, which follows the connection's binding.
   */
  bound?: boolean;
  /**
   * The encryption context of the blob: exactly its pairs, except those under keyferry.io/, which the connection's
   * binding adds. KMS refuses the blob with another context. CloudTrail records the context in plain text, so it must
   * not contain a secret. At most 16 pairs. Default: none.
   */
  encryptionContext?: Record<string, string>;
}

/** A message of the AWS Encryption SDK: envelope encryption of any size. Its plaintext becomes the key's value. */
export interface SyncedSecretSpecDataEncryptionSDK {
  /**
   * The message, in base64 on one line. At most 1,400,000 characters (1,050,000 bytes). It must have key commitment,
   * the default since version 2 of the SDKs, and at most 10 data keys.
   */
  ciphertext: string;
  /**
   * The ARNs of the KMS keys that may decrypt the message, at most 10, tried in this order. A multi-Region key
   * (mrk-...) may be named by its ARN in any region; the replica in the connection's region is used. Default: the keys
   * that the message names, if the connection's allow.discovery permits them.
   */
  keyIds?: string[];
  /**
   * Pairs that the message's encryption context must contain; it may contain more. A message without them, or with
   * other values, is refused. At most 16 pairs. Default: none.
   */
  encryptionContext?: Record<string, string>;
  /**
   * False decrypts the message without the encryption context of the connection's binding, for messages from before
   * binding was on. Needs binding.allowUnbound of the connection. Default: true, which follows the connection's
   * binding.
   */
  bound?: boolean;
}

/** One source of many keys. */
export interface SyncedSecretSpecDataFrom {
  /**
   * The parameters below a path. Each becomes a key: the rest of its name after the path, with _ for each /, unless
   * rename is set.
   */
  path?: SyncedSecretSpecDataFromPath;
  /** One SSM parameter. Each of its properties becomes a key. Needs format. */
  parameter?: SyncedSecretSpecDataFromParameter;
  /**
   * A message of the AWS Encryption SDK: envelope encryption of any size. Each property of its plaintext becomes a key.
   * Needs format.
   */
  encryptionSDK?: SyncedSecretSpecDataFromEncryptionSDK;
  /**
   * How the value of the parameter or message is parsed into keys: the properties of the outermost object (JSON, YAML),
   * lines of NAME=value (Dotenv), or comma-separated items of name=value (StringList). YAML may have at most 64 KiB.
   * Required with parameter and encryptionSDK, and not for a path.
   */
  format?: "JSON" | "YAML" | "Dotenv" | "StringList";
  /**
   * How names become keys of the Secret, in this order: stripPrefix, rewrite, separator, case. A result that is not a
   * valid Secret key is an error: only / is replaced automatically, use rewrite for other characters.
   */
  rename?: SyncedSecretSpecDataFromRename;
  /**
   * How a JSON or YAML property that is null is handled. Fail is an error, and nothing is written; Omit leaves its key
   * out; Empty makes it an empty value. Only with format JSON or YAML. Default: Fail.
   */
  nullValues?: "Fail" | "Omit" | "Empty";
  /**
   * How a key that an earlier entry of dataFrom also produces is handled. Fail is an error that names the key, and
   * nothing is written; Override uses this entry. Keys of data always have precedence. Default: Fail.
   */
  onConflict?: "Fail" | "Override";
  /**
   * Accepts a source without keys. If false, it is an error, so that a mistyped path does not empty the Secret.
   * Default: false.
   */
  allowEmpty?: boolean;
}

/**
 * The parameters below a path. Each becomes a key: the rest of its name after the path, with _ for each /, unless
 * rename is set.
 */
export interface SyncedSecretSpecDataFromPath {
  /** The path, such as /shop/checkout/; the last / is optional. At most 15 levels. */
  name: string;
  /** Includes parameters at deeper levels, not only directly below the path. Default: false. */
  recursive?: boolean;
  /**
   * Includes only parameters with a version that has this label, and uses that version. Default: the latest version of
   * each parameter.
   */
  label?: string;
  /** Includes only parameters of these types. Default: all types. */
  types?: ("String" | "StringList" | "SecureString")[];
  /**
   * Includes only parameters that have all of these tags with these values, at most 10. Needs ssm:DescribeParameters in
   * the connection's IAM policy; only polls find changes of tags. Default: all parameters.
   */
  tags?: Record<string, string>;
  /**
   * Includes only parameters whose full name, including the path, contains a match of one of these RE2 patterns. At
   * most 20. Default: all.
   */
  include?: string[];
  /**
   * Excludes parameters whose full name, including the path, contains a match of one of these RE2 patterns. It has
   * precedence over include. At most 20. Default: none.
   */
  exclude?: string[];
}

/** One SSM parameter. Each of its properties becomes a key. Needs format. */
export interface SyncedSecretSpecDataFromParameter {
  /**
   * The parameter's name, such as /shop/checkout/db, or the ARN of a parameter that another account shares. At most 15
   * levels.
   */
  name: string;
  /**
   * The version to pin: its keys then never change by themselves. Default: the latest version, if label is not set
   * either.
   */
  version?: number;
  /**
   * The label to follow: the version that has it now. When the label moves, the Secret is updated. Default: the latest
   * version, if version is not set either.
   */
  label?: string;
}

/**
 * A message of the AWS Encryption SDK: envelope encryption of any size. Each property of its plaintext becomes a key.
 * Needs format.
 */
export interface SyncedSecretSpecDataFromEncryptionSDK {
  /**
   * The message, in base64 on one line. At most 1,400,000 characters (1,050,000 bytes). It must have key commitment,
   * the default since version 2 of the SDKs, and at most 10 data keys.
   */
  ciphertext: string;
  /**
   * The ARNs of the KMS keys that may decrypt the message, at most 10, tried in this order. A multi-Region key
   * (mrk-...) may be named by its ARN in any region; the replica in the connection's region is used. Default: the keys
   * that the message names, if the connection's allow.discovery permits them.
   */
  keyIds?: string[];
  /**
   * Pairs that the message's encryption context must contain; it may contain more. A message without them, or with
   * other values, is refused. At most 16 pairs. Default: none.
   */
  encryptionContext?: Record<string, string>;
  /**
   * False decrypts the message without the encryption context of the connection's binding, for messages from before
   * binding was on. Needs binding.allowUnbound of the connection. Default: true, which follows the connection's
   * binding.
   */
  bound?: boolean;
}

/**
 * How names become keys of the Secret, in this order: stripPrefix, rewrite, separator, case. A result that is not a
 * valid Secret key is an error: only / is replaced automatically, use rewrite for other characters.
 */
export interface SyncedSecretSpecDataFromRename {
  /** The prefix to remove from names that start with it. Default: the path's name, and nothing for a parameter. */
  stripPrefix?: string;
  /** The replacement for each / in a name, at most 8 characters; may be empty. Default: the character _. */
  separator?: string;
  /** Converts keys to upper or lower case. Default: unchanged. */
  case?: "Upper" | "Lower";
  /** Replacements in every name after stripPrefix, applied in order, at most 20. Default: none. */
  rewrite?: SyncedSecretSpecDataFromRenameRewrite[];
}

/** Replaces every match of a pattern. */
export interface SyncedSecretSpecDataFromRenameRewrite {
  /** An RE2 pattern, at most 512 characters. */
  pattern: string;
  /**
   * The replacement, at most 512 characters; may be empty. $1 and ${name} are the pattern's groups, \$ is a dollar
   * sign.
   */
  replacement: string;
}

/** The Secret to write. Default: a Secret with this resource's name, of type Opaque. */
export interface SyncedSecretSpecTarget {
  /**
   * The Secret's name, in this resource's namespace. After a change, the new Secret is written first and the old one
   * deleted afterwards. Default: this resource's name.
   */
  name?: string;
  /**
   * The Secret's type: Opaque, kubernetes.io/tls, kubernetes.io/dockerconfigjson, kubernetes.io/dockercfg,
   * kubernetes.io/basic-auth, kubernetes.io/ssh-auth, or a type in your own domain, such as example.com/credentials. It
   * cannot be changed later: use a new target.name instead. Not with creationPolicy Merge. Default: Opaque.
   */
  type?: string;
  /**
   * Labels of the Secret, at most 32. Names under keyferry.io are refused. The operator also refuses kubernetes.io
   * (except app.kubernetes.io), k8s.io, argocd.argoproj.io and sealedsecrets.bitnami.com, because other programs act on
   * them, unless --allowed-target-metadata allows the domain. Default: none.
   */
  labels?: Record<string, string>;
  /**
   * Annotations of the Secret, at most 32, each at most 4,096 characters. Names under keyferry.io are refused. The
   * operator also refuses kubernetes.io (except app.kubernetes.io), k8s.io, argocd.argoproj.io and
   * sealedsecrets.bitnami.com, because other programs act on them, unless --allowed-target-metadata allows the domain.
   * Default: none.
   */
  annotations?: Record<string, string>;
  /**
   * Who owns the Secret. Owner creates it and deletes it with this resource. Orphan creates it and keeps it when this
   * resource is deleted. Merge writes keys into an existing Secret whose annotation keyferry.io/allow-merge has this
   * resource's name. Default: Owner.
   */
  creationPolicy?: "Owner" | "Merge" | "Orphan";
  /**
   * Makes the Secret immutable: nobody can change its data. Needs refresh.policy Once; not with creationPolicy Merge.
   * Default: false.
   */
  immutable?: boolean;
  /** Keys that templates build from the other keys. Default: none. */
  template?: SyncedSecretSpecTargetTemplate;
}

/** Keys that templates build from the other keys. Default: none. */
export interface SyncedSecretSpecTargetTemplate {
  /**
   * Liquid templates by key of the Secret, at most 50, each at most 65,536 characters and 262,144 in total. Write {{
   * DB_USER }} for a key of data or dataFrom, and {{ data["tls.key"] }} if it contains a dot. A key that does not exist
   * is an error, except in if, unless, case and default. Ranges such as (1..5) are not supported.
   */
  data: Record<string, string>;
  /**
   * Also writes the keys of data and dataFrom; none may have the name of a template. If false, the Secret has only the
   * templates' keys. Default: false.
   */
  includeSourceKeys?: boolean;
}

/** When the sources are checked, and how their changes are handled. */
export interface SyncedSecretSpecRefresh {
  /**
   * Follow updates the Secret when its sources change. Once reads the sources only after the spec was created or
   * changed; edits of the Secret are still repaired. Default: Follow.
   */
  policy?: "Follow" | "Once";
  /**
   * How often the versions of the sources are polled, such as 30s, 5m or 1h30m, between 10s and 24h. Values are read
   * only when a version differs. An interval shorter than the connection's has no effect. Default: the connection's
   * interval.
   */
  pollInterval?: string;
  /**
   * How long Ready stays True while AWS does not answer, such as 50m, between 20s and 168h. The Secret stays after that
   * too. It must be longer than pollInterval. Default: ten intervals.
   */
  staleAfter?: string;
  /**
   * What happens after a source was deleted, which a second check five minutes later must confirm. Retain keeps the
   * Secret with its last value, and Ready turns False; DeleteKeys removes the source's keys; DeleteSecret deletes the
   * Secret. A denial, a throttle or an outage never counts as a deletion. Default: Retain.
   */
  whenMissing?: "Retain" | "DeleteKeys" | "DeleteSecret";
  /**
   * What happens when a source expires by its policy Expiration. Retain keeps the Secret with its last value, and Ready
   * turns False; DeleteKeys removes the source's keys; DeleteSecret deletes the Secret. Needs ssm:DescribeParameters in
   * the connection's IAM policy; no effect under policy Once. Default: Retain.
   */
  whenExpired?: "Retain" | "DeleteKeys" | "DeleteSecret";
  /**
   * When changes of the sources are applied. Outside, the Secret keeps its versions, and the condition ChangePending
   * tells of the change. A first sync, a repair, a change of the spec and the annotation keyferry.io/refresh do not
   * wait. At most 100 sources; needs policy Follow. Default: at any time.
   */
  windows?: SyncedSecretSpecRefreshWindows[];
  /**
   * Automatic applies a change of the sources as soon as a window of refresh.windows allows it. Manual applies only the
   * pending revision of status.pendingRevision that the annotation keyferry.io/approve names. At most 100 sources;
   * needs policy Follow. Default: Automatic.
   */
  approval?: "Automatic" | "Manual";
  /**
   * What is applied although it would have to wait for a window or an approval. Expiry: what whenExpired demands. None:
   * nothing. Default: Expiry.
   */
  windowOverride?: "Expiry" | "None";
}

/** A time that comes again and again. */
export interface SyncedSecretSpecRefreshWindows {
  /** When it opens: a cron expression of five fields, such as 0 2 * * 1-5. */
  schedule: string;
  /** How long it stays open, such as 2h, between 1m and 168h. It is elapsed time, also where clocks change. */
  duration: string;
  /**
   * An IANA time zone, such as Europe/Paris. A start in an hour that it skips opens at the end of that hour; one in an
   * hour that it repeats opens once. Default: UTC.
   */
  timeZone?: string;
}

/**
 * Restarts workloads that use the Secret when its bytes change. Whoever may edit this can restart workloads of the
 * namespace. The operator must have been given the right to (the chart's value rbac.rollouts).
 */
export interface SyncedSecretSpecRollout {
  /**
   * None restarts nothing. Auto restarts the workloads of the namespace that use the Secret by env, envFrom or a
   * volume. Listed restarts those of rollout.targets. Default: None.
   */
  mode: "None" | "Auto" | "Listed";
  /**
   * The workloads that mode Listed restarts, in the SyncedSecret's own namespace. Required with rollout.mode Listed.
   */
  targets?: SyncedSecretSpecRolloutTargets[];
  /**
   * Parallel restarts workloads at once, within the operator's limit. OneByOne restarts the next one when the last one
   * is available. Default: Parallel.
   */
  order?: "Parallel" | "OneByOne";
  /**
   * The workloads that are restarted before all others. The others follow when these have been available for bake. A
   * missing or paused one, or one without replicas, stops the rollout. Mounted files change in all pods, whatever the
   * order. Default: none.
   */
  first?: SyncedSecretSpecRolloutFirst[];
  /**
   * How long the workloads of first must have been available before the others are restarted, such as 10m, between 0s
   * and 24h. After a hand-over between replicas of the operator it is measured anew. Default: 10m.
   */
  bake?: string;
  /**
   * What happens when a restarted workload does not become available. Pause restarts no further workload with these
   * bytes. Continue restarts the others all the same. Revert sets the Secret back to the last good version of each
   * parameter, restarts the workload with it, and holds the failed version back until a source changes or
   * keyferry.io/approve names it; at most 100 sources, and refresh.policy Follow. Default: Pause.
   */
  onFailure?: "Continue" | "Pause" | "Revert";
  /** When restarts may begin. A window that closes starts nothing more, and stops nothing. Default: at any time. */
  windows?: SyncedSecretSpecRolloutWindows[];
  /**
   * The least time between two restarts of a workload for this Secret, such as 1m or 1h, between 0s and 24h. Changes in
   * between are rolled out together. Default: 1m.
   */
  minInterval?: string;
  /**
   * How long a restarted StatefulSet or DaemonSet may take to be available, such as 10m, between 10s and 24h. A
   * Deployment and a Rollout have a deadline of their own. Default: 10m.
   */
  progressDeadline?: string;
}

/** A workload. */
export interface SyncedSecretSpecRolloutTargets {
  /** Deployment, StatefulSet, DaemonSet, or Rollout of Argo Rollouts. */
  kind: "Deployment" | "StatefulSet" | "DaemonSet" | "Rollout";
  /** The workload's name. */
  name: string;
}

/** A workload. */
export interface SyncedSecretSpecRolloutFirst {
  /** Deployment, StatefulSet, DaemonSet, or Rollout of Argo Rollouts. */
  kind: "Deployment" | "StatefulSet" | "DaemonSet" | "Rollout";
  /** The workload's name. */
  name: string;
}

/** A time that comes again and again. */
export interface SyncedSecretSpecRolloutWindows {
  /** When it opens: a cron expression of five fields, such as 0 2 * * 1-5. */
  schedule: string;
  /** How long it stays open, such as 2h, between 1m and 168h. It is elapsed time, also where clocks change. */
  duration: string;
  /**
   * An IANA time zone, such as Europe/Paris. A start in an hour that it skips opens at the end of that hour; one in an
   * hour that it repeats opens once. Default: UTC.
   */
  timeZone?: string;
}

/** The observed state. The operator writes it, only when it changes. */
export interface SyncedSecretStatus {
  /** The metadata.generation that this status describes; -1 until the operator has seen the resource. */
  observedGeneration?: number;
  /**
   * Ready is True while the Secret is current. Reconciling is present while the operator retries, Stalled while only a
   * change of the spec can help, FailedOver while the Secret has values from one of the connection's failoverRegions,
   * and KeyAtRisk, ExpiringSoon, RotationDue and ExpiryUnknown while there is a warning. ChangePending is present while
   * a change of the sources waits for a window or an approval, and HeldBack after a failed rollout with
   * rollout.onFailure Revert. RolledOut tells, with spec.rollout, whether the workloads run with the current bytes.
   * Ready does not depend on these.
   */
  conditions?: Condition[];
  /** The last written Secret. */
  secretRef?: SyncedSecretStatusSecretRef;
  /**
   * The API server's answer to the last apply of the Secret. It distinguishes the operator's apply from an apply by
   * somebody else with the same field manager.
   */
  applied?: SyncedSecretStatusApplied;
  /**
   * A digest of the spec and of the sources' versions, never of a value. The Secret's annotation keyferry.io/revision
   * has the same value.
   */
  revision?: string;
  /** The number of keys that this resource wrote to the Secret. */
  keyCount?: number;
  /** The sources of the Secret, at most 100. */
  sources?: SyncedSecretStatusSources[];
  /** The number of sources that are not listed. */
  sourcesOmitted?: number;
  /**
   * The ARNs of the KMS keys of the blobs, as KMS reported them at the last decryption. If kms:DescribeKey is allowed,
   * they are checked every hour, and the condition KeyAtRisk has the warnings.
   */
  kmsKeys?: string[];
  /** When the Secret was last changed. */
  lastChangeTime?: string;
  /** When the next source expires, if any. */
  nextExpiryTime?: string;
  /**
   * The revision of a change of the sources that is not applied yet, for the annotation keyferry.io/approve; absent if
   * there is none.
   */
  pendingRevision?: string;
  /** The sources that a change that is not applied yet concerns; the first ten by name. */
  pendingChanges?: SyncedSecretStatusPendingChanges[];
  /**
   * The last revision whose rollout succeeded, with rollout.onFailure Revert. It counts only if the Secret's annotation
   * keyferry.io/last-good-revision names it.
   */
  lastGood?: SyncedSecretStatusLastGood;
  /**
   * The revision that is held back because a workload did not become available with it, or that could not be taken
   * back; absent if there is none.
   */
  heldBack?: SyncedSecretStatusHeldBack;
  /**
   * The rollout that makes rollout.onFailure Revert set the Secret back: a workload that was available before, and
   * whose pod template nobody has changed since, is not available with it.
   */
  failedRollout?: SyncedSecretStatusFailedRollout;
  /**
   * The last revision that all workloads run with, with spec.rollout. A first sync is recorded here without a restart.
   */
  rolledOutRevision?: string;
  /** The workloads that use the Secret, with spec.rollout; those that need attention first. */
  workloads?: SyncedSecretStatusWorkloads[];
  /**
   * The last handled value of the annotation keyferry.io/refresh. A different value requests a check of the sources.
   */
  lastHandledRefresh?: string;
}

/** The last written Secret. */
export interface SyncedSecretStatusSecretRef {
  /** The Secret's name, in this resource's namespace. */
  name: string;
}

/**
 * The API server's answer to the last apply of the Secret. It distinguishes the operator's apply from an apply by
 * somebody else with the same field manager.
 */
export interface SyncedSecretStatusApplied {
  /** The revision that was applied. */
  revision: string;
  /** The Secret's resourceVersion after the apply. */
  resourceVersion: string;
  /** When the API server recorded the apply in the Secret's managedFields. */
  time?: string;
}

/** A source, and its version in the Secret. */
export interface SyncedSecretStatusSources {
  /** The parameter's name or ARN. */
  name: string;
  /** The requested version or label, if any. */
  selector?: string;
  /** The version of the parameter in the Secret. */
  version: number;
  /** The version id of a secret of Secrets Manager, whose version is always 0. */
  versionId?: string;
  /** When that version was created. */
  lastModified: string;
  /** When the parameter expires by its policy Expiration. Needs ssm:DescribeParameters. */
  expiresAt?: string;
  /** The KMS key of a SecureString, as the parameter names it. Needs ssm:DescribeParameters. */
  keyId?: string;
}

/** A source whose version differs from the applied one. */
export interface SyncedSecretStatusPendingChanges {
  /** The parameter's name, with its version or label if the spec names one. */
  name: string;
  /** The applied version; absent if the Secret was made without the source. */
  from?: number;
  /** The new version; absent if the source is deleted or expired. */
  to?: number;
}

/**
 * The last revision whose rollout succeeded, with rollout.onFailure Revert. It counts only if the Secret's annotation
 * keyferry.io/last-good-revision names it.
 */
export interface SyncedSecretStatusLastGood {
  /** The revision. */
  revision: string;
  /** The text of the Secret's annotation, in case somebody removes it. */
  record?: string;
  /** Its sources. */
  sources: SyncedSecretStatusLastGoodSources[];
}

/** A source, and its version. */
export interface SyncedSecretStatusLastGoodSources {
  /** The parameter's name or ARN. */
  name: string;
  /** The requested version or label, if any. */
  selector?: string;
  /** The version of the parameter. */
  version: number;
  /** The version id of a secret of Secrets Manager, whose version is always 0. */
  versionId?: string;
  /** When that version was created. */
  lastModified: string;
}

/**
 * The revision that is held back because a workload did not become available with it, or that could not be taken back;
 * absent if there is none.
 */
export interface SyncedSecretStatusHeldBack {
  /** What the annotation keyferry.io/approve names to apply the revision all the same. */
  revision: string;
  /** Which workload failed, and how. */
  cause: string;
  /** The text of the Secret's annotation keyferry.io/held-back-revision, in case somebody removes it. */
  record?: string;
  /** Why the Secret was not set back; absent if it was. */
  problem?: string;
  /** The sources that differ from the last good version; the first ten by name. */
  changes?: SyncedSecretStatusHeldBackChanges[];
}

/** A source whose version differs. */
export interface SyncedSecretStatusHeldBackChanges {
  /** The parameter's name, with its version or label if the spec names one. */
  name: string;
  /** The last good version; absent if it had none. */
  from?: number;
  /** The version that is held back; absent if the source was missing. */
  to?: number;
}

/**
 * The rollout that makes rollout.onFailure Revert set the Secret back: a workload that was available before, and whose
 * pod template nobody has changed since, is not available with it.
 */
export interface SyncedSecretStatusFailedRollout {
  /** The Secret's restart revision. */
  restartRevision: string;
  /** Which workload failed, and how. */
  cause: string;
  /** When it was seen last, to a few minutes. */
  observedTime: string;
}

/** A workload that uses the Secret, or that rollout.targets names. */
export interface SyncedSecretStatusWorkloads {
  /** Deployment, StatefulSet, DaemonSet, CronJob, or Rollout of Argo Rollouts. */
  kind: string;
  /** The workload's name. */
  name: string;
  /** How it uses the Secret: Env, EnvFrom, Volume or ImagePullSecret. */
  uses?: string[];
  /**
   * Current: its pods run with the current bytes. NoRestartNeeded: a CronJob, or a use by imagePullSecrets only.
   * Waiting: it will be restarted. OutsideWindow: it will be restarted in a window of rollout.windows. BehindFirst: it
   * will be restarted after rollout.first. FirstNotReady: rollout.first names it, and it is missing, paused or without
   * replicas. Halted: another restart has failed. Restarting: its rollout is under way. Paused: its rollout is paused.
   * Failed: it has not become available. Undone: somebody took the restart back twice. Manual: its update strategy is
   * OnDelete. Owned: another controller owns it. Missing: rollout.targets names it, and it does not exist.
   */
  state: string;
  /** The last restart revision that the operator has restarted it for. */
  restartedFor?: string;
  /** Whether the restart was taken back by somebody, and repeated once. */
  putBack?: boolean;
  /**
   * A digest of its pod template, without the operator's annotations, with which it was available before the restart;
   * with rollout.onFailure Revert only.
   */
  availableWith?: string;
}
