import { BodyTooLarge } from "./body.ts";
import { chainCode, chainRows } from "./chain-table.ts";
import { chainFallback, chainTrouble } from "./chain-trouble.ts";
import { CredentialsUnavailable } from "./credentials.ts";
import { denial } from "./denial.ts";
import { AddressRefused } from "./endpoints.ts";
import { AwsFailure, actionOf, answerTooLong, type CallContext } from "./failure.ts";
import { ProxyFailed } from "./handler.ts";
import { queueRowOf } from "./queue-table.ts";
import { roleRefusal } from "./role-denial.ts";
import { type Row, rows, serviceOf, tryAgain } from "./table.ts";
import { webIdentityRefusal } from "./web-identity-denial.ts";

/** Thrown for calls made after `Identities.stop`: the operator is shutting down. */
export class Closed extends Error {}

/** Fields that the SDK, and Node for network errors, add to an error. Each may be missing or of another type. */
interface Thrown {
  name?: unknown;
  code?: unknown;
  message?: unknown;
  $metadata?: { httpStatusCode?: unknown; requestId?: unknown };
  $response?: { statusCode?: unknown };
}

/**
 * Classifies an error thrown by an AWS call. The message contains no text of the error, except for valid ARNs (see
 * `denial`).
 *
 * @param error the value that the SDK threw
 */
export function classify(error: unknown, about: CallContext): AwsFailure {
  if (error instanceof AwsFailure) return error;
  if (error instanceof CredentialsUnavailable) return credentialsUnavailable(error, about);
  if (error instanceof Closed) return stopped(about);
  if (error instanceof AddressRefused) return addressRefused(error, about);
  if (error instanceof ProxyFailed) return proxyFailed(error, about);
  if (error instanceof BodyTooLarge) return unreachable(answerTooLong, "sent an answer that is too long", about);
  const thrown = (typeof error === "object" && error !== null ? error : {}) as Thrown;
  const requestId = requestIdOf(thrown);
  const name = identifier(thrown.name);
  const short = name.replace(/Exception$/, "");
  const row =
    (about.service === "sqs" ? queueRowOf(name) : undefined) ??
    rows.get(variantOf(short, thrown.message) ?? name) ??
    rows.get(short);
  if (about.operation === "AssumeRole") {
    const refusal = roleRefusal(name, typeof thrown.message === "string" ? thrown.message : "", about);
    if (refusal) return new AwsFailure({ ...refusal, code: name, requestId });
  }
  if (about.serviceAccount !== undefined) {
    const refusal = webIdentityRefusal(short, typeof thrown.message === "string" ? thrown.message : "", about);
    if (refusal) return new AwsFailure({ ...refusal, code: name, requestId });
  }
  if (row === "denied") return denied(thrown, name, requestId, about);
  if (row) return fromRow(row, name, requestId, about);
  return fromStatus(thrown, name, requestId, about) ?? fromNetwork(thrown, about) ?? unknown(name, requestId, about);
}

/** Returns the row of an error that only its message distinguishes from others of the same name. */
function variantOf(name: string, message: unknown): string | undefined {
  if (isSkew(name, message)) return "RequestExpired";
  if (name !== "KMSInvalidState" || typeof message !== "string") return undefined;
  const words = message.slice(0, 4_096);
  if (words.includes("pending deletion")) return "KMSInvalidState/PendingDeletion";
  if (words.includes("pending import")) return "KMSInvalidState/PendingImport";
  return words.includes("is unavailable") ? "KMSInvalidState/Unavailable" : undefined;
}

/** Reports whether the signature failed only for clock skew (IAM User Guide, "Troubleshoot Signature Version 4"). */
function isSkew(name: string, message: unknown): boolean {
  if (name !== "InvalidSignature" && name !== "SignatureDoesNotMatch") return false;
  return typeof message === "string" && /^Signature (expired|not yet current)/.test(message);
}

/** The call exceeded its timeout. */
export function deadlinePassed(about: CallContext): AwsFailure {
  return unreachable("TimeoutError", "did not answer in time: check the network and the VPC endpoint", about);
}

/** The caller aborted the call. */
export function stopped(about: CallContext): AwsFailure {
  const message = `${actionOf(about)} in ${about.region} was aborted before AWS answered`;
  return new AwsFailure({ reason: "Unreachable", next: "retry", code: "AbortError", message });
}

/** Returns the AWS request id of a response or an error, if it has one. */
export function requestIdOf(from: { $metadata?: { requestId?: unknown } }): string | undefined {
  const id = from.$metadata?.requestId;
  return typeof id === "string" && /^[a-zA-Z0-9-]{1,64}$/.test(id) ? id : undefined;
}

function fromRow(row: Row, code: string, requestId: string | undefined, about: CallContext): AwsFailure {
  const { reason, next, scope = "call", says } = row;
  return new AwsFailure({ reason, next, scope, code, requestId, message: says(about) });
}

function denied(thrown: Thrown, code: string, requestId: string | undefined, about: CallContext): AwsFailure {
  const text = typeof thrown.message === "string" ? thrown.message : "";
  return new AwsFailure({ reason: "AccessDenied", next: "wait", code, requestId, message: denial(text, about) });
}

/** Classifies an error that is not in the table by its HTTP status. */
function fromStatus(
  thrown: Thrown,
  name: string,
  requestId: string | undefined,
  about: CallContext,
): AwsFailure | undefined {
  const status = Number(thrown.$metadata?.httpStatusCode ?? thrown.$response?.statusCode ?? 0);
  if (status === 429) return fromRow(rows.get("Throttling") as Row, name, requestId, about);
  if (status >= 500) return fromRow(rows.get("InternalFailure") as Row, name, requestId, about);
  if (status >= 300 && status < 400) {
    return unreachable(
      "InvalidAnswer",
      "answered with a redirect, which the operator does not follow: check the endpoint",
      about,
    );
  }
  // Not an AWS error: the SDK could not parse the response.
  return status >= 200 && status < 300 ? notUnderstood(about) : undefined;
}

const network: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "refused the connection: check the network and the VPC endpoint"],
  ["ECONNRESET", "cut the connection"],
  ["EPIPE", "cut the connection"],
  ["ETIMEDOUT", "did not answer in time: check the network and the VPC endpoint"],
  ["ENOTFOUND", "has no address: check the region, the endpoint and the cluster's DNS"],
  ["EAI_AGAIN", "has no address: check the cluster's DNS"],
  ["EHOSTUNREACH", "cannot be reached: check the network and the VPC endpoint"],
  ["ENETUNREACH", "cannot be reached: check the network and the VPC endpoint"],
  ["EPROTO", "does not speak TLS there: check the endpoint"],
  ["ERR_SSL_WRONG_VERSION_NUMBER", "does not speak TLS there: check the endpoint"],
]);

/** Error codes of OpenSSL and Node for an untrusted certificate. */
const certificate = /^(CERT_[A-Z_]+|ERR_TLS_[A-Z_]+|[A-Z_]*SELF_SIGNED_CERT[A-Z_]*|UNABLE_TO_[A-Z_]+)$/;

function isCertificate(code: string): boolean {
  return certificate.test(code) || code.startsWith("ERR_SSL_");
}

function fromNetwork(thrown: Thrown, about: CallContext): AwsFailure | undefined {
  const code = identifier(thrown.code);
  const says = network.get(code);
  const timedOut = code === "ETIMEDOUT" || (thrown.name === "TimeoutError" && !says);
  if (timedOut) return deadlinePassed(about);
  if (says) return unreachable("NetworkError", says, about);
  if (isCertificate(code)) {
    const what =
      "shows a TLS certificate that is not trusted: check the endpoint, or give its CA by NODE_EXTRA_CA_CERTS";
    return unreachable("NetworkError", what, about);
  }
  return undefined;
}

/** Node's error code for an unsuccessful response to CONNECT; `statusCode` has its HTTP status. */
const tunnelRefused = "ERR_PROXY_TUNNEL";

/** Classifies the failure of a request through a proxy: the proxy itself, or the connection behind it, failed. */
function proxyFailed({ proxy, host, cause }: ProxyFailed, about: CallContext): AwsFailure {
  if (cause instanceof AddressRefused) return addressRefused(cause, about);
  const thrown = (typeof cause === "object" && cause !== null ? cause : {}) as Thrown & { statusCode?: unknown };
  const through = `through the proxy ${proxy.label} that ${proxy.variable} names`;
  const failed = (what: string) => unreachable("NetworkError", `cannot be reached ${through}: ${what}`, about);
  const code = identifier(thrown.code);
  if (code === tunnelRefused) {
    if (thrown.statusCode === 407) return failed(`it asks for a user and a password: put them into ${proxy.variable}`);
    if (thrown.statusCode === 403) return failed(`it does not let ${host} through: allow it there, or set NO_PROXY`);
    return failed(`it could not reach ${host}`);
  }
  if (isCertificate(code)) {
    return failed("its TLS certificate is not trusted: give the proxy's CA by NODE_EXTRA_CA_CERTS");
  }
  const known = network.get(code)?.split(":", 1)[0];
  if (known) return failed(`it ${known}: check ${proxy.variable} and NO_PROXY`);
  return classify(cause, about);
}

function notUnderstood(about: CallContext): AwsFailure {
  return unreachable("InvalidAnswer", "sent an answer that could not be understood: check the endpoint", about);
}

function unknown(code: string, requestId: string | undefined, about: CallContext): AwsFailure {
  // `wait` makes the caller split a batch until the name that AWS rejects is alone.
  const message = `${actionOf(about)} at ${serviceOf(about)} failed with an unknown error: see its name in the operator's log at debug level`;
  return new AwsFailure({ reason: "Unreachable", next: "wait", code, requestId, message });
}

/** A response that the operation does not define. @param what a noun phrase: `no plaintext and key` */
export function invalidAnswer(about: CallContext, what: string): AwsFailure {
  return unreachable("InvalidAnswer", `answered ${actionOf(about)} with something that is ${what}`, about);
}

function unreachable(code: string, what: string, about: CallContext): AwsFailure {
  const message = `${serviceOf(about)} ${what}; ${tryAgain}`;
  return new AwsFailure({ reason: "Unreachable", next: "retry", code, message });
}

function addressRefused({ kind }: AddressRefused, about: CallContext): AwsFailure {
  const why =
    kind === "metadata"
      ? "the instance's metadata, where no service of AWS is"
      : "this machine, which is allowed only with --allow-insecure-endpoints";
  const message = `the host of ${serviceOf(about)} has an address of ${why}: check the endpoint and the cluster's DNS`;
  return new AwsFailure({ reason: "NotAllowed", next: "wait", scope: "credentials", code: "AddressRefused", message });
}

/** Classifies a failure of the credential chain: an AWS call that it made failed, or it found no credentials. */
function credentialsUnavailable({ cause, place }: CredentialsUnavailable, about: CallContext): AwsFailure {
  const thrown = (typeof cause === "object" && cause !== null ? cause : {}) as Thrown & { $fault?: unknown };
  const isProviders = thrown.name === "CredentialsProviderError";
  const inner: CallContext = { service: "sts", operation: "AssumeRoleWithWebIdentity", region: about.region };
  const known = isProviders ? undefined : classify(thrown, inner);
  const told = chainTrouble(thrown, place);
  // The table classifies transient errors, and AWS errors that the chain does not know. An exception is an STS error
  // about the cluster's OIDC issuer.
  if (known && (known.next === "retry" || (!told && thrown.$fault !== undefined))) {
    if (told !== "IDPCommunicationError") {
      const { reason, next, code, message, requestId } = known;
      return new AwsFailure({ reason, next, code, message, requestId, scope: "credentials" });
    }
  }
  const trouble = told ?? chainFallback(place);
  const { reason, next, says } = chainRows[trouble];
  const message = says(place.role ?? "its role");
  const parts = { reason, next, code: chainCode(trouble), message, requestId: known?.requestId };
  return new AwsFailure({ ...parts, scope: "credentials" });
}

/** Returns an error name that is safe to log and compare; AWS's names have no other characters. */
function identifier(text: unknown): string {
  return typeof text === "string" && /^[A-Za-z][A-Za-z0-9_.]{0,63}$/.test(text) ? text : "UnknownError";
}
