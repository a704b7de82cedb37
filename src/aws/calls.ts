import type { Metrics } from "../metrics/metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { classify, deadlinePassed, stopped } from "./classify.ts";
import type { Clients } from "./clients.ts";
import { type AwsFailure, actionOf, type CallContext } from "./failure.ts";

/**
 * Makes one call as an identity. All calls are measured, timed out and their failures classified here.
 *
 * @param signal aborts the call
 * @param use makes the call with the clients and signal that it receives
 * @param options.names of a GetParameters call, for the metric
 * @param options.waitMs long-poll duration in milliseconds, added to the call's timeout. A long poll is counted but not
 *   timed: its duration would distort the latency metric.
 * @param options.decrypted returns the number of SecureStrings that were decrypted, for the metric
 * @param options.afterStop whether the call may begin after `Identities.stop`
 * @returns what `use` returns
 * @throws AwsFailure, and no other error
 */
export type SendCall = <T>(
  about: CallContext,
  signal: AbortSignal | undefined,
  use: (clients: Clients, abortSignal: AbortSignal) => Promise<T>,
  options?: { names?: number; waitMs?: number; decrypted?: (answer: T) => number; afterStop?: boolean },
) => Promise<T>;

export interface SenderOptions {
  /** Keeps the identity's clients open while `use` runs. */
  borrow: <T>(use: (clients: Clients) => Promise<T>, options: { afterStop: boolean }) => Promise<T>;
  clock: Clock;
  metrics: Metrics;
  log: Log;
  /** Timeout in milliseconds of a call without long poll, until the last byte of the response. */
  callTimeoutMs: number;
  /** ARN of the caller, if known. */
  caller: () => string | undefined;
  /** Called when a call starts; the returned function is called with that call's failure. */
  begins?: () => (failure: AwsFailure) => void;
}

/** Creates a SendCall over `borrow`. */
export function sender({ borrow, clock, metrics, log, callTimeoutMs, caller, begins }: SenderOptions): SendCall {
  return async (about, signal, use, { names, waitMs = 0, decrypted, afterStop = false } = {}) => {
    const { service, operation, region } = about;
    const start = clock.monotonic();
    const failed = begins?.();
    const end = new AbortController();
    let over: "deadline" | "stopped" | undefined;
    const finish = (why: "deadline" | "stopped") => {
      over ??= why;
      end.abort();
    };
    const stop = () => finish("stopped");
    if (signal?.aborted) throw stopped(about);
    signal?.addEventListener("abort", stop, { once: true });
    const timer = clock.setTimer(() => finish("deadline"), callTimeoutMs + waitMs);
    if (names !== undefined) metrics.parametersPerCall.observe(names);
    let result = "ok";
    try {
      // Raced, because the credential provider ignores the signal.
      const answer = await Promise.race([
        borrow((clients) => use(clients, end.signal), { afterStop }),
        ended(end.signal),
      ]);
      if (decrypted) metrics.secureStrings.inc(decrypted(answer));
      return answer;
    } catch (error) {
      const failure =
        over === "deadline"
          ? deadlinePassed(about)
          : over === "stopped"
            ? stopped(about)
            : classify(error, { caller: caller(), ...about });
      failed?.(failure);
      result = resultOf(failure);
      if (result === "throttled") metrics.awsThrottles.inc({ service, operation });
      const { code, requestId } = failure;
      log.debug({ action: actionOf(about), region, code, requestId }, "call to AWS failed");
      throw failure;
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", stop);
      metrics.awsRequests.inc({ service, operation, result });
      const seconds = (clock.monotonic() - start) / 1_000;
      if (waitMs === 0) metrics.awsRequestDuration.observe({ service, operation }, seconds);
      if (operation === "Decrypt") metrics.kmsDecrypts.inc({ result });
    }
  };
}

/** Rejects when the signal aborts; never resolves. */
function ended(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

function resultOf({ reason }: AwsFailure): "throttled" | "denied" | "notFound" | "error" {
  if (reason === "Throttled") return "throttled";
  if (reason === "AccessDenied") return "denied";
  if (reason === "ParameterNotFound" || reason === "VersionNotFound") return "notFound";
  return "error";
}
