import { type PriceName, priceOf } from "../src/cost/prices.ts";
import { monthSeconds } from "../src/cost/table.ts";

/** A query of a panel, in PromQL with Grafana's variables. */
export interface Query {
  expr: string;
  /** A template over the labels of a series, such as `{{lane}}`. */
  legend: string;
}

/** One panel of the dashboard. */
export interface PanelSpec {
  title: string;
  /** What the reader learns from it, with a term of docs/glossary.md or a metric of docs/metrics.md. */
  description: string;
  /** A unit of Grafana, such as `s`, `percentunit` or `reqps`. */
  unit: string;
  queries: Query[];
  /** `stat` is one number, `table` the current series, with the smallest value first. Default: `timeseries`. */
  kind?: "timeseries" | "stat" | "table";
}

/** One row of the dashboard. */
export interface RowSpec {
  title: string;
  panels: PanelSpec[];
}

const selected = 'namespace=~"$namespace"';
const rate = (metric: string, by: string) => `sum by (${by}) (rate(${metric}[$__rate_interval]))`;
const quantile = (q: number, metric: string, by = "") =>
  `histogram_quantile(${q}, sum by (le${by && `, ${by}`}) (rate(${metric}_bucket[$__rate_interval])))`;
const one = (expr: string, legend: string): Query[] => [{ expr, legend }];
/** Dollars a month for requests a second. */
const bill = (requests: string, price: PriceName) =>
  `(${requests}) * ${Number((priceOf(price) * monthSeconds).toPrecision(6))}`;

const fleet: RowSpec = {
  title: "Fleet",
  panels: [
    {
      title: "SyncedSecrets",
      description: "Without suspended ones.",
      unit: "none",
      kind: "stat",
      queries: one("count(keyferry_syncedsecret_ready)", "SyncedSecrets"),
    },
    {
      title: "Ready",
      description: "Share of the SyncedSecrets that are Ready.",
      unit: "percentunit",
      kind: "stat",
      queries: one("keyferry:syncedsecret_ready:ratio", "Ready"),
    },
    {
      title: "Firing alerts",
      description: "Alerts of the chart. docs/runbooks.md has a section for each.",
      unit: "none",
      kind: "stat",
      queries: one('count(ALERTS{alertname=~"Keyferry.+",alertstate="firing"}) or vector(0)', "alerts"),
    },
    {
      title: "Reconciles",
      description: "Finished reconciles by result.",
      unit: "ops",
      queries: one(rate("keyferry_syncs_total", "result"), "{{result}}"),
    },
    {
      title: "Secret writes",
      description: "Writes of Secrets by action. A repair follows an edit or a deletion of a Secret.",
      unit: "ops",
      queries: [
        { expr: rate("keyferry_secret_writes_total", "action"), legend: "{{action}}" },
        { expr: "sum(rate(keyferry_drift_repairs_total[$__rate_interval]))", legend: "repairs of drift" },
      ],
    },
    {
      title: "From a change to its Secret",
      description: "Time from a parameter's LastModifiedDate to the write of its Secret.",
      unit: "s",
      queries: [0.5, 0.95, 0.99].map((q) => ({
        expr: quantile(q, "keyferry_change_propagation_seconds"),
        legend: `p${q * 100}`,
      })),
    },
  ],
};

const namespace: RowSpec = {
  title: "Namespace $namespace",
  panels: [
    {
      title: "Not Ready",
      description: "1 is Ready, 0 is not Ready.",
      unit: "none",
      kind: "table",
      queries: one(`sort(keyferry_syncedsecret_ready{${selected}})`, "{{namespace}}/{{name}}"),
    },
    {
      title: "Time since the last success",
      description: "Time since each SyncedSecret was last found to be current. It is normally below the poll interval.",
      unit: "s",
      queries: one(
        `topk(20, time() - keyferry_syncedsecret_last_success_timestamp_seconds{${selected}})`,
        "{{namespace}}/{{name}}",
      ),
    },
    {
      title: "Time to the first expiration",
      description: "Time until AWS deletes a parameter, for each SyncedSecret with one that expires.",
      unit: "s",
      kind: "table",
      queries: one(
        `sort(keyferry_parameter_expiration_timestamp_seconds{${selected}} - time())`,
        "{{namespace}}/{{name}}",
      ),
    },
    {
      title: "Changes that wait",
      description: "SyncedSecrets with a change that waits for a window or an approval.",
      unit: "none",
      kind: "table",
      queries: one(`keyferry_changes_pending{${selected}}`, "{{namespace}}/{{name}}"),
    },
    {
      title: "Versions held back",
      description: "SyncedSecrets whose Secret was set back to its last good versions, with rollout.onFailure Revert.",
      unit: "none",
      kind: "table",
      queries: one(`keyferry_held_back{${selected}}`, "{{namespace}}/{{name}}"),
    },
    {
      title: "Pods with old bytes",
      description: "Pods that were created before the bytes of the SyncedSecret's Secret changed, with spec.rollout.",
      unit: "none",
      queries: one(`topk(20, keyferry_pods_stale{${selected}})`, "{{namespace}}/{{name}}"),
    },
    {
      title: "Restarts of workloads",
      description: "Restarts, and how they ended, in the whole fleet.",
      unit: "none",
      queries: one("sum by (result) (increase(keyferry_rollouts_total[1h]))", "{{result}}"),
    },
  ],
};

const kms =
  '(sum(rate(keyferry_aws_requests_total{service="kms"}[1h])) or vector(0)) + sum(rate(keyferry_secure_strings_decrypted_total[1h]))';

const aws: RowSpec = {
  title: "AWS quota and bill",
  panels: [
    {
      title: "Calls",
      description: "Calls to AWS by operation.",
      unit: "reqps",
      queries: one("sum by (service, operation) (keyferry:aws_requests:rate5m)", "{{service}} {{operation}}"),
    },
    {
      title: "Results of calls",
      description: "Calls to AWS by result: ok, throttled, denied, notFound, error.",
      unit: "reqps",
      queries: one("sum by (service, result) (keyferry:aws_requests:rate5m)", "{{service}} {{result}}"),
    },
    {
      title: "Throttles",
      description: "Calls that AWS throttled. The operator lowers its rate after each.",
      unit: "reqps",
      queries: one(rate("keyferry_aws_throttles_total", "service, operation"), "{{service}} {{operation}}"),
    },
    {
      title: "Quota used",
      description: "Calls of the last half minute as a share of the quota.",
      unit: "percentunit",
      queries: one(
        "max by (account, region, service) (keyferry_aws_quota_used_ratio)",
        "{{account}} {{region}} {{service}}",
      ),
    },
    {
      title: "Duration of calls (p95)",
      description: "95th percentile of the time of one call to AWS.",
      unit: "s",
      queries: one(
        quantile(0.95, "keyferry_aws_request_duration_seconds", "service, operation"),
        "{{service}} {{operation}}",
      ),
    },
    {
      title: "Bill",
      description:
        "Dollars a month at the rate of the last hour, by the list prices of docs/costs.md. Parameter Store's calls are free for standard parameters; the upper bound counts every name as paid.",
      unit: "currencyUSD",
      queries: [
        { expr: bill(kms, "kmsRequests"), legend: "KMS requests" },
        {
          expr: bill("sum(rate(keyferry_aws_parameters_per_call_sum[1h]))", "interactions"),
          legend: "Parameter Store, upper bound",
        },
        {
          expr: bill('sum(rate(keyferry_aws_requests_total{service="sqs"}[1h])) or vector(0)', "sqsRequests"),
          legend: "SQS requests",
        },
      ],
    },
    {
      title: "Names in one GetParameters call",
      description: "Mean of the names in one call; at most ten. More is cheaper.",
      unit: "none",
      queries: one(
        "sum(rate(keyferry_aws_parameters_per_call_sum[$__rate_interval])) / sum(rate(keyferry_aws_parameters_per_call_count[$__rate_interval]))",
        "names",
      ),
    },
    {
      title: "Watched parameters",
      description: "Distinct watched parameters and paths.",
      unit: "none",
      queries: one("sum(keyferry_watched_parameters)", "parameters and paths"),
    },
    {
      title: "Reads in failover regions",
      description: "A connection's main region did not answer.",
      unit: "ops",
      queries: one(rate("keyferry_failover_reads_total", "service, region"), "{{service}} {{region}}"),
    },
  ],
};

const expiry: RowSpec = {
  title: "Expiry, key health and events",
  panels: [
    {
      title: "Next expirations",
      description: "The ten SyncedSecrets with the next expiration of a parameter, in all namespaces.",
      unit: "s",
      kind: "table",
      queries: one(
        "sort(bottomk(10, keyferry_parameter_expiration_timestamp_seconds - time()))",
        "{{namespace}}/{{name}}",
      ),
    },
    {
      title: "Keys that will be deleted",
      description: "Time until a KMS key in use is deleted.",
      unit: "s",
      kind: "table",
      queries: one("sort(keyferry_kms_key_deletion_timestamp_seconds - time())", "{{key}}"),
    },
    {
      title: "Key material that expires",
      description: "Time until the imported material of a KMS key in use expires.",
      unit: "s",
      kind: "table",
      queries: one("sort(keyferry_kms_key_material_expiration_timestamp_seconds - time())", "{{key}}"),
    },
    {
      title: "Decryptions",
      description: "Decryptions of ciphertexts by KMS by result, and SecureStrings that were read with decryption.",
      unit: "ops",
      queries: [
        { expr: rate("keyferry_kms_decrypts_total", "result"), legend: "ciphertexts: {{result}}" },
        { expr: "sum(rate(keyferry_secure_strings_decrypted_total[$__rate_interval]))", legend: "SecureStrings" },
      ],
    },
    {
      title: "Events",
      description: "Messages received from event queues, and changes that no event announced.",
      unit: "ops",
      queries: [
        { expr: rate("keyferry_events_received_total", "type"), legend: "{{type}}" },
        { expr: "sum(rate(keyferry_events_missed_total[$__rate_interval]))", legend: "missed" },
      ],
    },
    {
      title: "Silence of event queues",
      description: "Time since the last message of an event queue.",
      unit: "s",
      queries: one("keyferry_events_silent_seconds", "{{queue}}"),
    },
  ],
};

const kubernetes: RowSpec = {
  title: "Kubernetes and the operator",
  panels: [
    {
      title: "Requests to the Kubernetes API",
      description: "Requests by verb and status code.",
      unit: "reqps",
      queries: one(rate("keyferry_kubernetes_requests_total", "verb, code"), "{{verb}} {{code}}"),
    },
    {
      title: "Restarts of watches",
      description: "Watches that ended and were restarted. The cause `ended` is normal.",
      unit: "ops",
      queries: one(rate("keyferry_watch_restarts_total", "cause"), "{{cause}}"),
    },
    {
      title: "Waiting work",
      description: "Waiting reconciles, calls to AWS and writes by lane.",
      unit: "none",
      queries: one("sum by (lane) (keyferry_queue_depth)", "{{lane}}"),
    },
    {
      title: "Longest wait",
      description: "Longest wait of the waiting work by lane.",
      unit: "s",
      queries: one("max by (lane) (keyferry_queue_oldest_seconds)", "{{lane}}"),
    },
    {
      title: "Duration of reconciles (p95)",
      description: "95th percentile of the time of one reconcile.",
      unit: "s",
      queries: one(quantile(0.95, "keyferry_sync_duration_seconds"), "p95"),
    },
    {
      title: "Leader",
      description: "1 for the replica that works; the others stand by. Without leader election no replica says so.",
      unit: "none",
      queries: one("keyferry_leader", "{{instance}}"),
    },
    {
      title: "Shards",
      description: "1 for the replica that works on a shard. No data without shards.",
      unit: "none",
      queries: one("keyferry_shard_owner", "{{instance}} {{shard}}"),
    },
    {
      title: "CPU of the operator",
      description: "CPU seconds a second, by replica.",
      unit: "none",
      queries: one(
        "rate(process_cpu_seconds_total[$__rate_interval]) * on (instance) group_left (version) keyferry_build_info",
        "{{instance}} {{version}}",
      ),
    },
    {
      title: "Memory of the operator",
      description: "Resident memory, by replica.",
      unit: "bytes",
      queries: one(
        "process_resident_memory_bytes * on (instance) group_left (version) keyferry_build_info",
        "{{instance}} {{version}}",
      ),
    },
    {
      title: "Internal errors and audit lines",
      description: "Errors that the log describes, and audit lines written or lost.",
      unit: "ops",
      queries: [
        { expr: rate("keyferry_internal_errors_total", "controller"), legend: "errors: {{controller}}" },
        { expr: rate("keyferry_audit_lines_total", "result"), legend: "audit lines: {{result}}" },
      ],
    },
  ],
};

/** The rows of the dashboard, top down. */
export const rows: readonly RowSpec[] = [fleet, namespace, aws, expiry, kubernetes];
