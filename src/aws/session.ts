import type { Caller } from "./caller.ts";
import { invalidAnswer } from "./classify.ts";
import type { Credentials } from "./credentials.ts";
import type { CallContext } from "./failure.ts";

/** A role session that STS has begun. */
export interface Begun {
  credentials: Credentials;
  caller: Caller;
}

/** The part of the answers of AssumeRole and AssumeRoleWithWebIdentity that a session needs. */
interface Answer {
  Credentials?:
    | { AccessKeyId?: string | undefined; SecretAccessKey?: string | undefined; SessionToken?: string | undefined }
    | undefined;
  AssumedRoleUser?: { Arn?: string | undefined } | undefined;
}

/** @throws AwsFailure if the answer has no complete session */
export function sessionOf(answer: Answer, about: CallContext): Begun {
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken } = answer.Credentials ?? {};
  const arn = answer.AssumedRoleUser?.Arn ?? "";
  const account = /^arn:[a-z0-9-]+:sts::([0-9]{12}):[\x21-\x7e]{1,2000}$/.exec(arn)?.[1];
  if (!accessKeyId || !secretAccessKey || !SessionToken || !account) throw invalidAnswer(about, "no session");
  return { credentials: { accessKeyId, secretAccessKey, sessionToken: SessionToken }, caller: { account, arn } };
}
