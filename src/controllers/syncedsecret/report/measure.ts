import type { Metrics } from "../../../metrics/metrics.ts";
import type { Clock } from "../../../runtime/clock.ts";
import type { Log } from "../../../runtime/log.ts";
import { hasFailed, type Outcome, writeOf } from "../decide/outcome.ts";
import { firstExpiryOf } from "../decide/source-metadata.ts";
import { isSettled } from "./pending-report.ts";
import type { Summary } from "./summarize.ts";

export interface MeasureOptions {
  metrics: Metrics;
  clock: Clock;
  log: Log;
  /** Whether each SyncedSecret has its own time series. */
  perObjectMetrics: boolean;
}

/** Counts an outcome. */
export function measure(
  { metrics, clock, perObjectMetrics }: MeasureOptions,
  key: string,
  outcome: Outcome,
  summary: Summary,
): void {
  metrics.syncs.inc({ result: summary.ready === "False" ? "failed" : "ok", reason: summary.reason });
  if (perObjectMetrics) {
    // Suspended must not alert, so it has no series.
    if (summary.ready === "Unknown") metrics.ready.remove(key);
    else metrics.ready.set(key, summary.ready === "True" ? 1 : 0);
    if (outcome.kind === "current") metrics.lastSuccess.set(key, clock.now() / 1_000);
    const { sourcesMetadata, pending, heldBack } = outcome;
    if (pending) metrics.changesPending.set(key, 1);
    else if (isSettled(outcome)) metrics.changesPending.remove(key);
    if (heldBack && heldBack.problem === undefined) metrics.heldBack.set(key, 1);
    else if (isSettled(outcome)) metrics.heldBack.remove(key);
    const expiry = sourcesMetadata && firstExpiryOf(sourcesMetadata);
    if (expiry !== undefined) metrics.expiration.set(key, expiry / 1_000);
    else if (sourcesMetadata || !hasFailed(outcome)) metrics.expiration.remove(key);
  }
}

/** Counts and logs a write of the Secret, and measures how long its change took. */
export function measureWrite({ metrics, clock, log }: MeasureOptions, key: string, outcome: Outcome): void {
  const wrote = writeOf(outcome);
  if (wrote) {
    metrics.secretWrites.inc({ action: wrote });
    if (wrote === "repaired") metrics.driftRepairs.inc();
    log.info({ syncedSecret: key, action: wrote }, "secret written");
  }
  if (outcome.kind === "current" && outcome.modified !== undefined) {
    metrics.changePropagation.observe(Math.max(clock.now() - outcome.modified, 0) / 1_000);
  }
}
