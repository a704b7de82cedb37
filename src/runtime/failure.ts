import type { Reason } from "../api/reasons.ts";

/**
 * What happens after a failure:
 * - `retry`: try again soon, with backoff (a throttle, a time-out, a server's error);
 * - `refused`: an answer that nothing announces the end of (an admission policy, a quota): said at once, and tried again
 *   with backoff, half a minute apart at most;
 * - `wait`: only a change elsewhere, or a slow look, can mend it (a missing parameter, a denial, a disabled key);
 * - `stalled`: only a change of the spec can mend it (malformed data, a bad template).
 */
export type Next = "retry" | "refused" | "wait" | "stalled";

/**
 * A failure in the words that its user will read: the reason of the condition, and a message that says what is
 * wrong, for which entry, and what to do. The message never holds a value, an AWS body or a parser's text, and is the
 * same from one try to the next.
 */
export class Failure extends Error {
  readonly reason: Reason;
  readonly next: Next;
  /** Milliseconds that the other side asked us to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(reason: Reason, next: Next, message: string, retryAfterMs?: number) {
    super(message);
    this.name = "Failure";
    this.reason = reason;
    this.next = next;
    this.retryAfterMs = retryAfterMs;
  }
}
