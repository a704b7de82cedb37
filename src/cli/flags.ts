import { type Command, InvalidArgumentError, Option } from "commander";
import { type RolloutKind, rolloutKinds } from "../api/rollout-kinds.ts";
import { canBeOpened } from "../controllers/syncedsecret/plan/target-metadata.ts";
import { parseDuration } from "../runtime/duration.ts";
import type { ElectionSettings } from "./election.ts";

/** The flags of `keyferry controller` as commander gives them. */
export interface ControllerFlags {
  kubeconfig?: string;
  metricsBindAddress: Address | false;
  metricsSecure?: true;
  metricsCertPath?: string;
  healthProbeBindAddress: Address | false;
  namespaces: string[];
  protectedNamespaces: string[];
  allowedTargetMetadata: string[];
  defaultConnection?: { namespace: string; name: string };
  defaultConnectionRegion?: string;
  missingGrace: number;
  clusterName: string;
  auditLog?: string;
  leaderElect: boolean;
  otlpEndpoint?: string;
  traceSampleRatio: number;
  leaseName: string;
  shards: number;
  leaseDuration: number;
  renewDeadline: number;
  retryPeriod: number;
  readOnly?: true;
  allowInsecureEndpoints?: true;
  perObjectMetrics: boolean;
  maxConcurrentRollouts: number;
  rolloutKinds: RolloutKind[];
  logLevel: "debug" | "info" | "warn" | "error";
  logFormat: "auto" | "json" | "text";
}

/** Where a server listens. */
export interface Address {
  /** Undefined for every interface. */
  host: string | undefined;
  port: number;
}

type Replaced =
  | "readOnly"
  | "allowInsecureEndpoints"
  | "metricsSecure"
  | "leaseDuration"
  | "renewDeadline"
  | "retryPeriod";

export type ControllerSettings = Omit<ControllerFlags, Replaced> &
  ElectionSettings & { allowInsecureEndpoints: boolean; metricsSecure: boolean };

/** Declares the flags of `keyferry controller`. */
export function addControllerOptions(command: Command): void {
  command
    .option("--kubeconfig <file>", "kubeconfig to use; KUBECONFIG, or the ServiceAccount of the pod, when left out")
    .addOption(
      new Option("--metrics-bind-address <address>", "address of the metrics endpoint; 0 turns it off")
        .default(parseAddress(":8080"), ":8080")
        .argParser(parseAddress),
    )
    .option("--metrics-secure", "serve metrics by TLS, to clients whose token may get /metrics by RBAC")
    .addOption(
      new Option(
        "--metrics-cert-path <folder>",
        "folder of tls.crt and tls.key for the metrics, read again on change; self-signed when left out",
      ).argParser(parseFolder),
    )
    .addOption(
      new Option("--health-probe-bind-address <address>", "address of /healthz and /readyz; 0 turns them off")
        .default(parseAddress(":8081"), ":8081")
        .argParser(parseAddress),
    )
    .addOption(
      new Option("--namespaces <names>", "namespaces to work in, separated by commas; needs no ClusterRole")
        .default([], "all")
        .argParser(parseNamespaces),
    )
    .addOption(
      new Option("--protected-namespaces <names>", "namespaces that are left alone; the operator's own always is")
        .default(["kube-system"], "kube-system")
        .argParser((text: string) => (text === "" ? [] : parseNamespaces(text))),
    )
    .addOption(allowedTargetMetadataOption())
    .addOption(
      new Option(
        "--default-connection <namespace/name>",
        "AWSConnection that stands in for ClusterAWSConnection default; only with --namespaces",
      ).argParser(parseReference),
    )
    .addOption(
      new Option(
        "--default-connection-region <region>",
        "create ClusterAWSConnection default for this region, allowing /{namespace}/*, where there is none",
      ).argParser(parseRegion),
    )
    .addOption(
      new Option("--missing-grace <duration>", "how long a parameter must be missing, twice looked at, to be gone")
        .default(300_000, "5m")
        .argParser(parseDurationFlag),
    )
    .addOption(
      new Option(
        "--cluster-name <name>",
        "what this cluster is called: in the tag keyferry.io/cluster of queues, and in the context of bound ciphertexts",
      )
        .default("", "none")
        .argParser(parseClusterName),
    )
    .addOption(
      new Option(
        "--audit-log <path>",
        "append one line of JSON for each decryption to this file; - for the standard output; none when left out",
      ).argParser(parseAuditPath),
    )
    .addOption(
      new Option(
        "--leader-elect [boolean]",
        "elect a leader among replicas by a Lease; the others stand by; not with --read-only",
      )
        .default(false, "false")
        .preset("true")
        .argParser(parseBoolean),
    )
    .addOption(
      new Option(
        "--otlp-endpoint <url>",
        "send a trace of each reconcile to this OTLP/HTTP receiver, such as http://collector:4318; none when left out",
      ).argParser(parseOtlpEndpoint),
    )
    .addOption(
      new Option("--trace-sample-ratio <ratio>", "share of the reconciles that are traced, from 0 to 1")
        .default(1, "1")
        .argParser(parseRatio),
    )
    .addOption(
      new Option("--lease-name <name>", "the Lease of the election, in the operator's own namespace")
        .default("keyferry")
        .argParser(parseLeaseName),
    )
    .addOption(
      new Option(
        "--shards <number>",
        "split the work by AWS account and region among replicas, by a Lease for each shard",
      )
        .default(1)
        .argParser(parseShards),
    )
    .addOption(
      new Option("--lease-duration <duration>", "after this time without a renewal, another replica leads")
        .default(15_000, "15s")
        .argParser(parseDurationFlag),
    )
    .addOption(
      new Option("--renew-deadline <duration>", "after this time without a renewal, the leader stops its work")
        .default(10_000, "10s")
        .argParser(parseDurationFlag),
    )
    .addOption(
      new Option("--retry-period <duration>", "time between two renewals of the Lease")
        .default(2_000, "2s")
        .argParser(parseDurationFlag),
    )
    .option("--read-only", "look at everything, report in status and events, write no Secret")
    .option("--allow-insecure-endpoints", "let connections name plain-http and loopback endpoints: for emulators")
    .addOption(
      new Option("--per-object-metrics <boolean>", "whether each SyncedSecret has series of its own")
        .default(true, "true")
        .argParser(parseBoolean),
    )
    .addOption(
      new Option(
        "--max-concurrent-rollouts <number>",
        "workloads that are restarted at the same time, in all namespaces; 0 stops all rollouts",
      )
        .default(5)
        .argParser(parseCount),
    )
    .addOption(
      new Option(
        "--rollout-kinds <kinds>",
        "kinds of workloads that may be restarted, of Deployment, StatefulSet, DaemonSet and Rollout (Argo Rollouts); empty restarts nothing",
      )
        .default(["Deployment", "StatefulSet", "DaemonSet"], "Deployment,StatefulSet,DaemonSet")
        .argParser(parseRolloutKinds),
    )
    .addOption(
      new Option("--log-level <level>", "least severe lines to log")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .addOption(
      new Option("--log-format <format>", "auto is text on a terminal and JSON elsewhere")
        .choices(["auto", "json", "text"])
        .default("auto"),
    );
}

/**
 * Validates the flags and fills in the defaults.
 *
 * @throws InvalidArgumentError for flags that exclude each other
 */
export function controllerSettings(flags: ControllerFlags): ControllerSettings {
  if (flags.defaultConnection && flags.namespaces.length === 0) {
    throw new InvalidArgumentError("option '--default-connection' goes with '--namespaces' only.");
  }
  if (flags.defaultConnectionRegion !== undefined && flags.namespaces.length > 0) {
    throw new InvalidArgumentError("option '--default-connection-region' does not go with '--namespaces'.");
  }
  if (flags.metricsCertPath !== undefined && !flags.metricsSecure) {
    throw new InvalidArgumentError("option '--metrics-cert-path' goes with '--metrics-secure' only.");
  }
  if (flags.shards > 1 && !flags.leaderElect) {
    throw new InvalidArgumentError("option '--shards' goes with '--leader-elect' only.");
  }
  const { leaseDuration, renewDeadline, retryPeriod, readOnly, ...rest } = flags;
  // client-go's rules (tools/leaderelection, NewLeaderElector): a leader must stop before another begins.
  if (leaseDuration <= renewDeadline || renewDeadline <= retryPeriod * 1.2 || retryPeriod <= 0) {
    throw new InvalidArgumentError(
      "'--lease-duration' must be longer than '--renew-deadline', and that longer than 1.2 times '--retry-period'.",
    );
  }
  return {
    ...rest,
    leaseDurationMs: leaseDuration,
    renewDeadlineMs: renewDeadline,
    retryPeriodMs: retryPeriod,
    readOnly: readOnly ?? false,
    metricsSecure: flags.metricsSecure ?? false,
    allowInsecureEndpoints: flags.allowInsecureEndpoints ?? false,
  };
}

/**
 * Parses a bind address.
 *
 * @returns false for `0`, which turns the server off
 * @throws InvalidArgumentError if the text is not `host:port`, `:port` or `0`
 */
function parseAddress(text: string): Address | false {
  if (text === "0") return false;
  const match = /^(\[[0-9a-fA-F:]{2,45}\]|[a-zA-Z0-9.-]{0,253}):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match || port > 65_535) throw new InvalidArgumentError("Use HOST:PORT, :PORT, or 0 to turn it off.");
  const host = match[1]!.replace(/^\[|\]$/g, "");
  return { host: host === "" ? undefined : host, port };
}

/** `--allowed-target-metadata`, shared with `keyferry render`. */
export function allowedTargetMetadataOption(): Option {
  return new Option(
    "--allowed-target-metadata <domains>",
    "domains of labels and annotations that Secrets may get although other programs act on them, such as argocd.argoproj.io",
  )
    .default([], "none")
    .argParser(parseDomains);
}

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const dnsSubdomain = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** @throws InvalidArgumentError also for an empty list: an unset variable must not mean all namespaces */
function parseNamespaces(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  const wrong = names.filter((name) => !dnsLabel.test(name));
  if (wrong.length > 0) throw new InvalidArgumentError("Use names of namespaces, separated by commas.");
  return [...new Set(names)];
}

/** @throws InvalidArgumentError also for keyferry.io, which cannot be allowed */
function parseDomains(text: string): string[] {
  const domains = text === "" ? [] : text.split(",").map((domain) => domain.trim());
  if (!domains.every((domain) => dnsSubdomain.test(domain))) {
    throw new InvalidArgumentError("Use domains such as argocd.argoproj.io, separated by commas.");
  }
  if (!domains.every(canBeOpened)) throw new InvalidArgumentError("keyferry.io cannot be opened.");
  return [...new Set(domains)];
}

function parseReference(text: string): { namespace: string; name: string } {
  const [namespace = "", name = "", ...rest] = text.split("/");
  if (!dnsLabel.test(namespace) || !dnsSubdomain.test(name) || rest.length > 0) {
    throw new InvalidArgumentError("Use NAMESPACE/NAME.");
  }
  return { namespace, name };
}

function parseLeaseName(text: string): string {
  if (!dnsSubdomain.test(text)) throw new InvalidArgumentError("Use the name of a Lease, such as keyferry.");
  return text;
}

function parseRegion(text: string): string {
  if (!/^[a-z]{2,8}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$/.test(text)) {
    throw new InvalidArgumentError("Use an AWS region such as eu-west-1.");
  }
  return text;
}

/** Accepts the characters of a tag's value (SQS API Reference, TagQueue) that are suitable in a name. */
function parseClusterName(text: string): string {
  if (!/^[a-zA-Z0-9_.:/=+@-]{0,256}$/.test(text)) {
    throw new InvalidArgumentError("Use letters, digits and _ . : / = + @ -, 256 at most.");
  }
  return text;
}

/** @throws InvalidArgumentError for an empty text: an unset variable must not turn the audit off */
function parseAuditPath(text: string): string {
  if (text === "") throw new InvalidArgumentError("Use the path of a file, or - for the standard output.");
  return text;
}

/** @throws InvalidArgumentError for an empty text: an unset variable must not mean another certificate */
function parseFolder(text: string): string {
  if (text === "") throw new InvalidArgumentError("Use the path of a folder.");
  return text;
}

function parseShards(text: string): number {
  const shards = Number(text);
  if (!/^[0-9]{1,2}$/.test(text) || shards < 1 || shards > 64)
    throw new InvalidArgumentError("Use a number from 1 to 64.");
  return shards;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(count)) {
    throw new InvalidArgumentError("Use an integer of 0 or more.");
  }
  return count;
}

/** @throws InvalidArgumentError for an unknown kind, or one that is given twice */
function parseRolloutKinds(text: string): RolloutKind[] {
  const names = text === "" ? [] : text.split(",").map((name) => name.trim());
  const kinds = names.flatMap((name) => rolloutKinds.filter((kind) => kind === name));
  if (kinds.length < names.length || new Set(kinds).size < kinds.length) {
    throw new InvalidArgumentError(`Use ${rolloutKinds.join(", ")}, each once at most, separated by commas.`);
  }
  return kinds;
}

/** @throws InvalidArgumentError also for a URL with credentials: process lists and logs show it */
function parseOtlpEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === "";
  if (!isPlain) {
    throw new InvalidArgumentError(
      "Use a URL such as http://collector:4318; credentials go into OTEL_EXPORTER_OTLP_HEADERS.",
    );
  }
  return text;
}

function parseRatio(text: string): number {
  const ratio = /^[0-9]*\.?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!(ratio >= 0 && ratio <= 1)) throw new InvalidArgumentError("Use a number from 0 to 1, such as 0.1.");
  return ratio;
}

function parseDurationFlag(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError("Use a duration such as 30s, 5m or 1h30m.");
  return ms;
}

function parseBoolean(text: string): boolean {
  if (text !== "true" && text !== "false") throw new InvalidArgumentError("Use true or false.");
  return text === "true";
}
