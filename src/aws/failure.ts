import type { Reason } from "../api/reasons.ts";
import { Failure, type Next } from "../runtime/failure.ts";

/**
 * What a failure affects. `call`: only the resources of the call. `server`: a server error, which one of the names may
 * have caused. `credentials`: every call with the same credentials, so that splitting the batch does not help.
 */
export type FailureScope = "call" | "server" | "credentials";

/** The parts of an `AwsFailure`. */
export interface AwsFailureParts {
  reason: Reason;
  next: Next;
  /** The message to the user: no AWS text, request id or time. */
  message: string;
  /**
   * AWS's error name (`ThrottlingException`), or `TimeoutError`, `NetworkError`, `InvalidAnswer` or `AnswerTooLong`.
   * For the credential chain, `Chain.` and the failure.
   */
  code: string;
  scope?: FailureScope;
  requestId?: string | undefined;
}

/** A failed AWS call, classified by `classify`. */
export class AwsFailure extends Failure {
  /** AWS's error name, or `TimeoutError`, `NetworkError`, `InvalidAnswer` or `UnknownError`. */
  readonly code: string;
  readonly scope: FailureScope;
  /** AWS request id, for the log and AWS Support; never part of the message. */
  readonly requestId: string | undefined;

  constructor(parts: AwsFailureParts) {
    super(parts.reason, parts.next, parts.message);
    this.name = "AwsFailure";
    this.code = parts.code;
    this.scope = parts.scope ?? "call";
    this.requestId = parts.requestId;
  }
}

/** The code of a call that was canceled before it was sent; it is not audited. */
export const notSent = "NotSent";

/** Reports whether a failed call may have reached AWS. */
export function mayBeSent(failure: unknown): boolean {
  return !(failure instanceof AwsFailure && failure.code === notSent);
}

/** The code of a response above the size limit; a smaller batch has a shorter response. */
export const answerTooLong = "AnswerTooLong";

/** Errors of a service outage (Common Errors; KMS API Reference, Decrypt), without Exception. */
const inTrouble =
  /^(InternalServerError|InternalServer|InternalFailure|InternalError|ServiceUnavailable|RequestTimeout|KMSInternal|DependencyTimeout)(Exception)?$/;

/** Reports whether the service was unreachable, timed out, or has an outage. */
export function isSilence({ code, scope }: AwsFailure): boolean {
  if (code === "TimeoutError" || code === "NetworkError" || inTrouble.test(code)) return true;
  // A server error with another name, or an error of a proxy or load balancer.
  return scope === "server" && !/^(InvalidNextToken|MalformedHttpRequest)(Exception)?$/.test(code);
}

/** Reports whether the service answered the call, such as denied, throttled or not found. */
export function isAnswer(failure: AwsFailure): boolean {
  return (
    !isSilence(failure) &&
    !["AbortError", notSent, "InvalidAnswer", answerTooLong, "AddressRefused", "UnknownError"].includes(failure.code)
  );
}

/** Reports whether AWS denied the action; rejected credentials do not count. */
export function isDenial(failure: Failure): boolean {
  return failure.reason === "AccessDenied" && !(failure instanceof AwsFailure && failure.scope === "credentials");
}

/** The parts of a call that messages need. */
export interface CallContext {
  service: "ssm" | "kms" | "sts" | "sqs";
  /** API operation: `GetParameters`. */
  operation: string;
  /** IAM action, if its name differs: DeleteMessageBatch needs `DeleteMessage`. */
  action?: string;
  region: string;
  /**
   * The requested parameter, path, key or queue, as the user wrote it. Omitted for a batch: a message about one of ten
   * names must not show the other nine to its reader.
   */
  resource?: string;
  /** The key that the request pinned, if any. */
  pinnedKey?: string;
  /** The algorithm in the request, if any. */
  algorithm?: string;
  /** For AssumeRoleWithWebIdentity: the ServiceAccount whose token was exchanged, `shop/checkout`. */
  serviceAccount?: string;
  /** Optional parts of an AssumeRole request, so that a denial can name possible causes. */
  assuming?: { hasTags: boolean; hasSourceIdentity: boolean; hasExternalId: boolean };
  /** ARN of the caller, if known. */
  caller?: string | undefined;
}

/** The IAM action of a call: `ssm:GetParameters`. */
export function actionOf(context: CallContext): string {
  return `${context.service}:${context.action ?? context.operation}`;
}
