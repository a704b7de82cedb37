import { type Refuser, refuserOf } from "./refuser.ts";

/**
 * What a failed request to the Kubernetes API means:
 * - `conflict`: another version, or another uid on an object that is not there, than the request was made upon;
 * - `fieldManagerConflict`: other field managers own what an apply without force would change;
 * - `invalid`: the object breaks its schema or a rule, or tries to change its uid (422);
 * - `denied`: an admission policy, webhook, quota or plugin refuses it, or the namespace is being deleted; see `refuser`;
 * - `tooLarge`: the request, or the object that it would make, is larger than the server or etcd takes;
 * - `gone`: a resourceVersion or a page's token is too old;
 * - `timeout`: no whole answer in time; whether a write was done is not known;
 * - `unavailable`: the server, or something in front of it, cannot answer now (500, 502, 503);
 * - `network`: no answer; whether a write was done is not known.
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

/** What a KubeError is made of, beside its kind and its message. */
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
 * A request to the Kubernetes API that failed. Its message names the request and the kind of answer, and never holds
 * a part of a body: the server quotes values in a 422.
 */
export class KubeError extends Error {
  readonly kind: KubeErrorKind;
  /** The HTTP status; undefined where no answer came. */
  readonly status: number | undefined;
  /** The machine-readable reason of the server's Status object. */
  readonly reason: string | undefined;
  /** Node's or undici's code of a failed connection, such as ECONNREFUSED. */
  readonly code: string | undefined;
  /** Milliseconds that the server asked us to wait. */
  readonly retryAfterMs: number | undefined;
  /** What the server found wrong, by field path. */
  readonly causes: readonly { reason?: string; field?: string }[];
  /** Of a `fieldManagerConflict`: which field is whose. */
  readonly conflicts: readonly { manager: string; field: string }[];
  /** What of the admission chain answered; also of an `unavailable` where a webhook could not be asked. */
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

/** Whether the very same request may succeed a little later. */
export function isRetryable(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false;
  return ["tooManyRequests", "timeout", "unavailable", "network"].includes(error.kind);
}

/** Bounds on what is kept of an answer. */
const mostCauses = 100;
const longestText = 512;
/** The longest wait that a server can ask for: one hour. */
const longestRetryAfterSeconds = 3600;

/**
 * Makes an error from an answer that is not 2xx.
 *
 * @param request what was asked, for the message: `PATCH secrets shop/checkout`
 * @param retryAfter the header Retry-After
 * @param body the answer's body, or undefined where it was not JSON: a Status object where the API server itself
 *   answered, anything where a proxy did
 */
export function errorOfAnswer(request: string, status: number, retryAfter: unknown, body: unknown): KubeError {
  const { reason: rawReason, details, message: rawMessage } = recordOf(body);
  const { causes: rawCauses, retryAfterSeconds } = recordOf(details);
  const reason = typeof rawReason === "string" && /^[A-Za-z]{1,64}$/.test(rawReason) ? rawReason : undefined;
  const causes = (Array.isArray(rawCauses) ? rawCauses.slice(0, mostCauses) : []).map(recordOf);
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
 * Makes an error from what a connection failed with. Only codes are taken over: undici's parser errors carry the bytes
 * that they stumbled over.
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

/** etcd's own limit, and that of the API server's connection to it: both come as a 500 without a reason. */
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
 * The other manager is named in the cause's message only: `conflict with "kubectl" using v1`
 * (k8s.io/apimachinery/pkg/util/managedfields/internal/conflict.go).
 */
function conflictOf(cause: Record<string, unknown>): { manager: string; field: string } {
  const message = typeof cause.message === "string" ? cause.message.slice(0, longestText) : "";
  const manager = /^conflict with "([^"\\]*)"/.exec(message)?.[1] ?? "another field manager";
  return { manager, field: textOf(cause.field) ?? "" };
}

/** Milliseconds of a number of seconds. The API server never sends the date form of Retry-After. */
function waitOf(seconds: unknown): number | undefined {
  const number = typeof seconds === "string" && /^\d{1,9}$/.test(seconds) ? Number(seconds) : seconds;
  if (typeof number !== "number" || !(number > 0)) return undefined;
  return Math.min(number, longestRetryAfterSeconds) * 1000;
}

/** The first code along an error's causes, some steps deep, also where several addresses were tried. */
function codeOf(error: unknown, depth = 0): string | undefined {
  if (typeof error !== "object" || error === null || depth > 5) return undefined;
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown };
  // undici's own codes say less than what the socket failed with.
  const inner = codeOf(cause, depth + 1) ?? (Array.isArray(errors) ? codeOf(errors[0], depth + 1) : undefined);
  return inner ?? (typeof code === "string" && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : undefined);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value.slice(0, longestText) : undefined;
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
