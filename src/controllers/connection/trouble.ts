import type { Failure } from "../../runtime/failure.ts";
import type { Log } from "../../runtime/log.ts";
import { secondsOf } from "../conditions.ts";
import type { Resolved, ResolvedConnection } from "./connections.ts";

/** Why a connection is not ready, or AWS does not answer the check of its credentials; undefined if all is well. */
function troubleOf(resolved: Resolved): Failure | undefined {
  return resolved.state === "failed" ? resolved.failure : resolved.unanswered?.failure;
}

/** Logs when a connection's trouble begins, changes its reason, or ends. */
export function logTurn(
  log: Log,
  connection: string,
  { before, now }: { before?: Resolved | undefined; now: Resolved },
) {
  const was = before && troubleOf(before);
  const is = troubleOf(now);
  if (is && was?.reason !== is.reason) {
    const what = now.state === "ready" ? "AWS does not answer a connection" : "connection not ready";
    log.warn({ connection, reason: is.reason, message: is.message }, what);
  }
  if (was && !is) log.info({ connection }, "connection ready again");
}

/** The suffix of the Ready message while AWS does not answer. */
export function silenceOf({ unanswered }: ResolvedConnection): string {
  return unanswered ? `; no answer since ${secondsOf(unanswered.since)}: ${unanswered.failure.message}` : "";
}
