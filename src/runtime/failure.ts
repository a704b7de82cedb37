import type { Reason } from "../api/reasons.ts";

/**
 * What follows a failure:
 * - `retry`: a retry soon, with backoff (throttling, a timeout, a server error);
 * - `refused`: no event will announce that the cause is gone (an admission policy, a quota). The condition is set at
 *   once; retries follow with backoff, at most half a minute apart;
 * - `wait`: only a change elsewhere or a poll can fix it (a missing parameter, a denial, a disabled key);
 * - `stalled`: only a change of the spec can fix it (malformed data, a bad template).
 */
export type Next = "retry" | "refused" | "wait" | "stalled";

/**
 * A failure to show to the user: the condition's reason, and a message that states what is wrong, for which entry, and
 * what to do. The message never contains a value, an AWS response body or a parser's message, and is the same at each
 * retry.
 */
export class Failure extends Error {
  readonly reason: Reason;
  readonly next: Next;
  /** The server's Retry-After in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(reason: Reason, next: Next, message: string, retryAfterMs?: number) {
    super(message);
    this.name = "Failure";
    this.reason = reason;
    this.next = next;
    this.retryAfterMs = retryAfterMs;
  }
}
