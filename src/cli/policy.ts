import type { Command } from "commander";
import { parseKeyArn } from "../aws/names.ts";
import { documentOf, keyStatementsOf } from "../policy/document.ts";
import { nobody, PolicyNeeds } from "../policy/needs.ts";
import { trustPolicyOf } from "../policy/trust.ts";
import { Failure } from "../runtime/failure.ts";
import { Granting } from "./granting.ts";
import { type ManifestFlags, readManifests } from "./manifests.ts";
import { print, say } from "./output.ts";
import { addManifestOptions } from "./render.ts";
import { UsageError } from "./usage.ts";

/** The flags of `keyferry policy` as commander gives them. */
export interface PolicyFlags extends ManifestFlags {
  account?: string;
  region?: string;
  clusterName?: string;
  parameterKey?: string[];
  blobKey?: string[];
  principal?: string;
  oidcIssuer?: string;
  optional: boolean;
}

/**
 * Maximum characters of a role's inline policy, without white space, and of a managed policy (IAM User Guide, quotas).
 */
const policyLength = { inline: 10_240, managed: 6_144 };

/** Declares the flags of `keyferry policy`. */
export function addPolicyOptions(command: Command): void {
  const each = (value: string, before: string[] = []) => [...before, value];
  addManifestOptions(command)
    .description(
      "Print the minimal IAM policy for manifests, and the statements for the policies of KMS keys. Makes no calls.",
    )
    .option("--account <id>", "AWS account of connections that assume no role")
    .option("--region <region>", "AWS region of connections that are not given")
    .option("--cluster-name <name>", "the operator's --cluster-name; for connections with binding")
    .option("--parameter-key <arn>", "KMS key that encrypts SecureStrings; several times", each)
    .option("--blob-key <arn>", "KMS key of blobs that name none; several times", each)
    .option("--principal <arn>", "principal of the operator's own identity in key policies; its account when left out")
    .option("--oidc-issuer <url>", "the cluster's OIDC issuer, for the trust policies of the roles of ServiceAccounts")
    .option("--no-optional", "leave out permissions that only warnings need");
}

/**
 * Prints one policy per identity, and the statements for each key's policy.
 *
 * @returns the exit code: 1 if a manifest cannot be used, or a need cannot be determined
 * @throws UsageError, Failure
 */
export async function runPolicy(flags: PolicyFlags, files: readonly string[]): Promise<number> {
  const { account, region, clusterName = "", parameterKey = [], blobKey = [], principal, optional } = flags;
  const { oidcIssuer } = flags;
  checkFlags(flags);
  const manifests = await readManifests(files, flags);
  const granting = new Granting({
    manifests,
    clusterName,
    identities: { get: nobody },
    account: async ({ kind, metadata, status }) => {
      const known = account ?? status?.accountID;
      if (known !== undefined) return known;
      const message = `the AWS account of ${kind} ${metadata.name} is not known, since it assumes no role: give --account`;
      throw new Failure("ConnectionNotReady", "wait", message);
    },
    region: async () => region,
    ...(account === undefined ? { standIn: "its region and account with --region and --account" } : {}),
  });
  const needs = new PolicyNeeds({ parameterKeys: parameterKey, blobKeys: blobKey, account });
  const problems = new Set(manifests.problems);
  await granting.each((...one) => needs.add(...one), problems);
  for (const problem of problems) say(`keyferry: ${problem}`);
  // Do not print an incomplete policy: a reader would take it for sufficient.
  if (problems.size > 0) return 1;
  const all = [...needs.byIdentity.values()].sort((a, b) => (a.identity < b.identity ? -1 : 1));
  const identities = all.map((one) => ({
    identity: one.identity,
    policy: documentOf(one, optional),
    ...(one.serviceAccounts.size > 0 ? { trustPolicy: trustPolicyOf(one, oidcIssuer) } : {}),
  }));
  const keys = keyStatementsOf(all, optional, principal);
  print(`${JSON.stringify({ identities, keys }, undefined, 2)}\n`);
  for (const { identity, policy } of identities) {
    const { length } = JSON.stringify(policy);
    if (length > policyLength.managed) say(`keyferry: ${tooLong(identity, length)}`);
  }
  return 0;
}

function tooLong(identity: string, length: number): string {
  const { managed, inline } = policyLength;
  return `the policy of ${identity} has ${length} characters, and a managed policy ${managed}, an inline one of a role ${inline} at most: split it, or keep parameters below one path`;
}

function checkFlags({ account, principal, oidcIssuer, parameterKey = [], blobKey = [] }: PolicyFlags): void {
  if (account !== undefined && !/^[0-9]{12}$/.test(account)) throw new UsageError("--account must be 12 digits");
  if (principal !== undefined && !/^arn:[a-z-]+:(iam|sts)::[0-9]{12}:\S+$/.test(principal)) {
    throw new UsageError("--principal must be the ARN of a role or a user");
  }
  if (oidcIssuer !== undefined && !/^(https:\/\/)?[a-z0-9][a-z0-9.-]*(\/[A-Za-z0-9._~-]+)*\/?$/.test(oidcIssuer)) {
    throw new UsageError(
      "--oidc-issuer must be the URL of an OIDC issuer, such as https://oidc.eks.eu-west-1.amazonaws.com/id/ABC",
    );
  }
  for (const key of [...parameterKey, ...blobKey]) {
    if (!parseKeyArn(key))
      throw new UsageError("--parameter-key and --blob-key must be ARNs of keys: arn:aws:kms:REGION:ACCOUNT:key/ID");
  }
}
