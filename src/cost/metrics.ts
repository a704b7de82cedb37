import { Failure } from "../runtime/failure.ts";
import { type OwnPrices, type PriceName, priceOf } from "./prices.ts";
import { type Cost, monthSeconds } from "./table.ts";

/** One sample of Prometheus' text format. */
export interface Sample {
  name: string;
  labels: ReadonlyMap<string, string>;
  value: number;
}

/**
 * Parses Prometheus' text format (Prometheus documentation, "Exposition formats"). Other lines are skipped. Pure, and
 * linear in the text.
 */
export function samplesIn(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^}]*)\})? ([0-9eE.+-]+)(?: [0-9-]+)?\s*$/.exec(line);
    if (!found) continue;
    const labels = new Map<string, string>();
    for (const [, name, value] of (found[2] ?? "").matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*)"/g)) {
      labels.set(name!, value!);
    }
    const value = Number(found[3]);
    if (Number.isFinite(value)) samples.push({ name: found[1]!, labels, value });
  }
  return samples;
}

export interface Metered {
  costs: Cost[];
  /** Seconds that the counters cover. */
  seconds: number;
}

/**
 * Extrapolates an operator's counters since its start to a month. Pure.
 *
 * @param at milliseconds since the epoch when the metrics were read
 * @throws Failure if they are not an operator's metrics
 */
export function meteredCosts(
  samples: readonly Sample[],
  at: number,
  how: { higherThroughput: boolean; prices: OwnPrices },
): Metered {
  const one = (name: string) => samples.find((sample) => sample.name === name)?.value;
  const start = one("process_start_time_seconds");
  if (start === undefined || !samples.some(({ name }) => name === "keyferry_build_info")) {
    const message =
      "these are not metrics of keyferry controller: they lack keyferry_build_info and process_start_time_seconds";
    throw new Failure("InvalidData", "stalled", message);
  }
  const seconds = at / 1_000 - start;
  if (!(seconds >= 1)) {
    const message =
      seconds > -1
        ? "the operator has only just started: there is too little to estimate a month from"
        : "the metrics are older than the process they came from";
    throw new Failure("InvalidData", "stalled", message);
  }
  const scale = monthSeconds / seconds;
  const calls = (service: string, operation: string) =>
    samples
      .filter(({ name, labels }) => {
        return (
          name === "keyferry_aws_requests_total" &&
          labels.get("service") === service &&
          labels.get("operation") === operation
        );
      })
      .reduce((sum, { value }) => sum + value, 0) * scale;
  const secure = one("keyferry_secure_strings_decrypted_total");
  const named = (one("keyferry_aws_parameters_per_call_sum") ?? 0) * scale;
  const paid = how.higherThroughput ? "interactions" : undefined;
  const rows: [string, number | undefined, PriceName | undefined][] = [
    ["ssm:GetParameters", calls("ssm", "GetParameters"), undefined],
    ["parameters asked for by these", named, paid],
    ["ssm:GetParametersByPath", calls("ssm", "GetParametersByPath"), undefined],
    ["parameters asked for by these, ten a call at most", 10 * calls("ssm", "GetParametersByPath"), paid],
    ["ssm:GetParameter", calls("ssm", "GetParameter"), paid],
    ["ssm:DescribeParameters", calls("ssm", "DescribeParameters"), undefined],
    ["kms:Decrypt of SecureStrings", secure === undefined ? undefined : secure * scale, "kmsRequests"],
    ["kms:Decrypt of blobs and messages", calls("kms", "Decrypt"), "kmsRequests"],
    ["kms:DescribeKey", calls("kms", "DescribeKey"), "kmsRequests"],
    ["sqs:ReceiveMessage", calls("sqs", "ReceiveMessage"), "sqsRequests"],
    ["sqs:DeleteMessage", calls("sqs", "DeleteMessage") + calls("sqs", "DeleteMessageBatch"), "sqsRequests"],
    ["sqs:ChangeMessageVisibility", calls("sqs", "ChangeMessageVisibilityBatch"), "sqsRequests"],
    ["sqs:ListQueueTags", calls("sqs", "ListQueueTags"), "sqsRequests"],
    ["sts:AssumeRole", calls("sts", "AssumeRole"), undefined],
  ];
  const costs = rows.map(([what, count, name]): Cost => {
    const dollars = count === undefined ? undefined : name === undefined ? 0 : count * priceOf(name, how.prices);
    return { what, count, dollars };
  });
  return { costs: costs.filter(({ count }) => count === undefined || count > 0), seconds };
}
