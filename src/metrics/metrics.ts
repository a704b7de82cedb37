import { setImmediate as nextTurn } from "node:timers/promises";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { GaugeByObject } from "./by-object.ts";

const callBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const propagationBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

/** All metrics of the operator, with the prefix `keyferry_`. docs/metrics.md documents them for users. */
export class Metrics {
  readonly registry = new Registry();
  readonly #measures = new Set<() => void>();
  readonly #waiting = new Map<string, { depth: number; oldestMs: number }>();

  /** Must be registered first: its `collect` updates the other metrics of the same page. */
  readonly buildInfo = new Gauge({
    name: "keyferry_build_info",
    help: "1, with the operator's version",
    labelNames: ["version"],
    registers: [this.registry],
    collect: () => this.#measure(),
  });
  readonly leader = this.#gauge(
    "leader",
    "1 while this process works: it leads, owns a shard, or runs without leader election",
  );
  readonly shardOwner = this.#gauge(
    "shard_owner",
    "1 while this process works on the shard, else 0; absent without shards",
    ["shard"],
  );
  readonly ready = this.#byObject(
    "syncedsecret_ready",
    "1 if the condition Ready is True, 0 if it is False, absent while suspended",
  );
  readonly lastSuccess = this.#byObject(
    "syncedsecret_last_success_timestamp_seconds",
    "When the SyncedSecret was last found to be current",
  );
  readonly expiration = this.#byObject(
    "parameter_expiration_timestamp_seconds",
    "Expiration of the SyncedSecret's first parameter to expire; absent without one",
  );
  readonly syncs = this.#counter("syncs_total", "Finished reconciles of SyncedSecrets", ["result", "reason"]);
  readonly syncDuration = this.#histogram("sync_duration_seconds", "Time of one reconcile", [], callBuckets);
  readonly changePropagation = this.#histogram(
    "change_propagation_seconds",
    "Time from a parameter's LastModifiedDate to the write of its Secret",
    [],
    propagationBuckets,
  );
  readonly awsRequests = this.#counter("aws_requests_total", "Calls to AWS", ["service", "operation", "result"]);
  readonly awsRequestDuration = this.#histogram(
    "aws_request_duration_seconds",
    "Time of one call to AWS",
    ["service", "operation"],
    callBuckets,
  );
  readonly awsThrottles = this.#counter("aws_throttles_total", "Calls that AWS throttled", ["service", "operation"]);
  readonly parametersPerCall = this.#histogram(
    "aws_parameters_per_call",
    "Names in one GetParameters call",
    [],
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  readonly kmsDecrypts = this.#counter("kms_decrypts_total", "Decryptions of ciphertexts by KMS", ["result"]);
  readonly secureStrings = this.#counter(
    "secure_strings_decrypted_total",
    "SecureStrings read with decryption; each is a request from Parameter Store to KMS",
  );
  readonly keyDeletion = this.#gauge(
    "kms_key_deletion_timestamp_seconds",
    "When a KMS key in use will be deleted; absent if no deletion is scheduled",
    ["key"],
  );
  readonly keyMaterialExpiration = this.#gauge(
    "kms_key_material_expiration_timestamp_seconds",
    "When the imported material of a KMS key in use expires; absent if it does not",
    ["key"],
  );
  readonly failoverReads = this.#counter(
    "failover_reads_total",
    "Blobs decrypted, and SyncedSecrets whose parameters were read, in a failover region",
    ["service", "region"],
  );
  readonly secretWrites = this.#counter("secret_writes_total", "Writes of Secrets", ["action"]);
  readonly driftRepairs = this.#counter("drift_repairs_total", "Secrets repaired after an edit or a deletion");
  readonly changesPending = this.#byObject(
    "changes_pending",
    "1 while a change of the sources waits for a window or an approval, else absent",
  );
  readonly heldBack = this.#byObject(
    "held_back",
    "1 while a version that failed in a rollout is held back, else absent; with rollout.onFailure Revert",
  );
  readonly rollouts = this.#counter("rollouts_total", "Restarts of workloads, and how they ended", ["result"]);
  readonly podsStale = this.#byObject(
    "pods_stale",
    "Pods that were created before the bytes of the SyncedSecret's Secret changed; absent without spec.rollout",
  );
  readonly quotaUsed = this.#gauge("aws_quota_used_ratio", "Calls of the last half minute as a share of the quota", [
    "account",
    "region",
    "service",
  ]);
  readonly queueDepth = this.#gauge("queue_depth", "Waiting reconciles, calls to AWS and writes", ["lane"]);
  readonly queueOldest = this.#gauge(
    "queue_oldest_seconds",
    "Longest wait of the waiting reconciles, calls and writes",
    ["lane"],
  );
  readonly watchedParameters = this.#gauge("watched_parameters", "Distinct watched parameters and paths");
  readonly eventsReceived = this.#counter("events_received_total", "Messages received from event queues", ["type"]);
  readonly eventsMissed = this.#counter(
    "events_missed_total",
    "Changes that a poll found and that an event should have announced",
  );
  /** By queue URL: returns the seconds since the last message, or since the first receive. */
  readonly silences = new Map<string, () => number>();
  readonly eventsSilent = this.#gauge("events_silent_seconds", "Time since the last message of an event queue", [
    "queue",
  ]);
  readonly kubernetesRequests = this.#counter("kubernetes_requests_total", "Requests to the Kubernetes API", [
    "verb",
    "code",
  ]);
  readonly internalErrors = this.#counter(
    "internal_errors_total",
    "Internal errors of the operator, which its log describes",
    ["controller"],
  );
  readonly auditLines = this.#counter("audit_lines_total", "Audit lines written or lost", ["result"]);
  readonly watchRestarts = this.#counter("watch_restarts_total", "Watches that ended and were restarted", ["cause"]);

  /** `withProcess` adds the metrics of Node.js: heap, event loop, garbage collection. */
  constructor(options: { withProcess?: boolean } = {}) {
    if (options.withProcess) collectDefaultMetrics({ register: this.registry });
    // increase() does not see the first count of a series that did not exist before.
    for (const controller of ["connection", "syncedsecret"]) this.internalErrors.inc({ controller }, 0);
    for (const result of ["written", "lost"]) this.auditLines.inc({ result }, 0);
    for (const result of ["restarted", "completed", "failed", "undone"]) this.rollouts.inc({ result }, 0);
    for (const result of ["ok", "denied"]) this.kmsDecrypts.inc({ result }, 0);
  }

  /** All metrics in Prometheus' text format. Yields to the event loop between chunks. */
  async page(): Promise<Buffer> {
    const pieces: string[] = [];
    for (const metric of this.registry.getMetricsAsArray() as unknown[]) {
      if (metric instanceof GaugeByObject) {
        for (const piece of metric.text()) {
          pieces.push(piece);
          await nextTurn();
        }
      } else {
        pieces.push(await this.registry.getSingleMetricAsString((metric as { name: string }).name), "\n");
      }
      pieces.push("\n");
    }
    return Buffer.from(pieces.join(""));
  }

  /**
   * Calls `measure` before each scrape, for metrics that change too often to update each time. Gauges of quotas and keys
   * are empty by then; each caller adds its own series.
   *
   * @returns ends the calls
   */
  atScrape(measure: () => void): () => void {
    this.#measures.add(measure);
    return () => this.#measures.delete(measure);
  }

  /**
   * Forgets the SyncedSecrets that a term of work has measured, so that a standby does not report them. Counters stay.
   *
   * @param isKept whether another term of this process works on the SyncedSecret `namespace/name`
   */
  forgetObjects(isKept: (key: string) => boolean): void {
    const ofReconciles = [this.ready, this.lastSuccess, this.expiration, this.changesPending, this.heldBack];
    for (const gauge of [...ofReconciles, this.podsStale]) gauge.keepOnly(isKept);
  }

  /** To be called at a scrape: records the waiting work of a lane. Depths add up; the longest wait applies. */
  waits(lane: string, depth: number, oldestMs: number): void {
    const before = this.#waiting.get(lane) ?? { depth: 0, oldestMs: 0 };
    this.#waiting.set(lane, { depth: before.depth + depth, oldestMs: Math.max(before.oldestMs, oldestMs) });
  }

  #measure(): void {
    for (const lane of this.#waiting.keys()) this.#waiting.set(lane, { depth: 0, oldestMs: 0 });
    for (const gauge of [this.quotaUsed, this.keyDeletion, this.keyMaterialExpiration]) gauge.reset();
    for (const measure of this.#measures) measure();
    this.eventsSilent.reset();
    for (const [queue, silence] of this.silences) this.eventsSilent.set({ queue }, silence());
    for (const [lane, { depth, oldestMs }] of this.#waiting) {
      this.queueDepth.set({ lane }, depth);
      this.queueOldest.set({ lane }, oldestMs / 1_000);
    }
  }

  #gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name: `keyferry_${name}`, help, labelNames, registers: [this.registry] });
  }

  #byObject(name: string, help: string): GaugeByObject {
    return new GaugeByObject(`keyferry_${name}`, help, this.registry);
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name: `keyferry_${name}`, help, labelNames, registers: [this.registry] });
  }

  #histogram(name: string, help: string, labelNames: string[], buckets: number[]): Histogram {
    return new Histogram({ name: `keyferry_${name}`, help, labelNames, buckets, registers: [this.registry] });
  }
}
