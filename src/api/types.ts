// Generated from crds/ by scripts/generate-types.ts. Do not edit.

import type { Condition } from "./conditions.ts";
import type { ObjectMeta } from "./metadata.ts";

/** An AWS region and the credentials for it, for the SyncedSecrets of one namespace. */
export interface AWSConnection {
  apiVersion: "keyferry.io/v1alpha1";
  kind: "AWSConnection";
  metadata: ObjectMeta;
  /** The region, the credentials, and what they may be used for. */
  spec: AWSConnectionSpec;
  /** What has been found. Written by the operator, and only when it changes. */
  status?: AWSConnectionStatus;
}

/** The region, the credentials, and what they may be used for. */
export interface AWSConnectionSpec {
  /** The AWS region whose parameters and KMS keys are used, such as eu-west-1. */
  region: string;
  /** The credentials for AWS. Required: a namespaced connection never uses the operator's own AWS identity. */
  auth?: AWSConnectionSpecAuth;
  /**
   * Regions of the same partition that stand in, in this order, while region does not answer: KMS blobs under
   * multi-Region keys are opened there, and parameters are read there for SyncedSecrets that have never had a Secret.
   * Never for a parameter that is pinned to a version, under policy Once, or after a denial, a throttle or a missing
   * parameter. None when left out.
   */
  failoverRegions?: string[];
  /**
   * How often the versions of parameters are looked at, such as 30s, 5m or 1h30m, between 10s and 24h. No SyncedSecret
   * can ask for a shorter interval. Where the account's quota is too small for it, it is stretched; status.pollInterval
   * says to what. 5m when left out.
   */
  pollInterval?: string;
  /** Bounds for what this connection asks of AWS, below those that hold for its account and region as a whole. */
  limits?: AWSConnectionSpecLimits;
  /**
   * Where AWS tells of changes, so that they arrive within a second and polls can be rarer. Changes are found by polls
   * alone when left out.
   */
  events?: AWSConnectionSpecEvents;
  /**
   * Ties every ciphertext to where it is used: each blob and message must then carry an encryption context that names
   * the cluster and the namespace, or the SyncedSecret too, and one that was copied elsewhere does not open. The
   * operator adds this context to each decryption itself, so CloudTrail's record says who asked. RSA has no context and
   * is refused. Needs the operator's --cluster-name. Nothing is asked for when left out.
   */
  binding?: AWSConnectionSpecBinding;
  /** What this connection may be used for. All that AWS allows when left out. */
  allow?: AWSConnectionSpecAllow;
}

/** The credentials for AWS. Required: a namespaced connection never uses the operator's own AWS identity. */
export interface AWSConnectionSpecAuth {
  /** A Secret with static keys, in this connection's own namespace. */
  secretRef?: AWSConnectionSpecAuthSecretRef;
  /**
   * Roles that are assumed one after another, at most 5, each with the credentials of the one before; the last one
   * reads. The first is assumed with the keys of secretRef. None when left out.
   */
  assumeRole?: AWSConnectionSpecAuthAssumeRole[];
}

/** A Secret with static keys, in this connection's own namespace. */
export interface AWSConnectionSpecAuthSecretRef {
  /**
   * The Secret's name. It holds AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary keys, AWS_SESSION_TOKEN.
   */
  name: string;
}

/** One role, and what is said when it is assumed. */
export interface AWSConnectionSpecAuthAssumeRole {
  /**
   * The role's ARN. {namespace} in it stands for this connection's namespace. Its trust policy must name whoever
   * assumes it.
   */
  roleArn: string;
  /**
   * The external id that the role's trust policy asks for, where it asks for one. No message shows it. None when left
   * out.
   */
  externalId?: string;
  /**
   * Tags of the session, at most 50, for policies by attribute. {namespace} in it stands for this connection's
   * namespace. The trust policy must allow sts:TagSession then. None when left out.
   */
  sessionTags?: Record<string, string>;
  /**
   * The source identity, which CloudTrail keeps with every call of the session and of those that follow from it.
   * {namespace} in it stands for this connection's namespace. The trust policy must allow sts:SetSourceIdentity then.
   * None when left out.
   */
  sourceIdentity?: string;
  /**
   * How long a session lasts before the role is assumed anew, between 15m and 12h. AWS allows 1h at most where a role
   * assumes it, which the operator's own identity mostly is, and else what the role's maximum session duration says. 1h
   * when left out.
   */
  duration?: string;
}

/** Bounds for what this connection asks of AWS, below those that hold for its account and region as a whole. */
export interface AWSConnectionSpecLimits {
  /** Requests a second to Systems Manager, of at most ten parameters each. None of its own when left out. */
  ssmRequestsPerSecond?: number;
  /** Requests a second to KMS, one for each blob that is decrypted. None of its own when left out. */
  kmsRequestsPerSecond?: number;
}

/**
 * Where AWS tells of changes, so that they arrive within a second and polls can be rarer. Changes are found by polls
 * alone when left out.
 */
export interface AWSConnectionSpecEvents {
  /**
   * The URL of the SQS queue that an EventBridge rule sends the changes of Parameter Store to. One queue serves one
   * cluster; its tag keyferry.io/cluster, where it has one, must be the operator's --cluster-name.
   */
  queueUrl: string;
}

/**
 * Ties every ciphertext to where it is used: each blob and message must then carry an encryption context that names the
 * cluster and the namespace, or the SyncedSecret too, and one that was copied elsewhere does not open. The operator
 * adds this context to each decryption itself, so CloudTrail's record says who asked. RSA has no context and is
 * refused. Needs the operator's --cluster-name. Nothing is asked for when left out.
 */
export interface AWSConnectionSpecBinding {
  /**
   * What the context names. None: nothing. Namespace: keyferry.io/cluster and keyferry.io/namespace. Name:
   * keyferry.io/name too, which is the SyncedSecret's own name.
   */
  scope: "None" | "Namespace" | "Name";
  /**
   * Whether entries with bound: false are opened without that context: to move over, while there are blobs from before
   * binding was on. False when left out.
   */
  allowUnbound?: boolean;
}

/** What this connection may be used for. All that AWS allows when left out. */
export interface AWSConnectionSpecAllow {
  /**
   * Names that may be read, at most 200: /shop/db for one, /shop/* for all that begin so. The * stands for the rest of
   * a name, at its end only, and {namespace}, as a whole level, for the SyncedSecret's own namespace. Parameters that
   * are named by ARN match ARNs only, and those that AWS publishes below /aws/ only what begins with /aws/service/ or
   * the like. All that AWS allows when left out.
   */
  parameters?: string[];
  /**
   * KMS keys whose blobs may be opened, as ARNs, at most 100; each blob must then name its key by its ARN. The ARN of a
   * multi-Region key (mrk-...) stands for its replicas in all regions. The keys of SecureStrings are for IAM to allow.
   * All that AWS allows when left out.
   */
  keyIds?: string[];
  /**
   * Lets a message of the AWS Encryption SDK name the KMS keys that open it, where encryptionSDK.keyIds is left out:
   * those of these accounts, in this connection's region, multi-Region keys with a replica there among them. keyIds,
   * where it is given, holds for them too. Each entry must list its keys when left out.
   */
  discovery?: AWSConnectionSpecAllowDiscovery;
}

/**
 * Lets a message of the AWS Encryption SDK name the KMS keys that open it, where encryptionSDK.keyIds is left out:
 * those of these accounts, in this connection's region, multi-Region keys with a replica there among them. keyIds,
 * where it is given, holds for them too. Each entry must list its keys when left out.
 */
export interface AWSConnectionSpecAllowDiscovery {
  /** The accounts whose keys are taken, at most 100; [] for the connection's own account. */
  accounts: string[];
  /**
   * The partition of the keys. That of the connection's region when left out, and there is no other that can be used.
   */
  partition?: "aws" | "aws-cn" | "aws-us-gov" | "aws-iso" | "aws-iso-b" | "aws-iso-e" | "aws-iso-f" | "aws-eusc";
}

/** What has been found. Written by the operator, and only when it changes. */
export interface AWSConnectionStatus {
  /** The metadata.generation that this status is about. */
  observedGeneration?: number;
  /**
   * Ready is True while AWS accepts the credentials. Stalled is there while only a change of the spec can help.
   * FailedOver is there while a region of spec.failoverRegions stands in. Where spec.events is set, EventsReady says
   * whether its queue is received from; ExpiryUnknown is there while the expiry of parameters cannot be seen. Ready
   * depends on neither.
   */
  conditions?: Condition[];
  /** The AWS account that the credentials belong to, as sts:GetCallerIdentity says. */
  accountID?: string;
  /** The ARN that AWS knows the credentials by, as sts:GetCallerIdentity says. */
  callerARN?: string;
  /** The poll interval in effect. Longer than the one asked for where the account's quota is too small. */
  pollInterval?: string;
}

/** An AWS region and an identity there, for the SyncedSecrets of the namespaces that it allows. */
export interface ClusterAWSConnection {
  apiVersion: "keyferry.io/v1alpha1";
  kind: "ClusterAWSConnection";
  metadata: ObjectMeta;
  /** The region, the identity, and who may use them for what. */
  spec: ClusterAWSConnectionSpec;
  /** What has been found. Written by the operator, and only when it changes. */
  status?: ClusterAWSConnectionStatus;
}

/** The region, the identity, and who may use them for what. */
export interface ClusterAWSConnectionSpec {
  /** The AWS region whose parameters and KMS keys are used, such as eu-west-1. */
  region: string;
  /**
   * Whose credentials are used. The operator's own AWS identity (IRSA, Pod Identity, instance role, environment) when
   * left out, and as the start of assumeRole without secretRef.
   */
  auth?: ClusterAWSConnectionSpecAuth;
  /**
   * Regions of the same partition that stand in, in this order, while region does not answer: KMS blobs under
   * multi-Region keys are opened there, and parameters are read there for SyncedSecrets that have never had a Secret.
   * Never for a parameter that is pinned to a version, under policy Once, or after a denial, a throttle or a missing
   * parameter. None when left out.
   */
  failoverRegions?: string[];
  /**
   * How often the versions of parameters are looked at, such as 30s, 5m or 1h30m, between 10s and 24h. No SyncedSecret
   * can ask for a shorter interval. Where the account's quota is too small for it, it is stretched; status.pollInterval
   * says to what. 5m when left out.
   */
  pollInterval?: string;
  /**
   * This cluster's share of the quota that the account has in the region, which other clusters and pipelines use too.
   * Where several cluster connections lead to one account and region, the lowest number counts for all.
   */
  limits?: ClusterAWSConnectionSpecLimits;
  /**
   * Where AWS tells of changes, so that they arrive within a second and polls can be rarer. Changes are found by polls
   * alone when left out.
   */
  events?: ClusterAWSConnectionSpecEvents;
  /**
   * Ties every ciphertext to where it is used: each blob and message must then carry an encryption context that names
   * the cluster and the namespace, or the SyncedSecret too, and one that was copied elsewhere does not open. The
   * operator adds this context to each decryption itself, so CloudTrail's record says who asked. RSA has no context and
   * is refused. Needs the operator's --cluster-name. Nothing is asked for when left out.
   */
  binding?: ClusterAWSConnectionSpecBinding;
  /** Who may use this connection, and for what. allow.namespaces is required. */
  allow?: ClusterAWSConnectionSpecAllow;
  /**
   * Other endpoints than AWS's own: VPC endpoints, or an emulator. Plain http and loopback addresses need the
   * operator's flag --allow-insecure-endpoints. {region} stands for the region; an endpoint without it is for
   * spec.region alone, and the regions of failoverRegions are reached at AWS's own. AWS's own when left out.
   */
  endpoints?: ClusterAWSConnectionSpecEndpoints;
  /** Uses AWS's FIPS 140 endpoints. Not together with endpoints. False when left out. */
  useFIPS?: boolean;
  /** Uses AWS's endpoints that have IPv6 addresses too. Not together with endpoints. False when left out. */
  useDualStack?: boolean;
}

/**
 * Whose credentials are used. The operator's own AWS identity (IRSA, Pod Identity, instance role, environment) when
 * left out, and as the start of assumeRole without secretRef.
 */
export interface ClusterAWSConnectionSpecAuth {
  /** A Secret with static keys, for development. */
  secretRef?: ClusterAWSConnectionSpecAuthSecretRef;
  /**
   * Roles that are assumed one after another, at most 5, each with the credentials of the one before; the last one
   * reads. The first is assumed by the operator's own identity, or by secretRef where it is given. With {namespace} in
   * a role, a tag or a source identity, each namespace that uses the connection is an identity of its own. None when
   * left out.
   */
  assumeRole?: ClusterAWSConnectionSpecAuthAssumeRole[];
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

/** One role, and what is said when it is assumed. */
export interface ClusterAWSConnectionSpecAuthAssumeRole {
  /**
   * The role's ARN. {namespace} in it stands for the SyncedSecret's own namespace. Its trust policy must name whoever
   * assumes it.
   */
  roleArn: string;
  /**
   * The external id that the role's trust policy asks for, where it asks for one. No message shows it. None when left
   * out.
   */
  externalId?: string;
  /**
   * Tags of the session, at most 50, for policies by attribute. {namespace} in it stands for the SyncedSecret's own
   * namespace. The trust policy must allow sts:TagSession then. None when left out.
   */
  sessionTags?: Record<string, string>;
  /**
   * The source identity, which CloudTrail keeps with every call of the session and of those that follow from it.
   * {namespace} in it stands for the SyncedSecret's own namespace. The trust policy must allow sts:SetSourceIdentity
   * then. None when left out.
   */
  sourceIdentity?: string;
  /**
   * How long a session lasts before the role is assumed anew, between 15m and 12h. AWS allows 1h at most where a role
   * assumes it, which the operator's own identity mostly is, and else what the role's maximum session duration says. 1h
   * when left out.
   */
  duration?: string;
}

/**
 * This cluster's share of the quota that the account has in the region, which other clusters and pipelines use too.
 * Where several cluster connections lead to one account and region, the lowest number counts for all.
 */
export interface ClusterAWSConnectionSpecLimits {
  /** Requests a second to Systems Manager, of at most ten parameters each. 20 when left out. */
  ssmRequestsPerSecond?: number;
  /** Requests a second to KMS, one for each blob that is decrypted. 100 when left out. */
  kmsRequestsPerSecond?: number;
}

/**
 * Where AWS tells of changes, so that they arrive within a second and polls can be rarer. Changes are found by polls
 * alone when left out.
 */
export interface ClusterAWSConnectionSpecEvents {
  /**
   * The URL of the SQS queue that an EventBridge rule sends the changes of Parameter Store to. One queue serves one
   * cluster; its tag keyferry.io/cluster, where it has one, must be the operator's --cluster-name.
   */
  queueUrl: string;
  /**
   * Who receives, where auth.assumeRole has {namespace} in it and so there is no single identity. What auth begins
   * with, its secretRef or the operator's own identity, when left out.
   */
  auth?: ClusterAWSConnectionSpecEventsAuth;
}

/**
 * Who receives, where auth.assumeRole has {namespace} in it and so there is no single identity. What auth begins with,
 * its secretRef or the operator's own identity, when left out.
 */
export interface ClusterAWSConnectionSpecEventsAuth {
  /**
   * Roles that are assumed one after another, at most 5, each with the credentials of the one before; the last one
   * reads. The first is assumed by what auth of the connection begins with: its secretRef, or the operator's own
   * identity.
   */
  assumeRole: ClusterAWSConnectionSpecEventsAuthAssumeRole[];
}

/** One role, and what is said when it is assumed. */
export interface ClusterAWSConnectionSpecEventsAuthAssumeRole {
  /** The role's ARN. Its trust policy must name whoever assumes it. */
  roleArn: string;
  /**
   * The external id that the role's trust policy asks for, where it asks for one. No message shows it. None when left
   * out.
   */
  externalId?: string;
  /**
   * Tags of the session, at most 50, for policies by attribute. The trust policy must allow sts:TagSession then. None
   * when left out.
   */
  sessionTags?: Record<string, string>;
  /**
   * The source identity, which CloudTrail keeps with every call of the session and of those that follow from it. The
   * trust policy must allow sts:SetSourceIdentity then. None when left out.
   */
  sourceIdentity?: string;
  /**
   * How long a session lasts before the role is assumed anew, between 15m and 12h. AWS allows 1h at most where a role
   * assumes it, which the operator's own identity mostly is, and else what the role's maximum session duration says. 1h
   * when left out.
   */
  duration?: string;
}

/**
 * Ties every ciphertext to where it is used: each blob and message must then carry an encryption context that names the
 * cluster and the namespace, or the SyncedSecret too, and one that was copied elsewhere does not open. The operator
 * adds this context to each decryption itself, so CloudTrail's record says who asked. RSA has no context and is
 * refused. Needs the operator's --cluster-name. Nothing is asked for when left out.
 */
export interface ClusterAWSConnectionSpecBinding {
  /**
   * What the context names. None: nothing. Namespace: keyferry.io/cluster and keyferry.io/namespace. Name:
   * keyferry.io/name too, which is the SyncedSecret's own name.
   */
  scope: "None" | "Namespace" | "Name";
  /**
   * Whether entries with bound: false are opened without that context: to move over, while there are blobs from before
   * binding was on. False when left out.
   */
  allowUnbound?: boolean;
}

/** Who may use this connection, and for what. allow.namespaces is required. */
export interface ClusterAWSConnectionSpecAllow {
  /** The namespaces whose SyncedSecrets may use this connection, by names or by selector. Required. */
  namespaces?: ClusterAWSConnectionSpecAllowNamespaces;
  /**
   * Names that may be read, at most 200: /shop/db for one, /shop/* for all that begin so. The * stands for the rest of
   * a name, at its end only, and {namespace}, as a whole level, for the SyncedSecret's own namespace. Parameters that
   * are named by ARN match ARNs only, and those that AWS publishes below /aws/ only what begins with /aws/service/ or
   * the like. None when left out.
   */
  parameters?: string[];
  /**
   * KMS keys whose blobs may be opened, as ARNs, at most 100; each blob must then name its key by its ARN. The ARN of a
   * multi-Region key (mrk-...) stands for its replicas in all regions. The keys of SecureStrings are for IAM to allow.
   * None when left out, unless binding is on; * allows every key that the identity may use.
   */
  keyIds?: string[];
  /**
   * Lets a message of the AWS Encryption SDK name the KMS keys that open it, where encryptionSDK.keyIds is left out:
   * those of these accounts, in this connection's region, multi-Region keys with a replica there among them. keyIds,
   * where it is given, holds for them too. Each entry must list its keys when left out.
   */
  discovery?: ClusterAWSConnectionSpecAllowDiscovery;
}

/** The namespaces whose SyncedSecrets may use this connection, by names or by selector. Required. */
export interface ClusterAWSConnectionSpecAllowNamespaces {
  /** The namespaces that carry these labels; all for {}. */
  selector?: ClusterAWSConnectionSpecAllowNamespacesSelector;
  /** The namespaces by name, at most 500. */
  names?: string[];
}

/** The namespaces that carry these labels; all for {}. */
export interface ClusterAWSConnectionSpecAllowNamespacesSelector {
  /** Labels that a namespace must have with these values, at most 32. None when left out. */
  matchLabels?: Record<string, string>;
  /** Requirements that a namespace's labels must all meet, at most 32. None when left out. */
  matchExpressions?: ClusterAWSConnectionSpecAllowNamespacesSelectorMatchExpressions[];
}

/** One requirement. */
export interface ClusterAWSConnectionSpecAllowNamespacesSelectorMatchExpressions {
  /** The label's name. */
  key: string;
  /** In and NotIn compare the label's value with values; Exists and DoesNotExist ask whether it is there. */
  operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  /** Values for In and NotIn, at most 100. */
  values?: string[];
}

/**
 * Lets a message of the AWS Encryption SDK name the KMS keys that open it, where encryptionSDK.keyIds is left out:
 * those of these accounts, in this connection's region, multi-Region keys with a replica there among them. keyIds,
 * where it is given, holds for them too. Each entry must list its keys when left out.
 */
export interface ClusterAWSConnectionSpecAllowDiscovery {
  /** The accounts whose keys are taken, at most 100; [] for the connection's own account. */
  accounts: string[];
  /**
   * The partition of the keys. That of the connection's region when left out, and there is no other that can be used.
   */
  partition?: "aws" | "aws-cn" | "aws-us-gov" | "aws-iso" | "aws-iso-b" | "aws-iso-e" | "aws-iso-f" | "aws-eusc";
}

/**
 * Other endpoints than AWS's own: VPC endpoints, or an emulator. Plain http and loopback addresses need the operator's
 * flag --allow-insecure-endpoints. {region} stands for the region; an endpoint without it is for spec.region alone, and
 * the regions of failoverRegions are reached at AWS's own. AWS's own when left out.
 */
export interface ClusterAWSConnectionSpecEndpoints {
  /** The URL for Systems Manager. AWS's own when left out. */
  ssm?: string;
  /** The URL for KMS. AWS's own when left out. */
  kms?: string;
  /** The URL for STS. AWS's own when left out. */
  sts?: string;
  /** The URL for SQS. AWS's own when left out. */
  sqs?: string;
}

/** What has been found. Written by the operator, and only when it changes. */
export interface ClusterAWSConnectionStatus {
  /** The metadata.generation that this status is about. */
  observedGeneration?: number;
  /**
   * Ready is True while AWS accepts the credentials. Stalled is there while only a change of the spec can help.
   * FailedOver is there while a region of spec.failoverRegions stands in. Where spec.events is set, EventsReady says
   * whether its queue is received from; ExpiryUnknown is there while the expiry of parameters cannot be seen. Ready
   * depends on neither.
   */
  conditions?: Condition[];
  /**
   * The AWS account that the credentials belong to, as sts:GetCallerIdentity says; where each namespace is an identity
   * of its own, the account of the last role.
   */
  accountID?: string;
  /**
   * The ARN that AWS knows the credentials by, as sts:GetCallerIdentity says. Left out where each namespace is an
   * identity of its own.
   */
  callerARN?: string;
  /** The poll interval in effect. Longer than the one asked for where the account's quota is too small. */
  pollInterval?: string;
}

/** A Secret that is made from AWS Systems Manager parameters and KMS-encrypted blobs, and kept current. */
export interface SyncedSecret {
  apiVersion: "keyferry.io/v1alpha1";
  kind: "SyncedSecret";
  metadata: ObjectMeta;
  /** What the Secret is made from, what it looks like, and how it is kept current. */
  spec: SyncedSecretSpec;
  /** What has been found and done. Written by the operator, and only when it changes. */
  status?: SyncedSecretStatus;
}

/** What the Secret is made from, what it looks like, and how it is kept current. */
export interface SyncedSecretSpec {
  /**
   * Stops all work on this resource while true: nothing is looked at and nothing is written. The Secret stays as it is.
   * False when left out.
   */
  suspend?: boolean;
  /**
   * The connection to AWS that is used. The ClusterAWSConnection named default when left out. The connection must allow
   * this namespace and every name below, or nothing is read.
   */
  connectionRef?: SyncedSecretSpecConnectionRef;
  /** Keys of the Secret, one an entry. A key that is given here wins over an equal one from dataFrom. At most 200. */
  data?: SyncedSecretSpecData[];
  /**
   * Sources of many keys each, in order: every parameter below a path, or every property of one parameter or one
   * message. At most 50.
   */
  dataFrom?: SyncedSecretSpecDataFrom[];
  /** The Secret that is written. One with this resource's own name, of type Opaque, when left out. */
  target?: SyncedSecretSpecTarget;
  /** When the sources are looked at, and what a change there means. */
  refresh?: SyncedSecretSpecRefresh;
}

/**
 * The connection to AWS that is used. The ClusterAWSConnection named default when left out. The connection must allow
 * this namespace and every name below, or nothing is read.
 */
export interface SyncedSecretSpecConnectionRef {
  /** ClusterAWSConnection, or AWSConnection for one in this resource's own namespace. */
  kind: "ClusterAWSConnection" | "AWSConnection";
  /** The connection's name. */
  name: string;
}

/** One key of the Secret, and the one source of its value. */
export interface SyncedSecretSpecData {
  /** The key in the Secret. Letters, digits, -, _ and ., at most 253 characters. */
  key: string;
  /** An SSM parameter, whose value becomes the key's value. */
  parameter?: SyncedSecretSpecDataParameter;
  /**
   * A blob that KMS Encrypt made, or that was made offline with the public key of an RSA key in KMS. Its plaintext
   * becomes the key's value, at most 4,096 bytes, or what the RSA key can hold.
   */
  kms?: SyncedSecretSpecDataKms;
  /** A message of the AWS Encryption SDK: envelope encryption of any size. Its plaintext becomes the key's value. */
  encryptionSDK?: SyncedSecretSpecDataEncryptionSDK;
  /**
   * Takes a part out of the source, which must then be JSON: a JMESPath expression, such as user.name. A string is
   * taken as it is, anything else as JSON; numbers keep every digit. A path that leads to nothing is an error. The
   * whole value when left out.
   */
  jmesPath?: string;
  /**
   * How the value is decoded before it is stored, after jmesPath. Base64 and Base64URL are for binary values such as
   * keystores; text that is not of the form is an error. None when left out.
   */
  decode?: "None" | "Base64" | "Base64URL";
  /**
   * Leaves the key out of the Secret while the parameter, version or label does not exist, instead of failing. Only for
   * a parameter, and not beside default. False when left out.
   */
  optional?: boolean;
  /**
   * The value while the parameter, version or label does not exist, as it is, without jmesPath or decode. It stands in
   * clear in this resource, so it must not be a secret. Only for a parameter, and not beside optional. At most 8,192
   * characters. A missing parameter is an error when left out.
   */
  default?: string;
}

/** An SSM parameter, whose value becomes the key's value. */
export interface SyncedSecretSpecDataParameter {
  /** The parameter's name, such as /shop/checkout/db, or its ARN where another account shares it. At most 15 levels. */
  name: string;
  /**
   * The version to pin. The Secret then never changes by itself. The latest version when both version and label are
   * left out.
   */
  version?: number;
  /**
   * The label to follow: the version that carries it now. When the label moves, the Secret follows. The latest version
   * when both version and label are left out.
   */
  label?: string;
}

/**
 * A blob that KMS Encrypt made, or that was made offline with the public key of an RSA key in KMS. Its plaintext
 * becomes the key's value, at most 4,096 bytes, or what the RSA key can hold.
 */
export interface SyncedSecretSpecDataKms {
  /**
   * What KMS Encrypt gave, or RSA-OAEP with the public key, in base64 on one line. At most 8,192 characters, which are
   * 6,144 bytes.
   */
  ciphertext: string;
  /**
   * The one KMS key that may have made the blob: an ARN, a key id, or an alias (alias/NAME), of the connection's
   * region. A multi-Region key (mrk-...) may be named by its ARN in any region: the replica in the connection's region
   * is used. A blob under another key is refused. Any key that AWS allows when left out; required with an RSA
   * algorithm, and, as an ARN, where the connection lists keys in allow.keyIds.
   */
  keyId?: string;
  /**
   * How the blob was encrypted. RSAES_OAEP_SHA_1 and RSAES_OAEP_SHA_256 are for RSA keys, need keyId, and do not go
   * with encryptionContext or where the connection's binding is on. SYMMETRIC_DEFAULT when left out.
   */
  algorithm?: "SYMMETRIC_DEFAULT" | "RSAES_OAEP_SHA_1" | "RSAES_OAEP_SHA_256";
  /**
   * False opens the blob without the encryption context that the connection's binding adds: for blobs from before
   * binding was on, only while the connection has binding.allowUnbound true. As the connection's binding says when left
   * out or true.
   */
  bound?: boolean;
  /**
   * The encryption context that the blob was made with: all of its pairs, exactly, but for those under keyferry.io/,
   * which the connection's binding adds. With another one KMS refuses the blob. CloudTrail records it in clear, so it
   * must not hold a secret. At most 16 pairs. None when left out.
   */
  encryptionContext?: Record<string, string>;
}

/** A message of the AWS Encryption SDK: envelope encryption of any size. Its plaintext becomes the key's value. */
export interface SyncedSecretSpecDataEncryptionSDK {
  /**
   * The message, in base64 on one line. At most 1,400,000 characters, which are 1,050,000 bytes. It must be committed
   * to its key, as messages are that SDKs of today make, and have 10 data keys at most.
   */
  ciphertext: string;
  /**
   * The KMS keys that may open the message, as ARNs, at most 10; tried in this order. A multi-Region key (mrk-...) may
   * be named by its ARN in any region, the replica in the connection's region is used. When left out, the message's own
   * keys are taken, where the connection's allow.discovery lets it name them.
   */
  keyIds?: string[];
  /**
   * Pairs that the message must have in its encryption context; it may have more. A message without them, or with other
   * values, is refused. At most 16 pairs. None when left out.
   */
  encryptionContext?: Record<string, string>;
  /**
   * False opens the message without the encryption context that the connection's binding asks for: for messages from
   * before binding was on, only while the connection has binding.allowUnbound true. As the connection's binding says
   * when left out or true.
   */
  bound?: boolean;
}

/** One source of many keys. */
export interface SyncedSecretSpecDataFrom {
  /**
   * The parameters below a path, each of which becomes a key: the rest of its name after the path, with _ for each /,
   * unless keys says otherwise.
   */
  path?: SyncedSecretSpecDataFromPath;
  /** One SSM parameter, each property of which becomes a key. It needs format. */
  parameter?: SyncedSecretSpecDataFromParameter;
  /**
   * A message of the AWS Encryption SDK: envelope encryption of any size. Each property of its plaintext becomes a key.
   * It needs format.
   */
  encryptionSDK?: SyncedSecretSpecDataFromEncryptionSDK;
  /**
   * How the parameter's or the message's value is read into keys. JSON and YAML take the properties of the outermost
   * object, Dotenv takes lines of NAME=value, StringList takes items of the form name=value between commas. YAML has at
   * most 64 KiB. Required with parameter and encryptionSDK, and not for a path.
   */
  format?: "JSON" | "YAML" | "Dotenv" | "StringList";
  /**
   * How names become keys of the Secret, in this order: stripPrefix, rewrite, separator, case. A name that does not
   * come to a Secret's key is an error: only / is replaced by itself, rewrite is for the rest.
   */
  rename?: SyncedSecretSpecDataFromRename;
  /**
   * What a property of JSON or YAML means that is null. Fail is an error, and nothing is written; Omit leaves its key
   * out; Empty makes it an empty value. Fail when left out. Only with format JSON or YAML.
   */
  nullValues?: "Fail" | "Omit" | "Empty";
  /**
   * What a key means that an earlier entry of dataFrom has made already. Fail is an error that names the key, and
   * nothing is written; Override lets this entry win. Fail when left out. Keys of data always win.
   */
  onConflict?: "Fail" | "Override";
  /**
   * Takes a source without any key as it is. An error when false, so that an empty path is not taken for an empty
   * Secret. False when left out.
   */
  allowEmpty?: boolean;
}

/**
 * The parameters below a path, each of which becomes a key: the rest of its name after the path, with _ for each /,
 * unless keys says otherwise.
 */
export interface SyncedSecretSpecDataFromPath {
  /** The path, such as /shop/checkout/; the last / may be left out. At most 15 levels. */
  name: string;
  /** Also takes parameters at deeper levels, not only those directly below the path. False when left out. */
  recursive?: boolean;
  /**
   * Takes only parameters of which a version carries this label, and that version. Each one's latest version when left
   * out.
   */
  label?: string;
  /** Takes only parameters of these types. All types when left out. */
  types?: ("String" | "StringList" | "SecureString")[];
  /**
   * Takes only parameters that carry all of these tags, each with its value, at most 10. They are looked up by
   * ssm:DescribeParameters, which the connection's IAM policy must allow; a change of tags is found by polls. All
   * parameters when left out.
   */
  tags?: Record<string, string>;
  /**
   * Takes only parameters whose whole name, path included, has a match of one of these RE2 patterns anywhere in it. At
   * most 20. All when left out.
   */
  include?: string[];
  /**
   * Leaves out parameters whose whole name, path included, has a match of one of these RE2 patterns anywhere in it,
   * also where include takes them. At most 20. None when left out.
   */
  exclude?: string[];
}

/** One SSM parameter, each property of which becomes a key. It needs format. */
export interface SyncedSecretSpecDataFromParameter {
  /** The parameter's name, such as /shop/checkout/db, or its ARN where another account shares it. At most 15 levels. */
  name: string;
  /**
   * The version to pin. The Secret's keys from it then never change by themselves. The latest version when both version
   * and label are left out.
   */
  version?: number;
  /**
   * The label to follow: the version that carries it now. When the label moves, the Secret follows. The latest version
   * when both version and label are left out.
   */
  label?: string;
}

/**
 * A message of the AWS Encryption SDK: envelope encryption of any size. Each property of its plaintext becomes a key.
 * It needs format.
 */
export interface SyncedSecretSpecDataFromEncryptionSDK {
  /**
   * The message, in base64 on one line. At most 1,400,000 characters, which are 1,050,000 bytes. It must be committed
   * to its key, as messages are that SDKs of today make, and have 10 data keys at most.
   */
  ciphertext: string;
  /**
   * The KMS keys that may open the message, as ARNs, at most 10; tried in this order. A multi-Region key (mrk-...) may
   * be named by its ARN in any region, the replica in the connection's region is used. When left out, the message's own
   * keys are taken, where the connection's allow.discovery lets it name them.
   */
  keyIds?: string[];
  /**
   * Pairs that the message must have in its encryption context; it may have more. A message without them, or with other
   * values, is refused. At most 16 pairs. None when left out.
   */
  encryptionContext?: Record<string, string>;
  /**
   * False opens the message without the encryption context that the connection's binding asks for: for messages from
   * before binding was on, only while the connection has binding.allowUnbound true. As the connection's binding says
   * when left out or true.
   */
  bound?: boolean;
}

/**
 * How names become keys of the Secret, in this order: stripPrefix, rewrite, separator, case. A name that does not come
 * to a Secret's key is an error: only / is replaced by itself, rewrite is for the rest.
 */
export interface SyncedSecretSpecDataFromRename {
  /**
   * What is taken away from the start of a name that begins with it. The path's own name when left out, and nothing for
   * a parameter.
   */
  stripPrefix?: string;
  /** What each / in a name becomes, at most 8 characters; may be empty. The character _ when left out. */
  separator?: string;
  /** Turns keys into upper or lower case. As they are when left out. */
  case?: "Upper" | "Lower";
  /** Replacements to make in every name after stripPrefix, one after the other, at most 20. None when left out. */
  rewrite?: SyncedSecretSpecDataFromRenameRewrite[];
}

/** A replacement of every match of a pattern. */
export interface SyncedSecretSpecDataFromRenameRewrite {
  /** An RE2 pattern, at most 512 characters. */
  pattern: string;
  /**
   * What a match becomes, at most 512 characters; may be empty. $1 or ${name} stand for the pattern's groups, \$ for a
   * dollar sign.
   */
  replacement: string;
}

/** The Secret that is written. One with this resource's own name, of type Opaque, when left out. */
export interface SyncedSecretSpecTarget {
  /**
   * The Secret's name, in this resource's own namespace. This resource's name when left out. When it changes, the new
   * Secret is written first, and the old one removed after.
   */
  name?: string;
  /**
   * The Secret's type: Opaque, kubernetes.io/tls, kubernetes.io/dockerconfigjson, kubernetes.io/dockercfg,
   * kubernetes.io/basic-auth, kubernetes.io/ssh-auth, or a type of a domain of your own, such as
   * example.com/credentials. It cannot change later: use a new target.name then. Not with creationPolicy Merge. Opaque
   * when left out.
   */
  type?: string;
  /**
   * Labels of the Secret, at most 32. Not under keyferry.io. The operator refuses kubernetes.io (but
   * app.kubernetes.io), k8s.io, argocd.argoproj.io and sealedsecrets.bitnami.com, which other programs act on, unless
   * --allowed-target-metadata opens the domain. None when left out.
   */
  labels?: Record<string, string>;
  /**
   * Annotations of the Secret, at most 32, each at most 4,096 characters. Not under keyferry.io. The operator refuses
   * kubernetes.io (but app.kubernetes.io), k8s.io, argocd.argoproj.io and sealedsecrets.bitnami.com, which other
   * programs act on, unless --allowed-target-metadata opens the domain. None when left out.
   */
  annotations?: Record<string, string>;
  /**
   * Whose the Secret is. Owner makes it, and it goes when this resource goes. Merge writes only its own keys into a
   * Secret that exists and carries the annotation keyferry.io/allow-merge with this resource's name. Orphan makes it,
   * and it stays when this resource goes. Owner when left out.
   */
  creationPolicy?: "Owner" | "Merge" | "Orphan";
  /**
   * Makes the Secret immutable, so that nobody can change its data. Needs refresh.policy Once, and not with
   * creationPolicy Merge. False when left out.
   */
  immutable?: boolean;
  /** Keys that are made from the others by templates. None when left out. */
  template?: SyncedSecretSpecTargetTemplate;
}

/** Keys that are made from the others by templates. None when left out. */
export interface SyncedSecretSpecTargetTemplate {
  /**
   * Liquid templates by key of the Secret, at most 50, each at most 65,536 characters. A key of data or dataFrom is
   * written {{ DB_USER }}, one with a dot in it {{ data["tls.key"] }}. A key that does not exist is an error, but in
   * if, unless, case and default. All templates together have at most 262,144 characters; there are no ranges such as
   * (1..5).
   */
  data: Record<string, string>;
  /**
   * Also writes the keys that the templates are made from, none of which may be a template's own. Only the templates'
   * keys are in the Secret when false. False when left out.
   */
  includeSourceKeys?: boolean;
}

/** When the sources are looked at, and what a change there means. */
export interface SyncedSecretSpecRefresh {
  /**
   * Follow follows the sources. Once reads them when the spec is new or has changed, and then never again; the Secret
   * is still put back when somebody edits it. Follow when left out.
   */
  policy?: "Follow" | "Once";
  /**
   * How often the sources' versions are looked at, such as 30s, 5m or 1h30m, between 10s and 24h. Values are only read
   * when a version differs. The connection's interval is the shortest that is used, and what is used when left out.
   */
  pollInterval?: string;
  /**
   * How long Ready stays True while AWS does not answer, such as 50m, between 20s and 168h. The Secret stays as it is
   * after that too. Longer than pollInterval; ten intervals when left out.
   */
  staleAfter?: string;
  /**
   * What happens when a source that was there has been deleted, which is believed only after a second look five minutes
   * later. Retain keeps the Secret with its last value and Ready turns False; DeleteKeys removes the keys that came
   * from it; DeleteSecret removes the Secret. A denial, a throttle or an outage is never taken for it. Retain when left
   * out.
   */
  whenMissing?: "Retain" | "DeleteKeys" | "DeleteSecret";
  /**
   * What happens at the instant of a source's policy Expiration. Retain keeps the Secret with its last value and Ready
   * turns False; DeleteKeys removes the keys that came from it; DeleteSecret removes the Secret. Seen only where the
   * connection's IAM policy allows ssm:DescribeParameters, and not followed under policy Once. Retain when left out.
   */
  whenExpired?: "Retain" | "DeleteKeys" | "DeleteSecret";
}

/** What has been found and done. Written by the operator, and only when it changes. */
export interface SyncedSecretStatus {
  /** The metadata.generation that this status is about. */
  observedGeneration?: number;
  /**
   * Ready is True while the Secret is current. Reconciling is there while work is going on, Stalled while only a change
   * of the spec can help. FailedOver is there while the Secret holds what was read in one of the connection's
   * failoverRegions. ExpiringSoon, RotationDue and ExpiryUnknown are there while the policies of a source give reason
   * to warn; Ready does not depend on them.
   */
  conditions?: Condition[];
  /** The Secret that was written last. */
  secretRef?: SyncedSecretStatusSecretRef;
  /**
   * What the API server answered to the last apply of the Secret, by which an apply under the operator's field manager
   * by somebody else is told from the operator's own.
   */
  applied?: SyncedSecretStatusApplied;
  /**
   * What the Secret was made from: a digest of the spec and of the sources' versions, never of a value. The Secret
   * carries the same one as the annotation keyferry.io/revision.
   */
  revision?: string;
  /** How many keys the Secret has from this resource. */
  keyCount?: number;
  /** What the Secret was made from; at most 100 are listed. */
  sources?: SyncedSecretStatusSources[];
  /** How many sources are not listed. */
  sourcesOmitted?: number;
  /**
   * The KMS keys that made the blobs, as KMS said when it last opened them; ARNs. They are looked at every hour where
   * kms:DescribeKey is allowed, and what endangers one is said by the condition KeyAtRisk.
   */
  kmsKeys?: string[];
  /** When the Secret was last written with something new. */
  lastChangeTime?: string;
  /** When the next of the sources expires, where one does. */
  nextExpiryTime?: string;
  /**
   * The value of the annotation keyferry.io/refresh that has been acted on. Another value means that a look at the
   * sources is asked for.
   */
  lastHandledRefresh?: string;
}

/** The Secret that was written last. */
export interface SyncedSecretStatusSecretRef {
  /** The Secret's name, in this resource's namespace. */
  name: string;
}

/**
 * What the API server answered to the last apply of the Secret, by which an apply under the operator's field manager by
 * somebody else is told from the operator's own.
 */
export interface SyncedSecretStatusApplied {
  /** The revision that was applied. */
  revision: string;
  /** The Secret's resourceVersion after the apply. */
  resourceVersion: string;
  /** When the API server recorded the apply in the Secret's managedFields. */
  time?: string;
}

/** A source, and what of it is in the Secret. */
export interface SyncedSecretStatusSources {
  /** The parameter's name or ARN. */
  name: string;
  /** The version or label that was asked for, where one was. */
  selector?: string;
  /** The parameter's version that is in the Secret. */
  version: number;
  /** The version's id, where the source is a secret of Secrets Manager, whose version is 0. */
  versionId?: string;
  /** When that version was made. */
  lastModified: string;
  /**
   * When AWS is to delete the parameter, by its policy Expiration. Known only where ssm:DescribeParameters is allowed.
   */
  expiresAt?: string;
  /** The KMS key of a SecureString, as it was named. Known only where ssm:DescribeParameters is allowed. */
  keyId?: string;
}
