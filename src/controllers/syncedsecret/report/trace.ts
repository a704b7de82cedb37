import type { SyncedSecret } from "../../../api/types.ts";
import type { Lane } from "../../../runtime/lane.ts";
import type { Span, SpanAttributes } from "../../../runtime/tracing.ts";
import { hasFailed, type Outcome, writeOf } from "../decide/outcome.ts";
import type { Summary } from "./summarize.ts";

/** Attributes of the trace of one reconcile. @param tries failed tries before this one */
export function attributesOf({ metadata }: SyncedSecret, lane: Lane, tries: number): SpanAttributes {
  return {
    "k8s.namespace.name": metadata.namespace,
    "keyferry.syncedsecret.name": metadata.name,
    "keyferry.syncedsecret.generation": metadata.generation,
    "keyferry.lane": lane,
    "keyferry.retry.count": tries,
  };
}

/** Adds what a reconcile has found and done to its span. Without messages: reasons, names and counts. */
export function noteOutcome(span: Span, outcome: Outcome, { ready, reason }: Summary): void {
  const made = "secret" in outcome ? outcome : undefined;
  span.set({
    "keyferry.outcome": outcome.kind,
    "keyferry.reason": reason,
    "keyferry.secret.name": made?.secret,
    "keyferry.secret.revision": made?.revision,
    "keyferry.secret.key.count": made?.keyCount,
    "keyferry.secret.action": writeOf(outcome),
    "keyferry.problem.count": hasFailed(outcome) ? outcome.problems.length : 0,
  });
  if (ready === "False") span.fail(reason);
}
