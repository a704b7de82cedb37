import type { Reason } from "../api/reasons.ts";
import type { Next } from "../runtime/failure.ts";
import { actionOf, type CallContext, type FailureScope } from "./failure.ts";

/** How one AWS error is classified. */
export interface Row {
  reason: Reason;
  next: Next;
  scope?: FailureScope;
  /** The message to the user. */
  says: (about: CallContext) => string;
}

/** The end of every message about a transient error. */
export const tryAgain = "it is tried again by itself";

const services = { ssm: "AWS Systems Manager", kms: "AWS KMS", sts: "AWS STS", sqs: "Amazon SQS" };

/** Returns the service's name for messages, with the region. */
export function serviceOf({ service, region }: CallContext): string {
  return `${services[service]} in ${region}`;
}

const ours = { ssm: "the parameters", kms: "the ciphertext", sts: "the caller", sqs: "the queue" };

const resourceOf = ({ resource, service }: CallContext) => resource ?? ours[service];

/** AWS throttled the call. */
export const throttled: Row = {
  reason: "Throttled",
  next: "retry",
  says: (about) =>
    `AWS throttles ${actionOf(about)} in ${about.region}: the account's quota there is spent; ${tryAgain}`,
};

const broken: Row = {
  reason: "Unreachable",
  next: "retry",
  scope: "server",
  says: (about) => `${serviceOf(about)} answers ${actionOf(about)} with a server error; ${tryAgain}`,
};

const slow: Row = {
  reason: "Unreachable",
  next: "retry",
  says: (about) => `${serviceOf(about)} did not answer in time: check the network and the VPC endpoint; ${tryAgain}`,
};

const skewed: Row = {
  reason: "Unreachable",
  next: "retry",
  scope: "credentials",
  says: (about) =>
    `${serviceOf(about)} says that the clock of the operator's machine is wrong: set it by NTP; ${tryAgain}`,
};

const badCredentials = (what: string): Row => ({
  reason: "AccessDenied",
  next: "wait",
  scope: "credentials",
  says: (about) => `${serviceOf(about)} does not accept the credentials: ${what}`,
});

const expired = badCredentials("they have expired; where a Secret holds them, put new ones there");
const unrecognized = badCredentials("the access key or session token is not known; check the Secret that holds them");
const unsigned = badCredentials("the signature is wrong; check AWS_SECRET_ACCESS_KEY in the Secret that holds them");

const invalid = (what: string): Row => ({
  reason: "InvalidData",
  next: "stalled",
  says: (about) => `${serviceOf(about)} takes ${resourceOf(about)} for invalid: ${what}`,
});

/** A malformed request. Only AWS's text, which messages do not show, tells which part is wrong. */
const malformed: Row = {
  reason: "InvalidData",
  next: "stalled",
  says: (about) => {
    if (about.service !== "kms") return invalid("check its name and selector").says(about);
    const parts = about.operation === "Decrypt" ? "the key, algorithm, context and ciphertext" : "the key";
    return `${serviceOf(about)} takes ${actionOf(about)} for invalid: check ${parts} that the entry gives`;
  },
};

const keyUnavailable = (what: string, next: Next = "wait"): Row => ({
  reason: "KeyUnavailable",
  next,
  says: (about) => `the KMS key ${keyOf(about)} in ${about.region} ${what}`,
});

const keyOf = (about: CallContext) =>
  about.service === "kms" ? (about.pinnedKey ?? "of the ciphertext") : `of ${resourceOf(about)}`;

/** Reports whether a key name is that of a multi-Region key, which may lack a replica in one region. */
const namesReplica = (key: string | undefined) => key !== undefined && /(^|:key\/)mrk-/.test(key);

const noKey: Row = {
  reason: "KeyUnavailable",
  next: "wait",
  says: (about) => {
    const key = `the KMS key ${keyOf(about)} in ${about.region}`;
    if (about.pinnedKey?.includes("alias/"))
      return `${key} does not exist: check the alias, its account and the region`;
    if (namesReplica(about.pinnedKey)) return `${key} does not exist: replicate the multi-Region key there`;
    return `${key} does not exist: check the ARN, its account and the region`;
  },
};

const disabled = keyUnavailable("is disabled: enable it");
const keyTrouble = keyUnavailable(`cannot be used at the moment; ${tryAgain}`, "retry");

const notDecrypted = (what: (about: CallContext) => string): Row => ({
  reason: "DecryptFailed",
  next: "stalled",
  says: (about) => `${serviceOf(about)} does not decrypt it: ${what(about)}`,
});

function isRsa(algorithm: string | undefined): boolean {
  return algorithm?.startsWith("RSAES_") ?? false;
}

function notForIt({ pinnedKey = "its key", algorithm = "SYMMETRIC_DEFAULT" }: CallContext): string {
  return `${pinnedKey} cannot decrypt with ${algorithm}: its key spec or key usage does not match`;
}

/**
 * The documented errors of GetParameter, GetParameters, GetParametersByPath, DescribeParameters, kms:Decrypt and
 * sts:GetCallerIdentity (API References), and the errors of every service (Common Errors), by AWS's name. `denied`: see
 * denial.ts. A name without `Exception` matches both forms.
 */
export const rows: ReadonlyMap<string, Row | "denied"> = new Map<string, Row | "denied">([
  ["Throttling", throttled],
  ["Throttled", throttled],
  ["TooManyRequests", throttled],
  ["RequestThrottled", throttled],
  ["RequestLimitExceeded", throttled],
  ["LimitExceeded", throttled],
  ["ProvisionedThroughputExceeded", throttled],
  ["BandwidthLimitExceeded", throttled],
  ["PriorRequestNotComplete", throttled],
  ["SlowDown", throttled],

  ["InternalServerError", broken],
  ["InternalServer", broken],
  ["InternalFailure", broken],
  ["InternalError", broken],
  ["ServiceUnavailable", broken],
  ["RequestAborted", broken],
  ["RequestTimeout", slow],

  ["AccessDenied", "denied"],
  ["NotAuthorized", "denied"],
  ["UnauthorizedOperation", "denied"],
  ["OptInRequired", badCredentials("the account has not opted in to this region or service")],
  ["ExpiredToken", expired],
  ["UnrecognizedClient", unrecognized],
  ["InvalidClientTokenId", unrecognized],
  ["InvalidAccessKeyId", unrecognized],
  ["InvalidSignature", unsigned],
  ["SignatureDoesNotMatch", unsigned],
  ["IncompleteSignature", unsigned],
  ["MissingAuthenticationToken", unsigned],
  ["RequestExpired", skewed],
  ["RequestTimeTooSkewed", skewed],

  [
    "ParameterNotFound",
    {
      reason: "ParameterNotFound",
      next: "wait",
      says: ({ resource = "the parameter", region }) => `${resource} does not exist in ${region}: create it`,
    },
  ],
  [
    "ParameterVersionNotFound",
    {
      reason: "VersionNotFound",
      next: "wait",
      says: ({ resource = "the parameter", region }) =>
        `${resource} does not exist in ${region}: AWS keeps the last 100 versions; check the version or set the label`,
    },
  ],
  ["InvalidKeyId", keyUnavailable("cannot be used: it is disabled, pending deletion or gone; enable it")],
  ["InvalidFilterKey", invalid("check the types, the label and the tags that are asked for")],
  ["InvalidFilterOption", invalid("check the types, the label and the tags that are asked for")],
  ["InvalidFilterValue", invalid("check the types, the label and the tags that are asked for")],
  ["InvalidNextToken", broken],
  ["Validation", malformed],
  ["ValidationError", malformed],
  ["RequestEntityTooLarge", invalid("the request is too large")],
  ["MalformedHttpRequest", broken],
  [
    "UnknownOperation",
    {
      reason: "Unreachable",
      next: "wait",
      scope: "credentials",
      says: (about) => `${serviceOf(about)} does not know ${actionOf(about)}: check the endpoint`,
    },
  ],

  ["Disabled", disabled],
  [
    "KMSInvalidState",
    // KMS also returns this for every failure of a custom key store.
    keyUnavailable("cannot be used in its state, or its custom key store fails: check the key's state in KMS"),
  ],
  ["KMSInvalidState/PendingDeletion", keyUnavailable("is pending deletion: cancel the deletion, and enable the key")],
  ["KMSInvalidState/PendingImport", keyUnavailable("has no key material: import the same key material again")],
  ["KMSInvalidState/Unavailable", keyUnavailable("cannot be reached by KMS: connect its custom key store")],
  ["NotFound", noKey],
  ["KeyUnavailable", keyTrouble],
  ["DependencyTimeout", keyTrouble],
  ["KMSInternal", keyTrouble],
  [
    "InvalidCiphertext",
    notDecrypted(({ algorithm }) =>
      isRsa(algorithm)
        ? "it was made with another key or algorithm, or is damaged: AWS does not tell which"
        : "the encryption context is wrong or the ciphertext is damaged: AWS does not tell which",
    ),
  ],
  [
    "IncorrectKey",
    notDecrypted(({ pinnedKey }) => `it was encrypted by another key than ${pinnedKey ?? "the one"} that keyId names`),
  ],
  ["InvalidKeyUsage", notDecrypted(notForIt)],
  ["InvalidGrantToken", notDecrypted(() => "the grant token is not valid")],
  ["UnsupportedOperation", notDecrypted(notForIt)],
]);
