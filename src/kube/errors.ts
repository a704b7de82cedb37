import { type Refuser, refuserOf } from "./client/refuser.ts";

/**
 * The cause of a failed request to the Kubernetes API:
 * - `conflict`: the resourceVersion does not match, or the request has a uid and the object does not exist;
 * - `fieldManagerConflict`: other field managers own fields that an apply without force would change;
 * - `invalid`: the object violates its schema or a rule, or would change its uid (422);
 * - `denied`: an admission policy, webhook, quota or plugin refused it, or the namespace is being deleted; see
 *   `refuser`;
 * - `tooLarge`: the request, or the resulting object, exceeds the limit of the server or etcd;
 * - `gone`: a resourceVersion or a continue token is too old;
 * - `timeout`: no complete answer in time; a write may have taken effect;
 * - `unavailable`: the server or a proxy in front of it cannot answer now (500, 502, 503);
 * - `network`: no answer; a write may have taken effect.
 */
export type KubeErrorKind =
  | "notFound"
  | "alreadyExists"
  | "conflict"
  | "fieldManagerConflict"
  | "invalid"
  | "forbidden"
  | "denied"
  | "unauthorized"
  | "tooManyRequests"
  | "gone"
  | "tooLarge"
  | "badRequest"
  | "timeout"
  | "unavailable"
  | "network"
  | "other";

/** The optional fields of a KubeError. */
export interface KubeErrorDetails {
  status?: number | undefined;
  reason?: string | undefined;
  code?: string | undefined;
  retryAfterMs?: number | undefined;
  causes?: KubeError["causes"];
  conflicts?: KubeError["conflicts"];
  refuser?: Refuser | undefined;
}

/**
 * A request to the Kubernetes API that failed. The message names the request and the status. It never contains a part
 * of a body, because the server quotes values in a 422.
 */
export class KubeError extends Error {
  readonly kind: KubeErrorKind;
  /** The HTTP status; undefined without an answer. */
  readonly status: number | undefined;
  /** The `reason` of the server's Status object. */
  readonly reason: string | undefined;
  /** The error code of Node.js or undici for a failed connection, such as ECONNREFUSED. */
  readonly code: string | undefined;
  /** The server's Retry-After in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** The causes of the server's Status object, by field path. */
  readonly causes: readonly { reason?: string; field?: string }[];
  /** For a `fieldManagerConflict`: each field and its owner. */
  readonly conflicts: readonly { manager: string; field: string }[];
  /** The part of the admission chain that refused; also set on an `unavailable` if a webhook could not be called. */
  readonly refuser: Refuser | undefined;

  constructor(kind: KubeErrorKind, message: string, details: KubeErrorDetails = {}) {
    super(message);
    this.name = "KubeError";
    this.kind = kind;
    this.status = details.status;
    this.reason = details.reason;
    this.code = details.code;
    this.retryAfterMs = details.retryAfterMs;
    this.causes = details.causes ?? [];
    this.conflicts = details.conflicts ?? [];
    this.refuser = details.refuser;
  }
}

/** What a read answers; undefined if the object does not exist. Rejects with every other error of the read. */
export async function ifPresent<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof KubeError && error.kind === "notFound") return undefined;
    throw error;
  }
}

/** Whether the same request may succeed later. */
export function isRetryable(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false;
  return ["tooManyRequests", "timeout", "unavailable", "network"].includes(error.kind);
}

/** Limits on what is kept of an answer. */
const maxCauses = 100;
const maxTextLength = 512;
/** Maximum Retry-After that is honored: one hour. */
const maxRetryAfterSeconds = 3600;

/**
 * Makes an error from an answer that is not 2xx.
 *
 * @param request the request, for the message: `PATCH secrets shop/checkout`
 * @param retryAfter the header Retry-After
 * @param body the parsed body, undefined if it was not JSON: a Status object from the API server, anything from a proxy
 */
export function errorOfAnswer(request: string, status: number, retryAfter: unknown, body: unknown): KubeError {
  const { reason: rawReason, details, message: rawMessage } = recordOf(body);
  const { causes: rawCauses, retryAfterSeconds } = recordOf(details);
  const reason = typeof rawReason === "string" && /^[A-Za-z]{1,64}$/.test(rawReason) ? rawReason : undefined;
  const causes = (Array.isArray(rawCauses) ? rawCauses.slice(0, maxCauses) : []).map(recordOf);
  const conflicts = causes.filter((cause) => cause.reason === "FieldManagerConflict").map(conflictOf);
  const message = typeof rawMessage === "string" ? rawMessage : "";
  const refuser = refuserOf(
    status,
    message,
    causes.map((cause) => textOf(cause.reason)),
  );
  const isDenied = refuser !== undefined && refuser.by !== "silentWebhook";
  const kind = isDenied ? "denied" : kindOf(status, reason, conflicts.length > 0, message);
  return new KubeError(kind, `${request}: ${status}${reason ? ` ${reason}` : ""}`, {
    status,
    reason,
    retryAfterMs: waitOf(retryAfter) ?? waitOf(retryAfterSeconds),
    causes: causes.map((cause) => {
      const [of, field] = [textOf(cause.reason), textOf(cause.field)];
      return { ...(of === undefined ? {} : { reason: of }), ...(field === undefined ? {} : { field }) };
    }),
    conflicts,
    refuser,
  });
}

/**
 * Makes an error from a connection's error. Only its code is used: undici's parser errors contain bytes of the
 * response.
 */
export function errorOfConnection(request: string, error: unknown): KubeError {
  const code = codeOf(error);
  return new KubeError("network", `${request}: ${code ?? "no answer"}`, { code });
}

function kindOf(status: number, reason: string | undefined, hasConflicts: boolean, message: string): KubeErrorKind {
  if (hasConflicts) return "fieldManagerConflict";
  if (status === 500 && tooLargeForEtcd.test(message)) return "tooLarge";
  if (status === 409) return reason === "AlreadyExists" ? "alreadyExists" : "conflict";
  if (status === 410 || reason === "Expired" || reason === "Gone") return "gone";
  return kinds.get(status) ?? "other";
}

/** The limits of etcd and of the API server's gRPC connection to etcd: both are a 500 without a reason. */
const tooLargeForEtcd =
  /^(?:etcdserver: request is too large|rpc error: code = ResourceExhausted desc = trying to send message larger than max)/;

const kinds: ReadonlyMap<number, KubeErrorKind> = new Map([
  [400, "badRequest"],
  [401, "unauthorized"],
  [403, "forbidden"],
  [404, "notFound"],
  [408, "timeout"],
  [413, "tooLarge"],
  [422, "invalid"],
  [429, "tooManyRequests"],
  [500, "unavailable"],
  [502, "unavailable"],
  [503, "unavailable"],
  [504, "timeout"],
]);

/**
 * Only the cause's message names the other manager: `conflict with "kubectl" using v1`
 * (k8s.io/apimachinery/pkg/util/managedfields/internal/conflict.go).
 */
function conflictOf(cause: Record<string, unknown>): { manager: string; field: string } {
  const message = typeof cause.message === "string" ? cause.message.slice(0, maxTextLength) : "";
  const manager = /^conflict with "([^"\\]*)"/.exec(message)?.[1] ?? "another field manager";
  return { manager, field: textOf(cause.field) ?? "" };
}

/** Converts seconds to milliseconds. The API server never sends the date form of Retry-After. */
function waitOf(seconds: unknown): number | undefined {
  const number = typeof seconds === "string" && /^\d{1,9}$/.test(seconds) ? Number(seconds) : seconds;
  if (typeof number !== "number" || !(number > 0)) return undefined;
  return Math.min(number, maxRetryAfterSeconds) * 1000;
}

/** The innermost code in an error's chain of causes, also in an AggregateError of several addresses. */
function codeOf(error: unknown, depth = 0): string | undefined {
  if (typeof error !== "object" || error === null || depth > 5) return undefined;
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown };
  // The socket's code is more specific than undici's.
  const inner = codeOf(cause, depth + 1) ?? (Array.isArray(errors) ? codeOf(errors[0], depth + 1) : undefined);
  return inner ?? (typeof code === "string" && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : undefined);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value.slice(0, maxTextLength) : undefined;
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
