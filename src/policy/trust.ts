import { stsAudience } from "../aws/web-identity-denial.ts";
import type { Needs } from "./needs.ts";

/** What stands for the issuer in a trust policy if it is not given. */
const placeholder = "OIDC_ISSUER";

/**
 * The trust policy of a role that ServiceAccounts assume with their tokens.
 *
 * @param issuer the cluster's OIDC issuer, with or without `https://`; default: a placeholder
 */
export function trustPolicyOf(
  { account = "ACCOUNT", partition, serviceAccounts }: Pick<Needs, "account" | "partition" | "serviceAccounts">,
  issuer = placeholder,
): object {
  const provider = issuer.replace(/^https:\/\//, "").replace(/\/$/, "");
  const subjects = [...serviceAccounts].sort().map((one) => `system:serviceaccount:${one.replace("/", ":")}`);
  return {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: { Federated: `arn:${partition}:iam::${account}:oidc-provider/${provider}` },
        Action: "sts:AssumeRoleWithWebIdentity",
        Condition: { StringEquals: { [`${provider}:aud`]: stsAudience, [`${provider}:sub`]: subjects } },
      },
    ],
  };
}
