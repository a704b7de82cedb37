/**
 * What a failed list or watch means to a reflector:
 * - `gone`: the resourceVersion is too old (410, Expired or Gone);
 * - `too-new`: the server has not reached the resourceVersion yet;
 * - `throttled`: 429;
 * - `refused`: nobody listens at the server's address;
 * - `internal`: the server failed (500);
 * - `unsupported`: the server does not take the request (400, 422);
 * - `other`: anything else.
 */
export interface Fault {
  readonly kind: "gone" | "too-new" | "throttled" | "refused" | "internal" | "unsupported" | "other";
  /** Milliseconds that the server asked us to wait. */
  readonly retryAfterMs?: number | undefined;
}

/** Sorts what a list or watch rejected with: a KubeError, or anything. */
export function faultOf(error: unknown): Fault {
  const { kind, status, reason, retryAfterMs } = (error ?? {}) as Record<string, unknown>;
  if (kind === "network" && isRefused(error)) return { kind: "refused" };
  const fault = faultOfStatus({ code: status, reason });
  return typeof retryAfterMs === "number" ? { ...fault, retryAfterMs } : fault;
}

/** Sorts the Status object of an ERROR event, or the parts of one. */
export function faultOfStatus(status: { code?: unknown; reason?: unknown; details?: unknown }): Fault {
  const { code, reason } = status;
  const details = (status.details ?? {}) as { retryAfterSeconds?: unknown; causes?: unknown };
  const seconds = details.retryAfterSeconds;
  const retryAfterMs = typeof seconds === "number" && seconds > 0 ? seconds * 1000 : undefined;
  return { kind: kindOf(code, reason), retryAfterMs };
}

function kindOf(code: unknown, reason: unknown): Fault["kind"] {
  if (code === 410 || reason === "Expired" || reason === "Gone") return "gone";
  if (code === 429 || reason === "TooManyRequests") return "throttled";
  // client-go looks for the cause ResourceVersionTooLarge. Any time-out of the server is taken for it here: what
  // follows is one list of the newest state, which is right after either.
  if (code === 504 || reason === "Timeout") return "too-new";
  if (code === 500 || reason === "InternalError") return "internal";
  if (code === 400 || code === 422 || reason === "Invalid" || reason === "BadRequest") return "unsupported";
  return "other";
}

/** Looks for ECONNREFUSED along the causes, a few steps deep, also where several addresses were tried. */
function isRefused(error: unknown, depth = 0): boolean {
  if (typeof error !== "object" || error === null || depth > 5) return false;
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown };
  if (code === "ECONNREFUSED") return true;
  if (Array.isArray(errors) && errors.some((one) => isRefused(one, depth + 1))) return true;
  return isRefused(cause, depth + 1);
}
