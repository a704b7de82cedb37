import type { Metrics } from "../metrics/metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { classify, deadlinePassed, stopped } from "./classify.ts";
import type { Clients } from "./clients.ts";
import { type AwsFailure, actionOf, type CallContext } from "./failure.ts";

/**
 * Makes one call of an identity. The one place where calls are measured, bounded in time, and their failures classed.
 *
 * @param signal ends the call
 * @param use makes the call, by the clients that it is given and under the signal that it is given
 * @param options.names of a GetParameters call, for the metric
 * @param options.waitMs milliseconds that AWS was asked to wait for something to answer with: they are added to the
 *   time that the call may take. Such a call is counted but not timed: it takes as long as nothing happens, which says
 *   nothing of AWS and would hide what the others take.
 * @param options.decrypted how many SecureStrings of an answer were decrypted, for the metric
 * @returns what `use` returns
 * @throws AwsFailure and nothing else
 */
export type SendCall = <T>(
  about: CallContext,
  signal: AbortSignal | undefined,
  use: (clients: Clients, abortSignal: AbortSignal) => Promise<T>,
  options?: { names?: number; waitMs?: number; decrypted?: (answer: T) => number },
) => Promise<T>;

export interface SenderOptions {
  /** Lends the identity's clients for the time that `use` takes. */
  borrow: <T>(use: (clients: Clients) => Promise<T>) => Promise<T>;
  clock: Clock;
  metrics: Metrics;
  log: Log;
  /** Milliseconds of one call that waits for nothing, from here to the answer's last byte. */
  callTimeoutMs: number;
  /** ARN of the caller, where it is known already. */
  caller: () => string | undefined;
  /** Called as a call begins; what it returns is called with the failure of that call. */
  begins?: () => (failure: AwsFailure) => void;
}

/** A SendCall over what `borrow` lends. */
export function sender({ borrow, clock, metrics, log, callTimeoutMs, caller, begins }: SenderOptions): SendCall {
  return async (about, signal, use, { names, waitMs = 0, decrypted } = {}) => {
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
      // Raced: credentials are waited for without regard to the signal.
      const answer = await Promise.race([borrow((clients) => use(clients, end.signal)), ended(end.signal)]);
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
