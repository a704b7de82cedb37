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

/** The identities were closed: the operator ends. */
export class Closed extends Error {}

/** What the SDK hangs on an error, and node on one of the network; all of it may be missing, or be something else. */
interface Thrown {
  name?: unknown;
  code?: unknown;
  message?: unknown;
  $metadata?: { httpStatusCode?: unknown; requestId?: unknown };
  $response?: { statusCode?: unknown };
}

/**
 * Classes what a call to AWS was thrown. Nothing of the error's own words gets into the message, but for ARNs that
 * read as such (see `denial`).
 *
 * @param error whatever the SDK threw
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
  if (row === "denied") return denied(thrown, name, requestId, about);
  if (row) return fromRow(row, name, requestId, about);
  return fromStatus(thrown, name, requestId, about) ?? fromNetwork(thrown, about) ?? unknown(name, requestId, about);
}

/** The row of an error that AWS's words tell apart from others of its name; the words themselves go no further. */
function variantOf(name: string, message: unknown): string | undefined {
  if (isSkew(name, message)) return "RequestExpired";
  if (name !== "KMSInvalidState" || typeof message !== "string") return undefined;
  const words = message.slice(0, 4_096);
  if (words.includes("pending deletion")) return "KMSInvalidState/PendingDeletion";
  if (words.includes("pending import")) return "KMSInvalidState/PendingImport";
  return words.includes("is unavailable") ? "KMSInvalidState/Unavailable" : undefined;
}

/** Whether AWS refused a signature for its time alone (IAM User Guide, "Troubleshoot Signature Version 4"). */
function isSkew(name: string, message: unknown): boolean {
  if (name !== "InvalidSignature" && name !== "SignatureDoesNotMatch") return false;
  return typeof message === "string" && /^Signature (expired|not yet current)/.test(message);
}

/** The call took longer than a call may. */
export function deadlinePassed(about: CallContext): AwsFailure {
  return unreachable("TimeoutError", "did not answer in time: check the network and the VPC endpoint", about);
}

/** The caller of the call has ended it. */
export function stopped(about: CallContext): AwsFailure {
  const message = `${actionOf(about)} in ${about.region} was given up before AWS answered`;
  return new AwsFailure({ reason: "Unreachable", next: "retry", code: "AbortError", message });
}

/** AWS's id of a request, where an answer or an error has one. */
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

/** An error that the table does not know, by its HTTP status. */
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
    return unreachable("InvalidAnswer", "answered with a redirect, which is not followed: check the endpoint", about);
  }
  // No error of AWS's: the SDK could not read the answer.
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

/** OpenSSL's and node's words for a certificate that is not trusted. */
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

/** Node's code of an answer to CONNECT that is no success; `statusCode` is the answer's. */
const tunnelRefused = "ERR_PROXY_TUNNEL";

/** A request that went through a proxy: what failed is the proxy, or the way behind it. */
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
  // `wait`, so that a call about several names is split until what AWS does not like stands alone.
  const message = `${actionOf(about)} at ${serviceOf(about)} failed by an error that is not known here: the operator's log at debug level has its name`;
  return new AwsFailure({ reason: "Unreachable", next: "wait", code, requestId, message });
}

/** An answer that is none of those that the call has. @param what it is, as a clause: `no plaintext and key` */
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

/** The chain of credentials failed: by a call to AWS of its own, or because it found nothing. */
function credentialsUnavailable({ cause, place }: CredentialsUnavailable, about: CallContext): AwsFailure {
  const thrown = (typeof cause === "object" && cause !== null ? cause : {}) as Thrown & { $fault?: unknown };
  const isProviders = thrown.name === "CredentialsProviderError";
  const inner: CallContext = { service: "sts", operation: "AssumeRoleWithWebIdentity", region: about.region };
  const known = isProviders ? undefined : classify(thrown, inner);
  const told = chainTrouble(thrown, place);
  // What mends itself is the table's, but for what STS says of the cluster's OIDC issuer; so is what only AWS can say.
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

/** A name that is fit for a log line and a comparison; AWS's own have no other characters. */
function identifier(text: unknown): string {
  return typeof text === "string" && /^[A-Za-z][A-Za-z0-9_.]{0,63}$/.test(text) ? text : "UnknownError";
}
