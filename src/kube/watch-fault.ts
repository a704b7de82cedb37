import { KubeError } from "./errors.ts";

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

/** Sorts what a list or watch rejected with. */
export function faultOf(error: unknown): Fault {
  if (!(error instanceof KubeError)) return { kind: "other" };
  const { kind, status, reason, code, retryAfterMs } = error;
  if (kind === "network" && code === "ECONNREFUSED") return { kind: "refused" };
  return { kind: kindOf(status, reason), retryAfterMs };
}

/** Sorts the Status object of an ERROR event. */
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
  // client-go looks for the cause ResourceVersionTooLarge. Any time-out of the server is taken for it here: what
  // follows is one list of the newest state, which is right after either.
  if (code === 504 || reason === "Timeout") return "too-new";
  if (code === 500 || reason === "InternalError") return "internal";
  if (code === 400 || code === 422 || reason === "Invalid" || reason === "BadRequest") return "unsupported";
  return "other";
}
