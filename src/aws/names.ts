/** AWS partitions whose ARNs are accepted (AWS General Reference; botocore's partitions.json). */
export const partitions: readonly string[] = [
  "aws",
  "aws-cn",
  "aws-us-gov",
  "aws-iso",
  "aws-iso-b",
  "aws-iso-e",
  "aws-iso-f",
  "aws-eusc",
];

/** A user's reference to a parameter, without the selector. */
export type ParameterRef =
  | {
      kind: "name";
      /** With a leading slash: `x` and `/x` are the same name for AWS. */
      name: string;
    }
  | {
      kind: "arn";
      partition: string;
      region: string;
      /** 12 digits; empty for public parameters, below `/aws/`. */
      account: string;
      /** With a leading slash. */
      name: string;
    };

/** The parts of a KMS key ARN. */
export interface KeyArn {
  partition: string;
  region: string;
  account: string;
  /** A UUID, or `mrk-` and 32 digits. */
  id: string;
}

/** Maximum characters of a name (SSM API Reference, PutParameter). */
const nameLength = 1_011;

/** Maximum levels of a hierarchy (SSM API Reference, PutParameter). */
const levels = 15;

/**
 * Validates a fully qualified parameter name.
 *
 * @param name with a leading slash
 * @returns a clause that states the rule it breaks, or undefined if it is valid
 */
export function nameProblem(name: string): string | undefined {
  if (name.length > nameLength) return `a parameter's name has at most ${nameLength} characters`;
  if (!/^[a-zA-Z0-9_.\-/]+$/.test(name)) return "a parameter's name may contain only letters, digits and _ . - /";
  if (name.includes("..")) return 'a parameter\'s name has no ".."';
  const parts = name.slice(1).split("/");
  if (parts.some((part) => part === "")) return "a parameter's name has something between its slashes and at its end";
  if (parts.length > levels) return `a parameter's name has at most ${levels} levels`;
  return undefined;
}

/**
 * Parses a reference to a parameter: a name or an ARN.
 *
 * @param text without selector: a colon is allowed only in an ARN
 * @returns the reference, or a clause that states why it is invalid
 */
export function parseParameterRef(text: string): { ref: ParameterRef } | { problem: string } {
  if (!text.startsWith("arn:")) {
    const name = text.startsWith("/") ? text : `/${text}`;
    const problem = nameProblem(name);
    return problem ? { problem } : { ref: { kind: "name", name } };
  }
  const arn = parseArn(text);
  const wrong = "a parameter's ARN reads arn:aws:ssm:REGION:ACCOUNT:parameter/NAME, without a version or label";
  if (arn?.service !== "ssm" || !arn.resource.startsWith("parameter/")) return { problem: wrong };
  const { partition, region, account } = arn;
  const name = arn.resource.slice("parameter".length);
  const problem = nameProblem(name);
  if (problem) return { problem };
  if (account === "" && !name.startsWith("/aws/")) return { problem: wrong };
  return { ref: { kind: "arn", partition, region, account, name } };
}

/** Parses the ARN of a KMS key; undefined for an alias, a bare id or any other text. */
export function parseKeyArn(text: string): KeyArn | undefined {
  const arn = parseArn(text);
  if (arn?.service !== "kms" || arn.account === "") return undefined;
  const id = arn.resource.startsWith("key/") ? arn.resource.slice("key/".length) : "";
  if (!isKeyId(id)) return undefined;
  return { partition: arn.partition, region: arn.region, account: arn.account, id };
}

/** A reference to a KMS key: its id, an alias, or the ARN of either. */
export type KeyRef =
  | { kind: "id"; id: string }
  | { kind: "alias"; name: string }
  | ({ kind: "keyArn" } & KeyArn)
  | {
      kind: "aliasArn";
      partition: string;
      region: string;
      account: string;
      /** `alias/shop`. */
      name: string;
    };

/** Parses a reference to a KMS key (KMS API Reference, Decrypt, `KeyId`); undefined if it is invalid. */
export function parseKeyRef(text: string): KeyRef | undefined {
  if (text.startsWith("alias/")) return isAlias(text) ? { kind: "alias", name: text } : undefined;
  if (!text.startsWith("arn:")) return isKeyId(text) ? { kind: "id", id: text } : undefined;
  const key = parseKeyArn(text);
  if (key) return { kind: "keyArn", ...key };
  const arn = parseArn(text);
  if (arn?.service !== "kms" || arn.account === "" || !isAlias(arn.resource)) return undefined;
  return {
    kind: "aliasArn",
    partition: arn.partition,
    region: arn.region,
    account: arn.account,
    name: arn.resource,
  };
}

/** Formats the ARN of a key. */
export function keyArnText({ partition, region, account, id }: KeyArn): string {
  return `arn:${partition}:kms:${region}:${account}:key/${id}`;
}

/** Reports whether a key is multi-Region: replicas share id and material, but not region, policy and state. */
export function isMultiRegion(id: string): boolean {
  return id.startsWith("mrk-");
}

function isKeyId(text: string): boolean {
  return /^[a-zA-Z0-9-]{1,64}$/.test(text);
}

function isAlias(text: string): boolean {
  return /^alias\/[a-zA-Z0-9/_-]{1,250}$/.test(text);
}

/** Region prefixes of each partition except `aws` (botocore's partitions.json). */
const regionPrefixes: readonly (readonly [string, string])[] = [
  ["cn-", "aws-cn"],
  ["us-gov-", "aws-us-gov"],
  ["us-iso-", "aws-iso"],
  ["us-isob-", "aws-iso-b"],
  ["eu-isoe-", "aws-iso-e"],
  ["us-isof-", "aws-iso-f"],
  ["eusc-", "aws-eusc"],
];

/** Returns the partition of a region. */
export function partitionOf(region: string): string {
  return regionPrefixes.find(([prefix]) => region.startsWith(prefix))?.[1] ?? "aws";
}

interface Arn {
  partition: string;
  service: string;
  region: string;
  account: string;
  resource: string;
}

function parseArn(text: string): Arn | undefined {
  if (text.length > 2_048) return undefined;
  const [prefix, partition = "", service = "", region = "", account = "", ...rest] = text.split(":");
  if (prefix !== "arn" || rest.length !== 1 || !partitions.includes(partition)) return undefined;
  if (!/^[a-z0-9-]{1,64}$/.test(region) || !/^([0-9]{12})?$/.test(account)) return undefined;
  return { partition, service, region, account, resource: rest[0]! };
}

/** The account in an ARN of IAM or STS; undefined if the text has none. */
export function accountOfArn(arn: string): string | undefined {
  return arn.split(":")[4];
}
