import { describe, expect, it } from "vitest";
import { type ChainTrouble, chainCode, chainRows } from "../../src/aws/chain-table.ts";
import { classify } from "../../src/aws/classify.ts";
import { CredentialsUnavailable } from "../../src/aws/credentials.ts";
import { AwsFailure, type CallContext } from "../../src/aws/failure.ts";
import { rows } from "../../src/aws/table.ts";
import { forCommand } from "../../src/cli/words.ts";

const contexts: CallContext[] = [
  { service: "kms", operation: "ReEncrypt", region: "eu-west-1", resource: "alias/a", pinnedKey: "alias/a" },
  { service: "ssm", operation: "GetParameters", region: "eu-west-1" },
  { service: "sts", operation: "GetCallerIdentity", region: "eu-west-1" },
];
const chainFailure = (trouble: ChainTrouble) => {
  const { reason, next, says } = chainRows[trouble];
  const code = chainCode(trouble);
  return new AwsFailure({ reason, next, code, scope: "credentials", message: says("its role") });
};
const thrown = (fields: object) => Object.assign(new Error("words of AWS"), fields);

describe("the wording of AWS errors in a command", () => {
  const errors: [string, unknown][] = [
    ...[...rows.keys()].map((name): [string, unknown] => [name, thrown({ name: name.split("/")[0] })]),
    ...["ECONNREFUSED", "ENOTFOUND", "ETIMEDOUT", "EPROTO", "SELF_SIGNED_CERT_IN_CHAIN"].map(
      (code): [string, unknown] => [code, thrown({ code })],
    ),
    ["no credentials", new CredentialsUnavailable(thrown({ name: "CredentialsProviderError" }))],
    ["a refused web identity", new CredentialsUnavailable(thrown({ name: "AccessDenied" }))],
    ["an invalid web identity", new CredentialsUnavailable(thrown({ name: "InvalidIdentityToken" }))],
    ["an expired token", new CredentialsUnavailable(thrown({ name: "ExpiredTokenException" }))],
    ...["IDPRejectedClaim", "IDPCommunicationError", "ValidationError", "PackedPolicyTooLarge", "InternalFailure"].map(
      (name): [string, unknown] => [
        `a chain's ${name}`,
        new CredentialsUnavailable(thrown({ name, $fault: "client" })),
      ],
    ),
    ...Object.keys(chainRows).map((trouble): [string, unknown] => [
      `a chain's trouble ${trouble}`,
      chainFailure(trouble as ChainTrouble),
    ]),
    ["an unknown error", thrown({ name: "BrandNewException" })],
  ];
  it.each(errors)("for %s mentions neither the operator nor a retry", (_, error) => {
    for (const about of contexts) {
      const said = forCommand(classify(error, about));
      expect(said).not.toMatch(/operator|ServiceAccount|tried again|Secret that holds/);
      expect(said).toMatch(/\S$/);
    }
  });

  it("names the broken part of the user's credential chain", () => {
    const said = (name: string) => forCommand(classify(new CredentialsUnavailable(thrown({ name })), contexts[0]!));
    expect(said("InvalidIdentityToken")).toContain("audience must be sts.amazonaws.com");
    expect(said("AccessDenied")).toContain("AWS_WEB_IDENTITY_TOKEN_FILE may not assume the role of AWS_ROLE_ARN");
    expect(said("InvalidClientTokenId")).toContain("does not know the access key");
    expect(forCommand(chainFailure("SsoExpired"))).toContain("aws sso login");
  });

  it("tells what to do about the user's credentials", () => {
    const said = (name: string) => forCommand(classify(thrown({ name }), contexts[0]!));
    expect(said("ExpiredTokenException")).toContain("log in again");
    expect(said("UnrecognizedClientException")).toContain("check AWS_PROFILE");
    expect(said("InvalidSignatureException")).toContain("check AWS_SECRET_ACCESS_KEY");
    expect(said("RequestExpired")).toContain("this machine's clock is wrong");
    expect(said("BrandNewException")).toContain(": BrandNewException");
    expect(said("AccessDeniedException")).toBe(
      (classify(thrown({ name: "AccessDenied" }), contexts[0]!) as AwsFailure).message,
    );
  });
});
