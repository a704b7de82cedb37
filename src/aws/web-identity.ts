import { AssumeRoleWithWebIdentityCommand } from "@aws-sdk/client-sts";
import { Failure } from "../runtime/failure.ts";
import type { SendCall } from "./calls.ts";
import { AwsFailure, type CallContext } from "./failure.ts";
import type { WebIdentity } from "./identity-spec.ts";
import { type Begun, sessionOf } from "./session.ts";

/** Errors after which the next try needs a new token. */
const ofToken = /^(ExpiredToken|InvalidIdentityToken|IDPRejectedClaim)(Exception)?$/;

/**
 * Assumes the role of a ServiceAccount with its token. STS does not ask for a signature, so no other credentials are
 * involved.
 *
 * @param durationSeconds of the session
 * @throws AwsFailure of scope `credentials` that names the role and the ServiceAccount
 */
export async function assumeWithToken(
  { serviceAccount, roleArn, tokens }: WebIdentity,
  { sessionName, region, send }: { sessionName: string; region: string; send: SendCall },
  durationSeconds: number,
): Promise<Begun> {
  const about: CallContext = {
    ...{ service: "sts", operation: "AssumeRoleWithWebIdentity", region, resource: roleArn, serviceAccount },
  };
  const token = await tokens.token().catch((error: unknown) => {
    if (!(error instanceof Failure)) throw error;
    const { reason, next, message } = error;
    throw new AwsFailure({ reason, next, code: "TokenRequest", scope: "credentials", message });
  });
  const command = new AssumeRoleWithWebIdentityCommand({
    RoleArn: roleArn,
    RoleSessionName: sessionName,
    DurationSeconds: durationSeconds,
    WebIdentityToken: Buffer.from(token.reveal()).toString("utf8"),
  });
  try {
    const answer = await send(about, undefined, ({ sts }, abortSignal) => sts.send(command, { abortSignal }));
    return sessionOf(answer, about);
  } catch (error) {
    if (!(error instanceof AwsFailure)) throw error;
    if (ofToken.test(error.code)) tokens.refused(token);
    const { reason, next, code, requestId, message } = error;
    throw new AwsFailure({ reason, next, code, requestId, message, scope: "credentials" });
  }
}
