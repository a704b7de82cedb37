import type { Reason } from "../api/reasons.ts";
import { Failure, type Next } from "../runtime/failure.ts";

/**
 * Whom a failure concerns: `call`, what this one call asked for; `server`, an error of the service's own, which one of
 * the names may have brought about; `credentials`, everything that is asked with the same credentials, so that asking
 * for less at a time finds nothing out.
 */
export type FailureScope = "call" | "server" | "credentials";

/** What an `AwsFailure` is made of. */
export interface AwsFailureParts {
  reason: Reason;
  next: Next;
  /** What the user reads: no words of AWS, no request id, no time. */
  message: string;
  /** AWS's own name of the error (`ThrottlingException`), or one of `TimeoutError`, `NetworkError`, `InvalidAnswer`, `AnswerTooLong`; of the chain of credentials, `Chain.` and its trouble. */
  code: string;
  scope?: FailureScope;
  requestId?: string | undefined;
}

/** A call to AWS that failed, classed by the table of `classify`. */
export class AwsFailure extends Failure {
  /** AWS's own name of the error, or one of `TimeoutError`, `NetworkError`, `InvalidAnswer`, `UnknownError`. */
  readonly code: string;
  readonly scope: FailureScope;
  /** AWS's id of the request, for the log and for AWS's support; never part of the message. */
  readonly requestId: string | undefined;

  constructor(parts: AwsFailureParts) {
    super(parts.reason, parts.next, parts.message);
    this.name = "AwsFailure";
    this.code = parts.code;
    this.scope = parts.scope ?? "call";
    this.requestId = parts.requestId;
  }
}

/** The code of a call that was given up before it was made: AWS heard nothing of it, and the audit tells nothing. */
export const notSent = "NotSent";

/** Whether AWS may have heard of a call that failed. */
export function mayBeSent(failure: unknown): boolean {
  return !(failure instanceof AwsFailure && failure.code === notSent);
}

/** The code of an answer that has more bytes than are read: fewer names at a time have a shorter one. */
export const answerTooLong = "AnswerTooLong";

/** Errors of a service that is in trouble as a whole (Common Errors; KMS API Reference, Decrypt), without Exception. */
const inTrouble =
  /^(InternalServerError|InternalServer|InternalFailure|InternalError|ServiceUnavailable|RequestTimeout|KMSInternal|DependencyTimeout)(Exception)?$/;

/** Whether a call came to nothing because the service could not be reached, did not answer, or is in trouble as a whole. */
export function isSilence({ code, scope }: AwsFailure): boolean {
  if (code === "TimeoutError" || code === "NetworkError" || inTrouble.test(code)) return true;
  // An error of the service's own under another name, or of something in front of it.
  return scope === "server" && !/^(InvalidNextToken|MalformedHttpRequest)(Exception)?$/.test(code);
}

/** Whether a call was answered after all: refused, throttled, or told that there is nothing. */
export function isAnswer(failure: AwsFailure): boolean {
  return (
    !isSilence(failure) &&
    !["AbortError", notSent, "InvalidAnswer", answerTooLong, "AddressRefused", "UnknownError"].includes(failure.code)
  );
}

/** Whether AWS denies the action itself; that it does not accept the credentials says nothing of it. */
export function isDenial(failure: Failure): boolean {
  return failure.reason === "AccessDenied" && !(failure instanceof AwsFailure && failure.scope === "credentials");
}

/** One call, as far as messages about it need to know. */
export interface CallContext {
  service: "ssm" | "kms" | "sts" | "sqs";
  /** The operation's name in the API: `GetParameters`. */
  operation: string;
  /** The IAM action's name, where it is another one: a DeleteMessageBatch needs `DeleteMessage`. */
  action?: string;
  region: string;
  /**
   * The one thing that was asked about, as the user wrote it: a parameter, a path, a key, a queue. Left out where there were
   * several: a message about one of ten names must not show the other nine to its reader.
   */
  resource?: string;
  /** The key that the request pinned, where it did. */
  pinnedKey?: string;
  /** The algorithm that the request named, where it did. */
  algorithm?: string;
  /** Of an AssumeRole: what is asked for besides, so that a refusal can say what it may be about. */
  assuming?: { hasTags: boolean; hasSourceIdentity: boolean; hasExternalId: boolean };
  /** ARN of the caller, where it is known already. */
  caller?: string | undefined;
}

/** The IAM action of a call: `ssm:GetParameters`. */
export function actionOf(context: CallContext): string {
  return `${context.service}:${context.action ?? context.operation}`;
}
