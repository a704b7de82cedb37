import { setImmediate as nextTurn } from "node:timers/promises";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { GaugeByObject } from "./by-object.ts";

const secondsOfACall = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const secondsOfAChange = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

/** Every metric that the operator exports, under the prefix `keyferry_`; docs/metrics.md lists them for users. */
export class Metrics {
  readonly registry = new Registry();
  readonly #measures: (() => void)[] = [];
  readonly #waiting = new Map<string, { depth: number; oldestMs: number }>();

  /** The first of all, so that what is measured when a page is asked for is on that page. */
  readonly buildInfo = new Gauge({
    name: "keyferry_build_info",
    help: "1, with the operator's version",
    labelNames: ["version"],
    registers: [this.registry],
    collect: () => this.#measure(),
  });
  readonly ready = this.#byObject(
    "syncedsecret_ready",
    "1 where the condition Ready is True, 0 where it is False, absent while suspended",
  );
  readonly lastSuccess = this.#byObject(
    "syncedsecret_last_success_timestamp_seconds",
    "When the SyncedSecret was last found to be current",
  );
  readonly expiration = this.#byObject(
    "parameter_expiration_timestamp_seconds",
    "When the first of the SyncedSecret's parameters expires or has expired, absent where none does",
  );
  readonly syncs = this.#counter("syncs_total", "Finished reconciles of SyncedSecrets", ["result", "reason"]);
  readonly syncDuration = this.#histogram("sync_duration_seconds", "Time of one reconcile", [], secondsOfACall);
  readonly changePropagation = this.#histogram(
    "change_propagation_seconds",
    "From a parameter's LastModifiedDate to its Secret written",
    [],
    secondsOfAChange,
  );
  readonly awsRequests = this.#counter("aws_requests_total", "Calls to AWS", ["service", "operation", "result"]);
  readonly awsRequestDuration = this.#histogram(
    "aws_request_duration_seconds",
    "Time of one call to AWS",
    ["service", "operation"],
    secondsOfACall,
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
    "SecureStrings read with decryption, each a request of Parameter Store to KMS",
  );
  readonly keyDeletion = this.#gauge(
    "kms_key_deletion_timestamp_seconds",
    "When a KMS key in use will be deleted; absent where that is not scheduled",
    ["key"],
  );
  readonly keyMaterialExpiration = this.#gauge(
    "kms_key_material_expiration_timestamp_seconds",
    "When the imported material of a KMS key in use expires; absent where it does not",
    ["key"],
  );
  readonly failoverReads = this.#counter(
    "failover_reads_total",
    "Blobs opened, and SyncedSecrets whose parameters were read, in a region that stood in",
    ["service", "region"],
  );
  readonly secretWrites = this.#counter("secret_writes_total", "Writes of Secrets", ["action"]);
  readonly driftRepairs = this.#counter("drift_repairs_total", "Secrets put back after an edit or a deletion");
  readonly quotaUsed = this.#gauge(
    "aws_quota_used_ratio",
    "Calls of the last half minute, as a share of what may be called",
    ["account", "region", "service"],
  );
  readonly queueDepth = this.#gauge("queue_depth", "Reconciles, calls to AWS and writes that wait", ["lane"]);
  readonly queueOldest = this.#gauge("queue_oldest_seconds", "How long the one that waits longest has waited", [
    "lane",
  ]);
  readonly watchedParameters = this.#gauge("watched_parameters", "Distinct parameters and paths that are watched");
  readonly eventsReceived = this.#counter("events_received_total", "Messages of the queues of events", ["type"]);
  readonly eventsMissed = this.#counter(
    "events_missed_total",
    "Changes that a poll found and no event announced, though it should have",
  );
  /** By queue URL: gives the seconds since its last message, or since it was first received from. */
  readonly silences = new Map<string, () => number>();
  readonly eventsSilent = this.#gauge("events_silent_seconds", "Since the last message of a queue of events", [
    "queue",
  ]);
  readonly kubernetesRequests = this.#counter("kubernetes_requests_total", "Requests to the Kubernetes API", [
    "verb",
    "code",
  ]);
  readonly internalErrors = this.#counter("internal_errors_total", "Errors of the operator itself, told in its log", [
    "controller",
  ]);
  readonly auditLines = this.#counter("audit_lines_total", "Lines of the audit, written or lost", ["result"]);
  readonly watchRestarts = this.#counter("watch_restarts_total", "Watches that ended and were begun again", ["cause"]);

  /** With `withProcess`, Node's own metrics (heap, event loop, garbage collection) are exported too. */
  constructor(options: { withProcess?: boolean } = {}) {
    if (options.withProcess) collectDefaultMetrics({ register: this.registry });
  }

  /** The page of all metrics, in Prometheus' text format. However many series there are, others have their turn between. */
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

  /** Has `measure` called before a page is made: for what changes too often to be counted along. */
  atScrape(measure: () => void): void {
    this.#measures.push(measure);
  }

  /** For what is called at a scrape: notes what waits in a lane. Depths add up, of several waits the longest counts. */
  waits(lane: string, depth: number, oldestMs: number): void {
    const before = this.#waiting.get(lane) ?? { depth: 0, oldestMs: 0 };
    this.#waiting.set(lane, { depth: before.depth + depth, oldestMs: Math.max(before.oldestMs, oldestMs) });
  }

  #measure(): void {
    for (const lane of this.#waiting.keys()) this.#waiting.set(lane, { depth: 0, oldestMs: 0 });
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
