import { KubeError } from "../errors.ts";

/**
 * The cause of a failed list or watch:
 * - `gone`: the resourceVersion is too old (410, Expired or Gone);
 * - `too-new`: the server has not reached the resourceVersion yet;
 * - `throttled`: 429;
 * - `refused`: connection refused;
 * - `internal`: internal server error (500);
 * - `unsupported`: the server rejects the parameters (400, 422);
 * - `other`: any other cause.
 */
export interface Fault {
  readonly kind: "gone" | "too-new" | "throttled" | "refused" | "internal" | "unsupported" | "other";
  /** The server's Retry-After in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/** Classifies the error of a list or watch. */
export function faultOf(error: unknown): Fault {
  if (!(error instanceof KubeError)) return { kind: "other" };
  const { kind, status, reason, code, retryAfterMs } = error;
  if (kind === "network" && code === "ECONNREFUSED") return { kind: "refused" };
  return { kind: kindOf(status, reason), retryAfterMs };
}

/** Classifies the Status object of an ERROR event. */
export function faultOfStatus(status: { code?: unknown; reason?: unknown; details?: unknown }): Fault {
  const { code, reason } = status;
  const details = (status.details ?? {}) as { retryAfterSeconds?: unknown };
  const seconds = details.retryAfterSeconds;
  const retryAfterMs = typeof seconds === "number" && seconds > 0 ? seconds * 1000 : undefined;
  return { kind: kindOf(code, reason), retryAfterMs };
}

function kindOf(code: unknown, reason: unknown): Fault["kind"] {
  if (code === 410 || reason === "Expired" || reason === "Gone") return "gone";
  if (code === 429 || reason === "TooManyRequests") return "throttled";
  // client-go checks the cause ResourceVersionTooLarge. Here every server timeout counts: a list of the newest state
  // follows, which is correct in both cases.
  if (code === 504 || reason === "Timeout") return "too-new";
  if (code === 500 || reason === "InternalError") return "internal";
  if (code === 400 || code === 422 || reason === "Invalid" || reason === "BadRequest") return "unsupported";
  return "other";
}
